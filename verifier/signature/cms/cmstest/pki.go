// Package cmstest makes certificates, and a time-stamping authority, for tests of signatures in CMS. It knows nothing of how they are
// judged.
package cmstest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
)

// Holder has a certificate and its key.
type Holder struct {
	*x509.Certificate
	Key    crypto.Signer
	Issuer *Holder // nil for a root
}

// Template is a certificate that is yet to be signed.
type Template = x509.Certificate

// Change alters a certificate before it is signed.
type Change = func(*Template)

// The changes that most tests need.
var (
	Code  Change = func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning} }
	Mail  Change = func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection} }
	Stamp Change = func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageTimeStamping} }
	TLS   Change = func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }
	// Encipher is a certificate whose key makes no signatures.
	Encipher Change = func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment }
	// BySHA1 is a certificate that is signed with RSA and SHA-1.
	BySHA1 Change = func(c *x509.Certificate) { c.SignatureAlgorithm = x509.SHA1WithRSA }
	// NoMore is an authority that allows no other below it.
	NoMore Change = func(c *x509.Certificate) { c.MaxPathLenZero = true }
	// OnlyNames is an authority for names below b.example alone.
	OnlyNames Change = func(c *x509.Certificate) {
		c.PermittedDNSDomains, c.PermittedDNSDomainsCritical = []string{"b.example"}, true
	}
	// Old is a certificate that is long expired.
	Old Change = func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Date(2019, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	}
)

// RSA makes a key of so many bits.
func RSA(t testing.TB, bits int) crypto.Signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// EC makes a key on P-256.
func EC(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// Root makes an authority that signed itself.
func Root(t testing.TB, name string, key crypto.Signer, changes ...Change) *Holder {
	t.Helper()
	return issue(t, nil, name, key, append([]Change{authority}, changes...))
}

// Authority makes an authority below this one.
func (h *Holder) Authority(t testing.TB, name string, key crypto.Signer, changes ...Change) *Holder {
	t.Helper()
	return issue(t, h, name, key, append([]Change{authority}, changes...))
}

// Issue makes a certificate that certifies nobody else.
func (h *Holder) Issue(t testing.TB, name string, key crypto.Signer, changes ...Change) *Holder {
	t.Helper()
	return issue(t, h, name, key, changes)
}

func authority(c *x509.Certificate) { c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign }

func issue(t testing.TB, issuer *Holder, name string, key crypto.Signer, changes []Change) *Holder {
	t.Helper()
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 100))
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: name, Organization: []string{"Countersign tests"}},
		NotBefore: time.Now().Add(-time.Hour).Truncate(time.Second), NotAfter: time.Now().AddDate(5, 0, 0).Truncate(time.Second),
		KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true, SubjectKeyId: serial.Bytes()}
	for _, change := range changes {
		change(c)
	}
	parent, signer := c, key
	if issuer != nil {
		parent, signer = issuer.Certificate, issuer.Key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return &Holder{c, key, issuer}
}

// PEM writes certificates.
func PEM(list ...*Holder) string {
	var b bytes.Buffer
	for _, h := range list {
		_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: h.Raw})
	}
	return b.String()
}

// Anchor makes an X509 anchor of certificates; no subject is asked for where it is empty.
func Anchor(t testing.TB, name, subject string, list ...*Holder) anchor.Anchor {
	t.Helper()
	material, err := anchor.Material(anchor.Certificates{PEM: PEM(list...), Subject: anchor.Name{Exact: subject}})
	if err != nil {
		t.Fatal(err)
	}
	return anchor.Anchor{Name: name, Kind: anchor.X509, Material: material, Purpose: anchor.Release}
}

// TimeAnchor makes an anchor for time stamps.
func TimeAnchor(t testing.TB, name string, list ...*Holder) anchor.Anchor {
	t.Helper()
	a := Anchor(t, name, "", list...)
	a.Purpose = anchor.Time
	return a
}

// Files writes the certificate, its key, and the certificates above it for stock tools.
func (h *Holder) Files(t testing.TB) (cert, key, above string) {
	t.Helper()
	dir := t.TempDir()
	der, err := x509.MarshalPKCS8PrivateKey(h.Key)
	if err != nil {
		t.Fatal(err)
	}
	var chain []*Holder
	for up := h.Issuer; up != nil; up = up.Issuer {
		chain = append(chain, up)
	}
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	private := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	return write("cert.pem", PEM(h)), write("key.pem", private), write("above.pem", PEM(chain...))
}

// Ed25519 makes a key.
func Ed25519(t testing.TB) crypto.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
