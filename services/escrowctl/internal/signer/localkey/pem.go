package localkey

import (
	"context"
	"crypto"
	"os"

	"github.com/sigstore/sigstore/pkg/cryptoutils"

	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/keyfile"
	"github.com/countersign-escrow/countersign/verifier/signature/sigstorebundle"
)

// passwordVariable is where cosign finds the password of its keys.
const passwordVariable = "COSIGN_PASSWORD"

// pemKey is a key at hand.
type pemKey struct{ key crypto.Signer }

// Sign makes a Sigstore bundle.
func (k pemKey) Sign(_ context.Context, content []byte) (File, error) {
	bundle, err := sigstorebundle.Sign(k.key, content)
	return File{Content: bundle, MediaType: sigstorebundle.MediaType}, err
}

// encryptedKey reads a key that cosign or openssl encrypted.
func encryptedKey(path string, b []byte, ask Ask) (Key, error) {
	password, given := os.LookupEnv(passwordVariable)
	key, err := cryptoutils.UnmarshalPEMToPrivateKey(b, func(bool) ([]byte, error) {
		if given {
			return []byte(password), nil
		}
		return ask("Password of " + path)
	})
	if err != nil {
		return nil, fault.Invalidf(path, "the encrypted key cannot be read: %v", err).
			WithAdvice("is the password right? it is taken from %s, or asked for on a terminal", passwordVariable)
	}
	private, err := keyfile.Check(key)
	if err != nil {
		return nil, fault.Invalidf(path, "%v", err)
	}
	return pemKey{private}, nil
}
