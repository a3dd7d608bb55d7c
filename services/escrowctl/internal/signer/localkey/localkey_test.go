package localkey

import (
	"bytes"
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
	"strings"
	"testing"
	"time"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"golang.org/x/crypto/ssh"

	"github.com/countersign-escrow/countersign/escrow/resource"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/keyfile"
	"github.com/countersign-escrow/countersign/verifier/finding"
	"github.com/countersign-escrow/countersign/verifier/publickey"
	"github.com/countersign-escrow/countersign/verifier/signature"
	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
	"github.com/countersign-escrow/countersign/verifier/signature/sigstorebundle"
	"github.com/countersign-escrow/countersign/verifier/signature/sshsig"
)

var content = []byte("the manifest")

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t testing.TB, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	check(t, os.WriteFile(path, content, 0o600))
	return path
}

func noAsk(string) ([]byte, error) { return nil, errors.New("nobody is there to ask") }

// counts judges a signature over content by an anchor.
func counts(t *testing.T, f File, kind anchor.Kind, material string) {
	t.Helper()
	a := anchor.Anchor{Name: "organizations/acme/trustAnchors/a", Kind: kind, Material: material, Purpose: anchor.Release}
	name, err := resource.ParseRelease("organizations/acme/products/widget/releases/1")
	check(t, err)
	got, err := signature.NewTrust([]anchor.Anchor{a}).Check(t.Context(), signature.Release{Name: name, Manifest: content, Deposited: time.Now(),
		Signatures: []signature.Signature{{Name: "s", MediaType: f.MediaType, Content: f.Content}}})
	check(t, err)
	if got.Outcome != finding.Passed {
		t.Errorf("%s: %+v", got.Summary, got.Evidence.Signatures)
	}
	other, err := signature.NewTrust([]anchor.Anchor{a}).Check(t.Context(), signature.Release{Name: name, Manifest: []byte("another"), Deposited: time.Now(),
		Signatures: []signature.Signature{{Name: "s", MediaType: f.MediaType, Content: f.Content}}})
	if err != nil || other.Outcome == finding.Passed {
		t.Errorf("counts over something else, too: %v", err)
	}
}

func byPEM(t *testing.T, f File, public crypto.PublicKey) {
	t.Helper()
	text, err := publickey.PEM(public)
	check(t, err)
	if f.MediaType != sigstorebundle.MediaType {
		t.Errorf("media type %s", f.MediaType)
	}
	counts(t, f, anchor.PublicKey, text)
}

func sign(t *testing.T, key string, ask Ask) File {
	t.Helper()
	s, err := Open(key, ask)
	check(t, err)
	f, err := s.Sign(t.Context(), content)
	check(t, err)
	return f
}

func TestPEM(t *testing.T) {
	for _, kind := range keyfile.Types {
		t.Run(kind, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "release.key")
			_, err := keyfile.Generate(path, kind)
			check(t, err)
			b, err := keyfile.Load(path)
			check(t, err)
			key, err := keyfile.Parse(b)
			check(t, err)
			byPEM(t, sign(t, path, noAsk), key.Public())
		})
	}
}

// A key as cosign generate-key-pair makes it: its password comes from the variable, or is asked for.
func TestEncryptedPEM(t *testing.T) {
	private, public, err := cryptoutils.GeneratePEMEncodedECDSAKeyPair(elliptic.P256(), cryptoutils.StaticPasswordFunc([]byte("secret")))
	check(t, err)
	key, err := publickey.Parse(string(public))
	check(t, err)
	path := write(t, "cosign.key", private)
	byPEM(t, sign(t, path, func(string) ([]byte, error) { return []byte("secret"), nil }), key)
	t.Setenv(passwordVariable, "secret")
	byPEM(t, sign(t, path, noAsk), key)
	t.Setenv(passwordVariable, "wrong")
	if _, err := Open(path, noAsk); err == nil || !strings.Contains(err.Error(), "is the password right?") {
		t.Errorf("wrong password: %v", err)
	}
}

// sshPair is a private key in OpenSSH's form and its public key.
func sshPair(t *testing.T, key crypto.Signer, passphrase string) ([]byte, ssh.PublicKey) {
	t.Helper()
	public, err := ssh.NewPublicKey(key.Public())
	check(t, err)
	var block *pem.Block
	if passphrase == "" {
		block, err = ssh.MarshalPrivateKey(key, "ann")
	} else {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(key, "ann", []byte(passphrase))
	}
	check(t, err)
	return pem.EncodeToMemory(block), public
}

func bySSH(t *testing.T, f File, public ssh.PublicKey) {
	t.Helper()
	if f.MediaType != sshsig.MediaType {
		t.Errorf("media type %s", f.MediaType)
	}
	counts(t, f, anchor.SSH, "ann "+string(ssh.MarshalAuthorizedKey(public)))
}

func TestSSH(t *testing.T) {
	_, ed, err := ed25519.GenerateKey(nil)
	check(t, err)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	check(t, err)
	for name, key := range map[string]crypto.Signer{"ed25519": ed, "ecdsa": ec, "rsa": r} {
		t.Run(name, func(t *testing.T) {
			private, public := sshPair(t, key, "")
			bySSH(t, sign(t, write(t, "id", private), noAsk), public)
			private, _ = sshPair(t, key, "secret")
			bySSH(t, sign(t, write(t, "id", private), func(string) ([]byte, error) { return []byte("secret"), nil }), public)
			if _, err := Open(write(t, "id", private), noAsk); err == nil || !strings.Contains(err.Error(), "ssh-add") {
				t.Errorf("nobody to ask: %v", err)
			}
			bySSH(t, byAgent(t, key, public), public)
		})
	}
}

func TestRefused(t *testing.T) {
	p521, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	check(t, err)
	der, err := x509.MarshalECPrivateKey(p521)
	check(t, err)
	public := write(t, "key.pub", []byte("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA"))
	for key, want := range map[string]string{
		"/none":                           "no such key file",
		write(t, "text", []byte("hello")): "holds no PEM block",
		write(t, "p521", pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})): "must be on P-256 or P-384",
		write(t, "pub", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY"})):                  "give the private one",
		public: "looks like an SSH public key",
	} {
		if _, err := Open(key, noAsk); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", key, err, want)
		}
	}
}

func FuzzOpen(f *testing.F) {
	f.Add([]byte("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----"))
	f.Add([]byte("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----"))
	f.Add([]byte("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA"))
	path := filepath.Join(f.TempDir(), "key")
	f.Fuzz(func(t *testing.T, b []byte) {
		if bytes.Contains(b, []byte("scrypt")) { // a file may ask for much work, and it is its owner's own
			return
		}
		check(t, os.WriteFile(path, b, 0o600))
		if s, err := Open(path, noAsk); (s == nil) == (err == nil) {
			t.Errorf("%v, %v", s, err)
		}
	})
}
