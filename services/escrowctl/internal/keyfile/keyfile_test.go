package keyfile

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/countersign-escrow/countersign/verifier/publickey"
)

func TestGenerateAndRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "release.key")
	public, err := Generate(path, Default)
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
	if _, err := Generate(path, Default); err == nil {
		t.Error("written over")
	}
	if again, err := Read(path); err != nil || !again.Equal(key) {
		t.Errorf("after a second try: %v", err)
	}
}

// Every type that can be made reads back, and its public key is the one beside it.
func TestGenerateTypes(t *testing.T) {
	for _, kind := range Types {
		path := filepath.Join(t.TempDir(), "key")
		public, err := Generate(path, kind)
		if err != nil {
			t.Fatal(kind, err)
		}
		b, err := Load(path)
		if err != nil {
			t.Fatal(kind, err)
		}
		key, err := Parse(b)
		if err != nil {
			t.Fatal(kind, err)
		}
		beside, err := os.ReadFile(public)
		if err != nil {
			t.Fatal(err)
		}
		if want, err := publickey.PEM(key.Public()); err != nil || want != string(beside) {
			t.Errorf("%s: the public key is another: %v", kind, err)
		}
	}
	if _, err := Generate(filepath.Join(t.TempDir(), "key"), "dsa"); err == nil || !strings.Contains(err.Error(), "must be ecdsa-p256, ecdsa-p384, ed25519, rsa-3072") {
		t.Errorf("an unknown type: %v", err)
	}
}

func TestParseRefusesWeakKeys(t *testing.T) {
	short, _ := rsa.GenerateKey(rand.Reader, 1024)
	p521, _ := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	ec, err := x509.MarshalECPrivateKey(p521)
	for want, text := range map[string]string{
		"1024 bits":      block(t, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(short), nil),
		"the curve P-52": block(t, "EC PRIVATE KEY", ec, err),
	} {
		if _, err := Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// secretLine is a line as signify and minisign write for a secret key, of zeros.
func secretLine(marks string, length int) string {
	return base64.StdEncoding.EncodeToString(append([]byte(marks), make([]byte, length-len(marks))...))
}

func TestIsPrivate(t *testing.T) {
	for name, c := range map[string]struct {
		content string
		want    bool
	}{
		"PEM":             {"-----BEGIN EC PRIVATE KEY-----", true},
		"OpenSSH":         {"-----BEGIN OPENSSH PRIVATE KEY-----", true},
		"OpenPGP":         {"-----BEGIN PGP PRIVATE KEY BLOCK-----", true},
		"PuTTY":           {"PuTTY-User-Key-File-3: ssh-ed25519", true},
		"OpenPGP new":     {"\xc5\x58", true},
		"OpenPGP old":     {"\x95\x03", true},
		"minisign":        {"untrusted comment: mine\n" + secretLine("EdSc", 158), true},
		"signify":         {"untrusted comment: mine\n" + secretLine("EdBK", 104), true},
		"public minisign": {"untrusted comment: minisign public key 1\n" + secretLine("Ed", 42), false},
		"public OpenPGP":  {"\xc6\x33", false},
		"public OpenSSH":  {"ssh-ed25519 AAAA me", false},
		"nothing":         {"", false},
	} {
		if got := IsPrivate([]byte(c.content)); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func block(t *testing.T, kind string, der []byte, err error) string {
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
		"SEC 1":    {block(t, "EC PRIVATE KEY", sec1, err1), 0o600, ""},
		"P-384":    {block(t, "PRIVATE KEY", other, err2), 0o600, "must be an ECDSA P-256 key"},
		"cosign":   {block(t, "ENCRYPTED SIGSTORE PRIVATE KEY", nil, nil), 0o600, `holds a "ENCRYPTED SIGSTORE PRIVATE KEY"`},
		"public":   {block(t, "PUBLIC KEY", nil, nil), 0o644, "give the private one"},
		"text":     {"hello", 0o600, "holds no PEM block"},
		"readable": {block(t, "EC PRIVATE KEY", sec1, nil), 0o644, "chmod 600"},
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
