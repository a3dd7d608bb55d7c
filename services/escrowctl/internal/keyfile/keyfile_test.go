package keyfile

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/countersign-escrow/countersign/verifier/publickey"
)

func TestGenerateAndRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "release.key")
	public, err := Generate(path)
	if err != nil {
		t.Fatal(err)
	}
	key, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(public)
	if err != nil {
		t.Fatal(err)
	}
	if pub, err := publickey.Parse(string(b)); err != nil || !key.PublicKey.Equal(pub) {
		t.Errorf("the public key is another: %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if _, err := Generate(path); err == nil {
		t.Error("written over")
	}
	if again, err := Read(path); err != nil || !again.Equal(key) {
		t.Errorf("after a second try: %v", err)
	}
}

func encode(t *testing.T, kind string, der []byte, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func TestRead(t *testing.T) {
	p256, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	p384, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	sec1, err1 := x509.MarshalECPrivateKey(p256)
	other, err2 := x509.MarshalPKCS8PrivateKey(p384)
	for name, c := range map[string]struct {
		content string
		mode    os.FileMode
		want    string
	}{
		"SEC 1":    {encode(t, "EC PRIVATE KEY", sec1, err1), 0o600, ""},
		"P-384":    {encode(t, "PRIVATE KEY", other, err2), 0o600, "must be an ECDSA P-256 key"},
		"cosign":   {encode(t, "ENCRYPTED SIGSTORE PRIVATE KEY", nil, nil), 0o600, "is encrypted"},
		"public":   {encode(t, "PUBLIC KEY", nil, nil), 0o600, "give the private one"},
		"text":     {"hello", 0o600, "holds no PEM block"},
		"readable": {encode(t, "EC PRIVATE KEY", sec1, nil), 0o644, "chmod 600"},
		"large":    {strings.Repeat("x", maxFile+1), 0o600, "which is no key"},
	} {
		path := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(path, []byte(c.content), c.mode); err != nil {
			t.Fatal(err)
		}
		_, err := Read(path)
		if (c.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if _, err := Read(filepath.Join(t.TempDir(), "none")); err == nil || !strings.Contains(err.Error(), "escrowctl key generate") {
		t.Errorf("no file: %v", err)
	}
}
