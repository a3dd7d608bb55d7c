// Package publickey reads, writes and names public keys as the rest of the world does: PEM around a SubjectPublicKeyInfo.
// It knows nothing of whom a key belongs to or whether it counts.
package publickey

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

const (
	pemType  = "PUBLIC KEY"
	maxBytes = 16 << 10
)

// Parse reads one PEM block and nothing else.
func Parse(text string) (crypto.PublicKey, error) {
	if len(text) > maxBytes {
		return nil, fault.Exhaustedf("public key", "has %d bytes, %d at most", len(text), maxBytes)
	}
	block, rest := pem.Decode([]byte(text))
	if block == nil || block.Type != pemType {
		return nil, fault.Invalidf("public key", "must be a PEM block that begins with -----BEGIN %s-----", pemType)
	}
	if len(bytes.TrimSpace(rest)) > 0 {
		return nil, fault.Invalidf("public key", "something follows the PEM block")
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fault.Invalidf("public key", "%v", err)
	}
	return key, nil
}

// PEM writes a key as Parse reads it.
func PEM(key crypto.PublicKey) (string, error) {
	der, err := DER(key)
	if err != nil {
		return "", err
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der})), nil
}

// DER returns a key's SubjectPublicKeyInfo.
func DER(key crypto.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, fault.Invalidf("public key", "%v", err)
	}
	return der, nil
}

// ID returns a key's id: the SHA-256 of its SubjectPublicKeyInfo, hexadecimal.
func ID(key crypto.PublicKey) (string, error) {
	der, err := DER(key)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:]), nil
}

// P256 returns key as an ECDSA key on the curve P-256, the one sort of key that statements are signed with.
func P256(key crypto.PublicKey) (*ecdsa.PublicKey, error) {
	k, ok := key.(*ecdsa.PublicKey)
	if !ok || k == nil {
		return nil, fault.Invalidf("public key", "is a %T, must be ECDSA on the curve P-256", key)
	}
	if k.Curve != elliptic.P256() {
		return nil, fault.Invalidf("public key", "is on the curve %s, must be on P-256", curveName(k))
	}
	return k, nil
}

func curveName(k *ecdsa.PublicKey) string {
	if k.Curve == nil {
		return "none"
	}
	return k.Curve.Params().Name
}
