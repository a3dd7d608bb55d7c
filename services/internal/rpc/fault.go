package rpc

import "github.com/countersign-escrow/countersign/services/internal/rpc/rpcfault"

// FromStatus turns a status that a server sent back into the domain error that it was made from. Clients that need
// nothing else of this package use rpcfault.
func FromStatus(err error) error { return rpcfault.FromStatus(err) }
