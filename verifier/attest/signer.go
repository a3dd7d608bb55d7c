package attest

import (
	"context"
	"crypto"
	"crypto/rand"
	"fmt"

	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/verifier/publickey"
)

// Signer signs statements with one key. Its methods may be called concurrently.
type Signer struct {
	key   crypto.Signer
	keyID string
	pem   string
}

// NewSigner takes an ECDSA key on the curve P-256, the one sort of key that stock verifiers take from a file.
func NewSigner(key crypto.Signer) (*Signer, error) {
	if key == nil {
		return nil, fault.Invalidf("signing key", "is missing")
	}
	public, err := publickey.P256(key.Public())
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	s := &Signer{key: key}
	if s.keyID, err = publickey.ID(public); err != nil {
		return nil, err
	}
	if s.pem, err = publickey.PEM(public); err != nil {
		return nil, err
	}
	return s, nil
}

// PublicKeyPEM returns the key that checks the signatures.
func (s *Signer) PublicKeyPEM() string { return s.pem }

// KeyID returns the SHA-256 of the key's SubjectPublicKeyInfo, hexadecimal.
func (s *Signer) KeyID() string { return s.keyID }

// Sign signs a statement.
func (s *Signer) Sign(ctx context.Context, st Statement) (*Envelope, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	payload, err := st.Marshal()
	if err != nil {
		return nil, err
	}
	e := &Envelope{payload: payload}
	sum := e.paeDigest()
	e.signature, err = s.key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("sign statement: %w", err)
	}
	return e, nil
}

// ParsePublicKey reads the PEM form of a public key.
func ParsePublicKey(text string) (crypto.PublicKey, error) { return publickey.Parse(text) }
