package ca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

const (
	requestBlock   = "CERTIFICATE REQUEST"
	largestRequest = 16 << 10
	requestField   = "csr_pem"
)

// NewRequest makes a certificate request (PKCS#10, PEM) for key's public half, signed with key as proof of possession.
func NewRequest(key crypto.Signer) ([]byte, error) {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return nil, err
	}
	return encode(requestBlock, der), nil
}

// requestedKey returns a request's public key once its holder has proved to have the private one.
func requestedKey(csrPEM []byte) (crypto.PublicKey, error) {
	if len(csrPEM) > largestRequest {
		return nil, fault.Exhaustedf(requestField, "has %d bytes, %d at most", len(csrPEM), largestRequest)
	}
	block, rest := pem.Decode(csrPEM)
	if block == nil || block.Type != requestBlock {
		return nil, fault.Invalidf(requestField, "is not a PEM block of type %s", requestBlock)
	}
	if len(rest) != 0 {
		return nil, fault.Invalidf(requestField, "has %d bytes after the PEM block", len(rest))
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, fault.Invalidf(requestField, "is not a PKCS#10 certificate request: %v", err)
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, fault.Invalidf(requestField, "is not signed with the key that it asks a certificate for")
	}
	if err := CheckKey(csr.PublicKey); err != nil {
		return nil, fault.Invalidf(requestField, "%v", err)
	}
	return csr.PublicKey, nil
}

// CheckKey says whether a public key is of a kind that members may use: ECDSA P-256 or P-384, or Ed25519.
func CheckKey(pub crypto.PublicKey) error {
	switch k := pub.(type) {
	case ed25519.PublicKey:
		return nil
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P256() || k.Curve == elliptic.P384() {
			return nil
		}
		return fmt.Errorf("is an ECDSA key on %s: must be on P-256 or P-384", k.Curve.Params().Name)
	}
	return fmt.Errorf("is a key of type %T: must be ECDSA P-256 or P-384, or Ed25519", pub)
}
