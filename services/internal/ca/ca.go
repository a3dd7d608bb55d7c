// Package ca is the certificate authority that the service makes for itself: it issues its own server certificate and
// its members' client certificates. It knows nothing of who may become a member, and keeps no list of what it issued.
package ca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"time"

	"github.com/countersign-escrow/countersign/escrow/resource"
)

// How long certificates live.
const (
	authorityLife = 3653 * 24 * time.Hour // ten years
	leafLife      = 90 * 24 * time.Hour
	clockSkew     = 5 * time.Minute // a client's clock may be that much behind
)

const (
	certificateBlock = "CERTIFICATE"
	keyBlock         = "PRIVATE KEY"
)

// Authority issues certificates.
type Authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// Create makes a new authority: its certificate and its key, in PEM.
func Create(now time.Time) (certPEM, keyPEM []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template, err := newTemplate("Countersign CA", now, authorityLife)
	if err != nil {
		return nil, nil, err
	}
	template.IsCA, template.BasicConstraintsValid, template.MaxPathLenZero = true, true, true
	template.KeyUsage = x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, nil, err
	}
	keyPEM, err = EncodeKey(key)
	return encode(certificateBlock, der), keyPEM, err
}

// Load reads what Create made.
func Load(certPEM, keyPEM []byte) (*Authority, error) {
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, err
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return nil, errors.New("the key of the certificate authority must be ECDSA")
	}
	if !pair.Leaf.IsCA {
		return nil, errors.New("the certificate is not one of a certificate authority")
	}
	return &Authority{cert: pair.Leaf, key: key}, nil
}

// CertificatePEM returns the authority's own certificate.
func (a *Authority) CertificatePEM() []byte { return encode(certificateBlock, a.cert.Raw) }

// Pool returns the authority as the only root of a pool.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// IssueServer makes a key and a certificate for a server with those host names and addresses.
func (a *Authority) IssueServer(names []string, now time.Time) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template, err := newTemplate("Countersign", now, leafLife)
	if err != nil {
		return tls.Certificate{}, err
	}
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := a.sign(template, key.Public())
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der, a.cert.Raw}, PrivateKey: key}, nil
}

// Issued is a client certificate.
type Issued struct {
	PEM      []byte
	Serial   string // as Serial writes it
	NotAfter time.Time
}

// IssueClient makes the client certificate of a member for the public key of a certificate request. Nothing else in the
// request counts. A request that cannot be used is a fault of kind Invalid.
func (a *Authority) IssueClient(csrPEM []byte, org resource.Organization, member string, now time.Time) (*Issued, error) {
	pub, err := requestedKey(csrPEM)
	if err != nil {
		return nil, err
	}
	template, err := newTemplate(member, now, leafLife)
	if err != nil {
		return nil, err
	}
	template.Subject.Organization = []string{org.ID}
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	template.URIs, err = memberURI(org, member)
	if err != nil {
		return nil, err
	}
	der, err := a.sign(template, pub)
	if err != nil {
		return nil, err
	}
	return &Issued{PEM: encode(certificateBlock, der), Serial: serialText(template.SerialNumber), NotAfter: template.NotAfter}, nil
}

func (a *Authority) sign(template *x509.Certificate, pub any) ([]byte, error) {
	if template.NotAfter.After(a.cert.NotAfter) {
		template.NotAfter = a.cert.NotAfter
	}
	return x509.CreateCertificate(rand.Reader, template, a.cert, pub, a.key)
}

func newTemplate(name string, now time.Time, life time.Duration) (*x509.Certificate, error) {
	const serialBits = 127 // positive, and within the 20 octets of RFC 5280
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), serialBits))
	if err != nil {
		return nil, fmt.Errorf("make a serial number: %w", err)
	}
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-clockSkew).UTC(),
		NotAfter:     now.Add(life).UTC().Truncate(time.Second),
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}, nil
}

// EncodeKey writes a private key as PKCS#8 in PEM.
func EncodeKey(key any) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return encode(keyBlock, der), nil
}

func encode(block string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: block, Bytes: der})
}
