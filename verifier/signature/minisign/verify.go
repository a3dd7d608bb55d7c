package minisign

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"io"

	"aead.dev/minisign"

	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

// tooLarge is a file that would be needed in memory, and its size in bytes.
type tooLarge int64

func (n tooLarge) Error() string {
	return fmt.Sprintf("the signature is over the file itself, not over its hash, and the file has %d bytes, %d at most: sign it in the "+
		"prehashed form, which minisign makes unless told -l", int64(n), maxWhole)
}

// checker reads the file as the signature's algorithm needs it, and returns what tells whether a key made the signature over it. The
// algorithm decides here what is hashed: the library's Reader would take an unhashed signature over the hash of a file for one over the file.
func (s *signature) checker(ctx context.Context, of proof.File) (func(*key) bool, error) {
	if s.Algorithm == minisign.HashEdDSA {
		var hashed *minisign.Reader
		err := of.Read(ctx, func(r io.Reader) error {
			hashed = minisign.NewReader(r)
			_, err := io.Copy(io.Discard, hashed)
			return err
		})
		return func(k *key) bool { return hashed.Verify(k.PublicKey, s.text) }, err
	}
	if of.Size > maxWhole {
		return nil, tooLarge(of.Size)
	}
	whole := make([]byte, of.Size)
	err := of.Read(ctx, func(r io.Reader) error {
		_, err := io.ReadFull(r, whole)
		return err
	})
	if s.kind == KindSignify {
		return func(k *key) bool { return ed25519.Verify(k.raw, whole, s.Signature.Signature[:]) }, err
	}
	return func(k *key) bool { return minisign.Verify(k.PublicKey, whole, s.text) }, err
}

// culprit says what was changed, as far as it can be told, where no key fits: a comment that still fits the signature leaves the file.
func (s *signature) culprit(keys []*key) string {
	if s.kind == KindSignify {
		return "the file or the signature"
	}
	bound := append(append([]byte{}, s.Signature.Signature[:]...), s.TrustedComment...)
	for _, k := range keys {
		if ed25519.Verify(k.raw, bound, s.CommentSignature[:]) {
			return "the file"
		}
	}
	return "the trusted comment or the signature"
}
