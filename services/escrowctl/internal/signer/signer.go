// Package signer makes signature files with keys that are kept in several ways: in a file, by an SSH agent, in a key management system.
// It knows nothing of what is signed, or of whose keys count.
package signer

import (
	"context"
	"strings"

	"github.com/countersign-escrow/countersign/services/escrowctl/internal/signer/localkey"
)

// Signer makes signature files with one key.
type Signer interface {
	// Sign makes a signature file over content. It may ask a person, a program or a distant service, until the context ends.
	Sign(ctx context.Context, content []byte) (localkey.File, error)
}

// Open finds the key: a KMS's URI, or a file with a private key or with the public key of one that an SSH agent has. Passphrases are
// asked for when they are needed.
func Open(key string, ask localkey.Ask) (Signer, error) {
	if strings.Contains(key, "://") {
		return remoteKey{uri: key}, nil
	}
	return localkey.Open(key, ask)
}
