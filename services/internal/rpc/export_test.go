package rpc

import (
	"context"
	"crypto/x509"
)

// Check is what each call does with the caller's certificate.
func (s *Server) Check(ctx context.Context, cert *x509.Certificate) (Identity, error) {
	return s.check(ctx, cert)
}
