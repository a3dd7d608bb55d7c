package attest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"time"
)

const timestampYears = 10

// MakeTimestampCertificates makes a certificate for the time-stamp key public, and the root that signed it, in this order. The
// root's key is thrown away, so that nobody can ever make another certificate below it: a new key comes with a new root.
func MakeTimestampCertificates(organization string, public crypto.PublicKey, now time.Time) ([]*x509.Certificate, error) {
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("time-stamp root: %w", err)
	}
	from := now.UTC().Truncate(time.Second)
	until := from.AddDate(timestampYears, 0, 0)
	root, err := issue(&x509.Certificate{
		Subject:               pkix.Name{Organization: []string{organization}, CommonName: organization + " time-stamp root"},
		NotBefore:             from,
		NotAfter:              until,
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign,
	}, nil, rootKey.Public(), rootKey)
	if err != nil {
		return nil, err
	}
	use, err := asn1.Marshal([]asn1.ObjectIdentifier{oidTimeStamping})
	if err != nil {
		return nil, fmt.Errorf("time-stamp certificate: %w", err)
	}
	leaf, err := issue(&x509.Certificate{
		Subject:               pkix.Name{Organization: []string{organization}, CommonName: organization + " time stamps"},
		NotBefore:             from,
		NotAfter:              until,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtraExtensions:       []pkix.Extension{{Id: oidExtKeyUsage, Critical: true, Value: use}}, // the standard field is never critical
	}, root, public, rootKey)
	if err != nil {
		return nil, err
	}
	return []*x509.Certificate{leaf, root}, nil
}

// issue signs a certificate; one without a parent signs itself.
func issue(template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("time-stamp certificate: %w", err)
	}
	template.SerialNumber = serial.Add(serial, big.NewInt(1))
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		return nil, fmt.Errorf("time-stamp certificate: %w", err)
	}
	return x509.ParseCertificate(der)
}
