// Package keyfile makes and reads private keys in PEM files. It knows nothing of what they sign.
package keyfile

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"

	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

// maxFile bounds a key file.
const maxFile = 64 << 10

// Load returns the bytes of a key file. One that holds a private key and that others can read is refused.
func Load(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fault.Invalidf(path, "no such key file").WithAdvice("make one with: escrowctl key generate --out %s", path)
	}
	if info.Size() > maxFile || !info.Mode().IsRegular() {
		return nil, fault.Invalidf(path, "has %d bytes, which is no key", info.Size())
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if perm := info.Mode().Perm(); perm&0o077 != 0 && IsPrivate(b) {
		return nil, fault.Invalidf(path, "can be read by others (mode %04o)", perm).WithAdvice("chmod 600 %s", path)
	}
	return b, nil
}

// Read reads the one sort of key that statements are signed with, ECDSA P-256.
func Read(path string) (*ecdsa.PrivateKey, error) {
	b, err := Load(path)
	if err != nil {
		return nil, err
	}
	key, err := Parse(b)
	if err != nil {
		return nil, fault.Invalidf(path, "%v", err)
	}
	ec, ok := key.(*ecdsa.PrivateKey)
	if !ok || ec.Curve != elliptic.P256() {
		return nil, fault.Invalidf(path, "must be an ECDSA P-256 key")
	}
	return ec, nil
}

// Parse reads a PEM block of PKCS#8, PKCS#1 or SEC 1 with a key that releases are signed with: ECDSA P-256 or P-384, Ed25519, or
// RSA of 2048 bits at least.
func Parse(b []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, errors.New("holds no PEM block")
	}
	var key any
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "PUBLIC KEY":
		return nil, errors.New("is the public key: give the private one")
	default:
		return nil, fmt.Errorf("holds a %.64q, must hold a PRIVATE KEY", block.Type)
	}
	if err != nil {
		return nil, err
	}
	return Check(key)
}

// Check refuses keys that releases are not signed with.
func Check(key any) (crypto.Signer, error) {
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		if k.Curve != elliptic.P256() && k.Curve != elliptic.P384() {
			return nil, fmt.Errorf("is an ECDSA key on the curve %s, must be on P-256 or P-384", k.Curve.Params().Name)
		}
	case *rsa.PrivateKey:
		if n := k.N.BitLen(); n < proof.MinRSABits {
			return nil, fmt.Errorf("is an RSA key of %d bits, must have %d at least", n, proof.MinRSABits)
		}
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("is a %T, which cannot sign; give an ECDSA, Ed25519 or RSA key", key)
	}
	return signer, nil
}
