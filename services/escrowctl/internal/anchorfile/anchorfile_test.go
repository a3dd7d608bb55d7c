package anchorfile

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"golang.org/x/crypto/ssh"

	"github.com/countersign-escrow/countersign/verifier/publickey"
	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
	pgp "github.com/countersign-escrow/countersign/verifier/signature/openpgp"
)

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func write(t testing.TB, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file.pub")
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// samples are one file of each sort, with real keys.
type samples struct{ pem, pgp, binaryPGP, secretPGP, minisign, ssh, certificate string }

func makeSamples(t testing.TB) (s samples) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	s.pem = must[string](t)(publickey.PEM(public))
	s.ssh = string(ssh.MarshalAuthorizedKey(must[ssh.PublicKey](t)(ssh.NewPublicKey(public))))
	s.minisign = "untrusted comment: minisign public key\n" + base64.StdEncoding.EncodeToString(append([]byte("Ed01234567"), public...)) + "\n"
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	s.certificate = string(must[[]byte](t)(x509.CreateCertificate(nil, template, template, public, private)))
	entity := must[*openpgp.Entity](t)(openpgp.NewEntity("Ann", "", "ann@example.org", nil))
	var b bytes.Buffer
	if err := entity.Serialize(&b); err != nil {
		t.Fatal(err)
	}
	s.binaryPGP, s.pgp = b.String(), must[string](t)(pgp.ArmourKeys(b.Bytes()))
	b.Reset()
	if err := entity.SerializePrivate(&b, nil); err != nil {
		t.Fatal(err)
	}
	s.secretPGP = b.String()
	return s
}

func TestKeyTellsTheKind(t *testing.T) {
	s := makeSamples(t)
	for name, c := range map[string]struct {
		content string
		kind    anchor.Kind
		has     string // in the material
	}{
		"PEM":            {s.pem, anchor.PublicKey, s.pem},
		"OpenPGP":        {s.pgp, anchor.OpenPGP, s.pgp},
		"binary OpenPGP": {s.binaryPGP, anchor.OpenPGP, pgpMark},
		"minisign":       {s.minisign, anchor.Minisign, s.minisign},
		"SSH":            {s.ssh, anchor.SSH, "* ssh-ed25519 AAAA"},
		"SSH, comment":   {strings.TrimSpace(s.ssh) + " ann@example.org\n", anchor.SSH, "ann@example.org ssh-ed25519 AAAA"},
		"SSH, comments":  {strings.TrimSpace(s.ssh) + " Ann's key\n", anchor.SSH, "* ssh-ed25519 AAAA"},
	} {
		m, err := Key(write(t, c.content))
		if err != nil || m.Kind != c.kind || !strings.Contains(m.Text, c.has) || m.What == "" {
			t.Errorf("%s: %+v, %v", name, m, err)
		}
	}
}

// What the client armours is what it was.
func TestArmoured(t *testing.T) {
	s := makeSamples(t)
	block := must[*armor.Block](t)(armor.Decode(strings.NewReader(s.pgp)))
	var b bytes.Buffer
	if _, err := b.ReadFrom(block.Body); err != nil || b.String() != s.binaryPGP {
		t.Errorf("came back otherwise: %v", err)
	}
}

func TestRefused(t *testing.T) {
	s := makeSamples(t)
	read := map[string]func(string) (Material, error){"key": Key, "openpgp": OpenPGP, "minisign": Minisign, "ssh": AllowedSigners, "root": TrustedRoot,
		"x509": func(p string) (Material, error) { return Certificates(p, anchor.Name{}) }}
	private := "holds a private key, which goes to nobody"
	key := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")}))
	for name, c := range map[string]struct{ how, content, want string }{
		"private PEM":            {"key", key, private},
		"private among others":   {"x509", s.certificate + key, private},
		"private SSH":            {"ssh", "-----BEGIN OPENSSH PRIVATE KEY-----", private},
		"private OpenPGP":        {"openpgp", s.secretPGP, private},
		"private root":           {"root", key, private},
		"private minisign":       {"minisign", "untrusted comment: minisign encrypted secret key\nRWRT", private},
		"text":                   {"key", "hello", "holds no public key of a kind that is known"},
		"certificate":            {"key", "-----BEGIN CERTIFICATE-----", "give --x509"},
		"root as key":            {"key", `{"mediaType":"application/vnd.dev.sigstore.trustedroot+json"}`, "give --sigstore-root"},
		"several SSH keys":       {"key", s.ssh + s.ssh, "give --ssh-allowed-signers"},
		"text as OpenPGP":        {"openpgp", "hello", "gpg --armor --export"},
		"PEM as minisign":        {"minisign", s.pem, "holds no public key of minisign"},
		"no signers":             {"ssh", "\n", "is empty"},
		"no certificates":        {"x509", "hello", "holds no certificate"},
		"key among certificates": {"x509", s.pem, `holds a "PUBLIC KEY"`},
		"no JSON":                {"root", "hello", "is no JSON"},
		"too long":               {"key", strings.Repeat("x", anchor.MaxMaterial+1), "has more than"},
	} {
		if _, err := read[c.how](write(t, c.content)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestCertificates(t *testing.T) {
	s := makeSamples(t)
	m, err := Certificates(write(t, s.certificate), anchor.Name{Exact: "CN=Acme"})
	if err != nil {
		t.Fatal(err)
	}
	got, err := anchor.ParseCertificates(m.Text)
	if err != nil || got.Subject.Exact != "CN=Acme" {
		t.Fatalf("%+v, %v", got, err)
	}
	block, rest := pem.Decode([]byte(got.PEM))
	if block == nil || string(block.Bytes) != s.certificate || len(rest) > 0 {
		t.Errorf("%q", got.PEM)
	}
}

func FuzzKey(f *testing.F) {
	s := makeSamples(f)
	for _, seed := range []string{s.pem, s.pgp, s.binaryPGP, s.minisign, s.ssh} {
		f.Add([]byte(seed))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(dir, "key")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if m, err := Key(path); err == nil && (m.Kind == "" || m.Text == "") {
			t.Errorf("%+v", m)
		}
	})
}
