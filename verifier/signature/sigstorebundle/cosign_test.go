package sigstorebundle

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/verifier/publickey"
	"github.com/countersign-escrow/countersign/verifier/stocktest"
)

// cosign runs stock cosign in dir, without a way to any service.
func cosign(t testing.TB, dir string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), stocktest.Cosign(t), args...)
	cmd.Dir = dir
	cmd.Env = []string{"HOME=" + dir, "COSIGN_PASSWORD=", "HTTPS_PROXY=http://127.0.0.1:1", "HTTP_PROXY=http://127.0.0.1:1"}
	cmd.WaitDelay = 10 * time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("cosign %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func put(t testing.TB, dir, name string, b []byte) {
	t.Helper()
	check(t, os.WriteFile(filepath.Join(dir, name), b, 0o600))
}

func get(t testing.TB, dir, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	check(t, err)
	return b
}

// byCosign signs the manifest with stock cosign, a vendor's key and no service.
func byCosign(t testing.TB, dir string, key crypto.Signer, args ...string) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	check(t, err)
	put(t, dir, "key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	put(t, dir, "manifest.json", theManifest)
	cosign(t, dir, "import-key-pair", "--key", "key.pem", "--output-key-prefix", "imported", "--yes")
	cosign(t, dir, append(args, "--key", "imported.key", "--bundle", "bundle.json", "--use-signing-config=false", "--tlog-upload=false", "--yes", "manifest.json")...)
	return get(t, dir, "bundle.json")
}

func TestBundlesByCosign(t *testing.T) {
	for name, key := range signers(t) {
		t.Run(name, func(t *testing.T) {
			content, a := byCosign(t, t.TempDir(), key, "sign-blob"), keyAnchor(t, "cosign", key.Public())
			wantGood(t, content, manifest(theManifest), a)
			wantProblem(t, "over other bytes", content, manifest([]byte("other bytes")), a)
			wantProblem(t, "trust anchor", content, manifest(theManifest), keyAnchor(t, "other", newKey(t).Public()))
		})
	}
}

func TestAttestationByCosign(t *testing.T) {
	dir, key := t.TempDir(), newKey(t)
	put(t, dir, "predicate.json", []byte(`{"x":1}`))
	content := byCosign(t, dir, key, "attest-blob", "--predicate", "predicate.json", "--type", "https://example.com/predicate")
	p := wantGood(t, content, manifest(theManifest), keyAnchor(t, "cosign", key.Public()))
	if p.Signed == nil || !strings.Contains(string(p.Signed.Content), "https://example.com/predicate") {
		t.Errorf("%+v", p)
	}
}

// Stock cosign takes what Sign makes. With --key it takes SHA-256 alone, whatever the curve, so that it refuses what itself signs with the
// larger ones: TestSigstoreAcceptsOurs is about those.
func TestCosignAcceptsOurs(t *testing.T) {
	keys := signers(t)
	for _, name := range []string{"P-256", "RSA", "Ed25519"} {
		t.Run(name, func(t *testing.T) {
			key := keys[name]
			dir := t.TempDir()
			text, err := publickey.PEM(key.Public())
			check(t, err)
			put(t, dir, "manifest.json", theManifest)
			put(t, dir, "key.pub", []byte(text))
			put(t, dir, "bundle.json", sign(t, key))
			cosign(t, dir, "verify-blob", "--key", "key.pub", "--bundle", "bundle.json", "--insecure-ignore-tlog", "manifest.json")
		})
	}
}

// Stock cosign and Prove agree on a bundle by a certificate, offline.
func TestCosignAgreesOnIdentity(t *testing.T) {
	dir, i := t.TempDir(), newInstance(t)
	content := compact(t, i.certified(t))
	wantGood(t, content, manifest(theManifest), i.anchors(t)...)
	put(t, dir, "manifest.json", theManifest)
	put(t, dir, "root.json", []byte(i.root))
	put(t, dir, "bundle.json", content)
	cosign(t, dir, "verify-blob", "--bundle", "bundle.json", "--trusted-root", "root.json", "--insecure-ignore-sct",
		"--certificate-identity", someone, "--certificate-oidc-issuer", issuer, "manifest.json")
}
