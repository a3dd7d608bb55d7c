package sigstorebundle

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"fmt"

	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

// minRSABits is the shortest RSA key that anything is verified with. Below proof.MinRSABits it is a weakness.
const minRSABits = 1024

// maxRSABits is the longest. The key in a certificate or a time stamp is the sender's, and a longer one may cost minutes.
const maxRSABits = 8192

// checkKey says why nothing can be verified with a key.
func checkKey(key crypto.PublicKey) error {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		if ecdsaHashes(k) == nil {
			return fmt.Errorf("is on the curve %s, must be on P-256, P-384 or P-521", k.Curve.Params().Name)
		}
	case *rsa.PublicKey:
		if k.N.BitLen() < minRSABits {
			return fmt.Errorf("has %d bits, %d at least", k.N.BitLen(), minRSABits)
		}
		if k.N.BitLen() > maxRSABits {
			return fmt.Errorf("has %d bits, %d at most", k.N.BitLen(), maxRSABits)
		}
	case ed25519.PublicKey:
	default:
		return fmt.Errorf("is a %T, must be ECDSA, RSA or Ed25519", key)
	}
	return nil
}

// algorithm names a key's algorithm, for people.
func algorithm(key crypto.PublicKey) string {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		return "ECDSA " + k.Curve.Params().Name
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA with %d bits", k.N.BitLen())
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return fmt.Sprintf("%T", key)
}

func weaknesses(key crypto.PublicKey) []proof.Weakness {
	if k, ok := key.(*rsa.PublicKey); ok && k.N.BitLen() < proof.MinRSABits {
		return []proof.Weakness{proof.ShortRSA}
	}
	return nil
}

// ecdsaHashes lists the hashes that signatures of a key are by, as older clients use SHA-256 on every curve; the ready one comes first.
func ecdsaHashes(k *ecdsa.PublicKey) []crypto.Hash {
	switch k.Curve {
	case elliptic.P256():
		return []crypto.Hash{crypto.SHA256}
	case elliptic.P384():
		return []crypto.Hash{crypto.SHA256, crypto.SHA384}
	case elliptic.P521():
		return []crypto.Hash{crypto.SHA256, crypto.SHA512}
	}
	return nil
}

// verifies says whether a signature is by a key, by none where checkKey refuses that. Errors are those of reading, and errTooLong.
func verifies(ctx context.Context, key crypto.PublicKey, m *message, sig []byte) (bool, error) {
	if checkKey(key) != nil {
		return false, nil
	}
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		return verifiesECDSA(ctx, k, m, sig)
	case *rsa.PublicKey:
		sum, err := m.sum(ctx, crypto.SHA256)
		return err == nil && verifiesRSA(k, sum, sig), err
	case ed25519.PublicKey:
		if len(sig) != ed25519.SignatureSize {
			return false, nil
		}
		return verifiesEd25519(ctx, k, m, sig)
	}
	return false, nil
}

func verifiesECDSA(ctx context.Context, k *ecdsa.PublicKey, m *message, sig []byte) (bool, error) {
	for _, h := range ecdsaHashes(k) {
		sum, err := m.sum(ctx, h)
		if err != nil || ecdsa.VerifyASN1(k, sum, sig) {
			return err == nil, err
		}
	}
	return false, nil
}

func verifiesRSA(k *rsa.PublicKey, sum, sig []byte) bool {
	return rsa.VerifyPKCS1v15(k, crypto.SHA256, sum, sig) == nil || rsa.VerifyPSS(k, crypto.SHA256, sum, sig, nil) == nil
}

// verifiesEd25519 tries the pre-hashed form first, for which a file of any length can be read.
func verifiesEd25519(ctx context.Context, k ed25519.PublicKey, m *message, sig []byte) (bool, error) {
	sum, err := m.sum(ctx, crypto.SHA512)
	if err != nil || ed25519.VerifyWithOptions(k, sum, sig, &ed25519.Options{Hash: crypto.SHA512}) == nil {
		return err == nil, err
	}
	all, err := m.all(ctx)
	return err == nil && ed25519.Verify(k, all, sig), err
}
