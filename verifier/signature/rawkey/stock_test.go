package rawkey

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
	"github.com/countersign-escrow/countersign/verifier/stocktest"
)

// work is a folder with the file to sign, in which stock tools run.
type work string

func newWork(t *testing.T) work {
	dir := work(t.TempDir())
	if err := os.WriteFile(filepath.Join(string(dir), "file"), payload, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func (w work) run(t *testing.T, tool string, args ...string) {
	t.Helper()
	cmd := exec.Command(tool, args...)
	cmd.Dir = string(w)
	cmd.Env = append(os.Environ(), "COSIGN_PASSWORD=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", tool, args, err, out)
	}
}

func (w work) read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(string(w), name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// judge holds a signature in the folder against the public key in it, over the file and over another.
func (w work) judge(t *testing.T, public, sig, scheme string) {
	t.Helper()
	a := anchor.Anchor{Name: "a", Kind: anchor.PublicKey, Purpose: anchor.Release, Material: string(w.read(t, public))}
	content := w.read(t, sig)
	if got := prove(t, content, proof.Bytes(proof.Artifact, "f", payload), a); got.Problem != "" || !strings.HasSuffix(got.Scope, " by "+scheme) {
		t.Errorf("%s: %+v", scheme, got)
	}
	if got := prove(t, content, proof.Bytes(proof.Artifact, "f", append([]byte("x"), payload...)), a); got.Problem == "" {
		t.Errorf("%s, other file: %+v", scheme, got)
	}
	if !Detect(content) {
		t.Errorf("%s: %q is not detected", scheme, content)
	}
}

// stockKeys are made with openssl.
var stockKeys = map[string]struct {
	options []string // of openssl genpkey
	cosign  string   // how stock cosign signs with such a key
}{
	"p256":    {[]string{"-algorithm", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"}, "ECDSA with SHA-256"},
	"p384":    {[]string{"-algorithm", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"}, "ECDSA with SHA-384"},
	"p521":    {[]string{"-algorithm", "ec", "-pkeyopt", "ec_paramgen_curve:P-521"}, "ECDSA with SHA-512"},
	"rsa":     {[]string{"-algorithm", "rsa", "-pkeyopt", "rsa_keygen_bits:2048"}, "RSA PKCS #1 v1.5 with SHA-256"},
	"ed25519": {[]string{"-algorithm", "ed25519"}, "Ed25519"},
}

func (w work) newKey(t *testing.T, name string) {
	t.Helper()
	w.run(t, "openssl", append([]string{"genpkey", "-out", "key.pem"}, stockKeys[name].options...)...)
	w.run(t, "openssl", "pkey", "-in", "key.pem", "-pubout", "-out", "key.pub")
}

func TestStockOpenSSL(t *testing.T) {
	stocktest.Need(t, "openssl")
	for name := range stockKeys {
		w := newWork(t)
		w.newKey(t, name)
		switch name {
		case "ed25519":
			w.run(t, "openssl", "pkeyutl", "-sign", "-inkey", "key.pem", "-rawin", "-in", "file", "-out", "sig")
			w.judge(t, "key.pub", "sig", "Ed25519")
		case "rsa":
			w.run(t, "openssl", "dgst", "-sha256", "-sign", "key.pem", "-out", "sig", "file")
			w.judge(t, "key.pub", "sig", "RSA PKCS #1 v1.5 with SHA-256")
			w.run(t, "openssl", "dgst", "-sha256", "-sigopt", "rsa_padding_mode:pss", "-sign", "key.pem", "-out", "sig", "file")
			w.judge(t, "key.pub", "sig", "RSA PSS with SHA-256")
		default:
			w.run(t, "openssl", "dgst", "-sha256", "-sign", "key.pem", "-out", "sig", "file")
			w.judge(t, "key.pub", "sig", "ECDSA with SHA-256")
			w.run(t, "openssl", "base64", "-in", "sig", "-out", "sig.txt") // with line breaks
			w.judge(t, "key.pub", "sig.txt", "ECDSA with SHA-256")
		}
	}
}

func TestStockCosign(t *testing.T) {
	stocktest.Need(t, "openssl")
	cosign := stocktest.Cosign(t)
	for name, key := range stockKeys {
		w := newWork(t)
		w.newKey(t, name)
		w.run(t, cosign, "import-key-pair", "--key", "key.pem")
		w.run(t, cosign, "sign-blob", "--yes", "--key", "import-cosign.key", "--use-signing-config=false", "--tlog-upload=false",
			"--new-bundle-format=false", "--output-signature", "sig", "file")
		w.judge(t, "import-cosign.pub", "sig", key.cosign)
	}
}
