package ca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
)

var acme = resource.Organization{ID: "acme"}

func newAuthority(t testing.TB) *Authority {
	t.Helper()
	cert, key, err := Create(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	a, err := Load(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func newKey(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func request(t testing.TB, key crypto.Signer) []byte {
	t.Helper()
	csr, err := NewRequest(key)
	if err != nil {
		t.Fatal(err)
	}
	return csr
}

func parse(t testing.TB, certPEM []byte) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(certPEM)
	if block == nil {
		t.Fatal("no PEM")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestClientCertificate(t *testing.T) {
	a := newAuthority(t)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]crypto.Signer{
		"P-256": newKey(t, elliptic.P256()), "P-384": newKey(t, elliptic.P384()), "Ed25519": ed,
	} {
		t.Run(name, func(t *testing.T) {
			issued, err := a.IssueClient(request(t, key), acme, "ann.b-1", time.Now())
			if err != nil {
				t.Fatal(err)
			}
			cert := parse(t, issued.PEM)
			_, err = cert.Verify(x509.VerifyOptions{Roots: a.Pool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
			if err != nil {
				t.Error(err)
			}
			if _, err = cert.Verify(x509.VerifyOptions{Roots: a.Pool()}); err == nil {
				t.Error("a client certificate passes for a server's")
			}
			org, member, err := Member(cert)
			if err != nil || org != acme || member != "ann.b-1" {
				t.Errorf("names %v, %q (%v)", org, member, err)
			}
			if issued.Serial != Serial(cert) || !issued.NotAfter.Equal(cert.NotAfter) {
				t.Errorf("issued %+v, certificate has %s until %s", issued, Serial(cert), cert.NotAfter)
			}
			if life := time.Until(cert.NotAfter); life > leafLife || life < leafLife-time.Hour {
				t.Errorf("lives %s", life)
			}
		})
	}
}

func TestRequestsThatCannotBeUsed(t *testing.T) {
	a := newAuthority(t)
	good := request(t, newKey(t, elliptic.P256()))
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(good)
	forged := append([]byte(nil), block.Bytes...)
	forged[len(forged)-1] ^= 1
	for name, csr := range map[string][]byte{
		"empty":           nil,
		"no PEM":          []byte("hello"),
		"another block":   a.CertificatePEM(),
		"more behind":     append(append([]byte(nil), good...), "x"...),
		"no request":      pem.EncodeToMemory(&pem.Block{Type: requestBlock, Bytes: []byte("x")}),
		"wrong signature": pem.EncodeToMemory(&pem.Block{Type: requestBlock, Bytes: forged}),
		"RSA":             request(t, rsaKey),
		"P-521":           request(t, newKey(t, elliptic.P521())),
	} {
		if _, err := a.IssueClient(csr, acme, "ann", time.Now()); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: error %v, want a fault of kind Invalid", name, err)
		}
	}
	if _, err := a.IssueClient([]byte(strings.Repeat("x", largestRequest+1)), acme, "ann", time.Now()); !fault.Is(err, fault.Exhausted) {
		t.Errorf("too long: error %v", err)
	}
	if _, err := a.IssueClient(good, acme, "../x", time.Now()); err == nil {
		t.Error("a malformed member got a certificate")
	}
}

func TestServerCertificate(t *testing.T) {
	a := newAuthority(t)
	pair, err := a.IssueServer([]string{"localhost", "127.0.0.1", "::1"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"localhost", "127.0.0.1", "::1"} {
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: a.Pool(), DNSName: host}); err != nil {
			t.Error(err)
		}
	}
	_, err = leaf.Verify(x509.VerifyOptions{Roots: a.Pool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err == nil {
		t.Error("the server's certificate passes for a client's")
	}
}

func TestAServerCertificateIsRenewedInTime(t *testing.T) {
	now := time.Now()
	source, err := newAuthority(t).NewServerCertificate([]string{"localhost"}, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	first, err := source.Get(nil)
	if err != nil {
		t.Fatal(err)
	}
	for days, same := range map[int]bool{1: true, 59: true, 61: false} {
		now = time.Now().Add(time.Duration(days) * 24 * time.Hour)
		got, err := source.Get(nil)
		if err != nil || (got == first) != same {
			t.Errorf("after %d days: the same %t (%v)", days, got == first, err)
		}
		source.current, source.renew = first, time.Now().Add(leafLife-renewBefore)
	}
}

func TestALeafIsNoAuthority(t *testing.T) {
	a := newAuthority(t)
	pair, err := a.IssueServer([]string{"localhost"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	keyPEM, err := EncodeKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Load(encode(certificateBlock, pair.Certificate[0]), keyPEM); err == nil {
		t.Error("a server certificate was loaded as an authority")
	}
	if _, err := tls.X509KeyPair(a.CertificatePEM(), keyPEM); err == nil {
		t.Fatal("the key fits the authority")
	}
	if _, err := Load(a.CertificatePEM(), keyPEM); err == nil {
		t.Error("an authority was loaded with another's key")
	}
}

func TestMember(t *testing.T) {
	for uri, ok := range map[string]bool{
		"spiffe://countersign/organizations/acme/members/ann":     true,
		"spiffe://countersign/organizations/acme/members/ann/x":   false,
		"spiffe://countersign/organizations/acme/members/":        false,
		"spiffe://countersign/organizations/Acme/members/ann":     false,
		"spiffe://other/organizations/acme/members/ann":           false,
		"https://countersign/organizations/acme/members/ann":      false,
		"spiffe://countersign/organizations/acme/members/ann?x=1": false,
		"spiffe://countersign:1/organizations/acme/members/ann":   false,
		"spiffe://u@countersign/organizations/acme/members/ann":   false,
		"spiffe://countersign/organizations/acme":                 false,
	} {
		u, err := url.Parse(uri)
		if err != nil {
			t.Fatal(err)
		}
		org, member, err := Member(&x509.Certificate{URIs: []*url.URL{u}})
		if (err == nil) != ok {
			t.Errorf("%s: error %v", uri, err)
		}
		if ok && (org != acme || member != "ann") {
			t.Errorf("%s: %v, %q", uri, org, member)
		}
	}
	if _, _, err := Member(&x509.Certificate{}); err == nil {
		t.Error("a certificate without a name names a member")
	}
}

func FuzzRequest(f *testing.F) {
	f.Add(request(f, newKey(f, elliptic.P256())))
	f.Add([]byte("-----BEGIN CERTIFICATE REQUEST-----\n-----END CERTIFICATE REQUEST-----\n"))
	f.Fuzz(func(t *testing.T, csr []byte) {
		key, err := requestedKey(csr)
		if err == nil && CheckKey(key) != nil {
			t.Errorf("accepted a key of type %T", key)
		}
		if err != nil && fault.KindOf(err) == fault.Internal {
			t.Errorf("a bad request is taken for our own failure: %v", err)
		}
	})
}
