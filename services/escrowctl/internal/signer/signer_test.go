package signer

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/escrow/resource"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/signer/localkey"
	"github.com/countersign-escrow/countersign/verifier/finding"
	"github.com/countersign-escrow/countersign/verifier/publickey"
	"github.com/countersign-escrow/countersign/verifier/signature"
	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
	"github.com/countersign-escrow/countersign/verifier/signature/sigstorebundle"
)

var content = []byte("the manifest")

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func noAsk(string) ([]byte, error) { return nil, errors.New("nobody is there to ask") }

// keys are one of each sort that a release can be signed with in a key management system.
func keys(t *testing.T) map[string]crypto.Signer {
	t.Helper()
	all := make(map[string]crypto.Signer)
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		check(t, err)
		all[curve.Params().Name] = key
	}
	var err error
	_, all["Ed25519"], err = ed25519.GenerateKey(nil)
	check(t, err)
	all["RSA"], err = rsa.GenerateKey(rand.Reader, 2048)
	check(t, err)
	return all
}

func writeKey(t *testing.T, key crypto.Signer) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	check(t, err)
	path := filepath.Join(t.TempDir(), "release.key")
	check(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600))
	return path
}

// signs has a key sign, and judges the signature by its public half.
func signs(t *testing.T, key string, public crypto.PublicKey) {
	t.Helper()
	s, err := Open(key, noAsk)
	check(t, err)
	f, err := s.Sign(t.Context(), content)
	check(t, err)
	if f.MediaType != sigstorebundle.MediaType {
		t.Errorf("media type %s", f.MediaType)
	}
	if got := judge(t, f, public, content); got.Outcome != finding.Passed {
		t.Errorf("%s: %+v", got.Summary, got.Evidence.Signatures)
	}
	if got := judge(t, f, public, []byte("another")); got.Outcome == finding.Passed {
		t.Error("counts over something else, too")
	}
}

func judge(t *testing.T, f localkey.File, public crypto.PublicKey, manifest []byte) finding.Finding {
	t.Helper()
	text, err := publickey.PEM(public)
	check(t, err)
	name, err := resource.ParseRelease("organizations/acme/products/widget/releases/1")
	check(t, err)
	a := anchor.Anchor{Name: "organizations/acme/trustAnchors/a", Kind: anchor.PublicKey, Material: text, Purpose: anchor.Release}
	got, err := signature.NewTrust([]anchor.Anchor{a}).Check(t.Context(), signature.Release{Name: name, Manifest: manifest, Deposited: time.Now(),
		Signatures: []signature.Signature{{Name: "s", MediaType: f.MediaType, Content: f.Content}}})
	check(t, err)
	return got
}

func TestFile(t *testing.T) {
	key := keys(t)["P-256"]
	signs(t, writeKey(t, key), key.Public())
}
