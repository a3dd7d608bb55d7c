package rawkey

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	_ "crypto/sha256" // of the file's digest
	_ "crypto/sha512" // for the larger curves, and Ed25519ph
	"fmt"
	"io"

	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

// hashes are what ECDSA keys sign, by curve: SHA-256 of whatever curve, as older cosign and openssl users do, and the hash that is as strong as
// the curve, as cosign 3 does.
var hashes = map[string][]crypto.Hash{
	"P-256": {crypto.SHA256},
	"P-384": {crypto.SHA256, crypto.SHA384},
	"P-521": {crypto.SHA256, crypto.SHA512},
}

// trial is one signature that keys are tried on.
type trial struct {
	raw     []byte
	file    proof.File
	sums    map[crypto.Hash][]byte
	whole   []byte // of the file, once it was needed
	hashed  int64  // bytes that were hashed for Ed25519 keys
	untried string // what was not tried, as the end of a sentence
}

// attempts go from what needs no reading of the file to what needs it whole, the rarest last. Each returns how the key made the signature, "" if
// it did not; errors are those of reading the file.
var attempts = []func(ctx context.Context, t *trial, public crypto.PublicKey) (string, error){byDigest, byLongerHash, byContent, byPrehash}

// byDigest tries what goes by the SHA-256 of the file.
func byDigest(_ context.Context, t *trial, public crypto.PublicKey) (string, error) {
	sum := t.sums[crypto.SHA256]
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		if ecdsa.VerifyASN1(k, sum, t.raw) {
			return "ECDSA with SHA-256", nil
		}
	case *rsa.PublicKey:
		if len(t.raw) != k.Size() {
			return "", nil
		}
		if rsa.VerifyPKCS1v15(k, crypto.SHA256, sum, t.raw) == nil {
			return "RSA PKCS #1 v1.5 with SHA-256", nil
		}
		if rsa.VerifyPSS(k, crypto.SHA256, sum, t.raw, nil) == nil {
			return "RSA PSS with SHA-256", nil
		}
	}
	return "", nil
}

// byLongerHash tries the hashes of the larger curves, for signatures that have the form of ECDSA's.
func byLongerHash(ctx context.Context, t *trial, public crypto.PublicKey) (string, error) {
	k, ok := public.(*ecdsa.PublicKey)
	if !ok || !isECDSA(t.raw) {
		return "", nil
	}
	for _, h := range hashes[k.Curve.Params().Name] {
		if h == crypto.SHA256 {
			continue
		}
		sum, err := t.sum(ctx, h)
		if err != nil {
			return "", err
		}
		if ecdsa.VerifyASN1(k, sum, t.raw) {
			return "ECDSA with " + h.String(), nil
		}
	}
	return "", nil
}

// byPrehash tries Ed25519ph (RFC 8032), which some signers in key management services make.
func byPrehash(ctx context.Context, t *trial, public crypto.PublicKey) (string, error) {
	k, ok := public.(ed25519.PublicKey)
	if !ok || len(t.raw) != ed25519.SignatureSize {
		return "", nil
	}
	sum, err := t.sum(ctx, crypto.SHA512)
	if err != nil {
		return "", err
	}
	if ed25519.VerifyWithOptions(k, sum, t.raw, &ed25519.Options{Hash: crypto.SHA512}) == nil {
		return "Ed25519ph", nil
	}
	return "", nil
}

// byContent tries pure Ed25519, which is over the file itself.
func byContent(ctx context.Context, t *trial, public crypto.PublicKey) (string, error) {
	k, ok := public.(ed25519.PublicKey)
	if !ok || len(t.raw) != ed25519.SignatureSize {
		return "", nil
	}
	if t.file.Size > maxWhole {
		t.untried = fmt.Sprintf(". Pure Ed25519 was not tried: the file has %d bytes, %d at most; sign it with an ECDSA key", t.file.Size, maxWhole)
		return "", nil
	}
	if t.hashed += t.file.Size; t.hashed > maxHashed {
		t.untried = ". Not all Ed25519 keys were tried, for there are too many for a file of this size: sign with an ECDSA key"
		return "", nil
	}
	if err := t.read(ctx); err != nil {
		return "", err
	}
	if ed25519.Verify(k, t.whole, t.raw) {
		return "Ed25519", nil
	}
	return "", nil
}

// read reads the file into memory, once.
func (t *trial) read(ctx context.Context) error {
	if t.whole != nil {
		return nil
	}
	b := make([]byte, t.file.Size)
	err := t.file.Read(ctx, func(r io.Reader) error {
		_, err := io.ReadFull(r, b)
		return err
	})
	if err != nil {
		return err
	}
	t.whole = b
	return nil
}

// sum hashes the file, once.
func (t *trial) sum(ctx context.Context, of crypto.Hash) ([]byte, error) {
	if sum, ok := t.sums[of]; ok {
		return sum, nil
	}
	h := of.New()
	err := t.file.Read(ctx, func(r io.Reader) error {
		_, err := io.Copy(h, r)
		return err
	})
	if err != nil {
		return nil, err
	}
	t.sums[of] = h.Sum(nil)
	return t.sums[of], nil
}
