package signeddata

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
)

// The signed attributes by which a signer names its own certificate (RFC 5035).
var (
	oidCertificate   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 12} // by SHA-1
	oidCertificateV2 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 47}
)

// namedCertificates is SigningCertificate and SigningCertificateV2, which differ in that the older has no algorithm. The first is the signer's.
type namedCertificates struct {
	Certificates []namedCertificate
	Policies     asn1.RawValue `asn1:"optional"`
}

type namedCertificate struct {
	Algorithm pkix.AlgorithmIdentifier `asn1:"optional"`
	Digest    []byte
	Issuer    asn1.RawValue `asn1:"optional"`
}

// checkNamed makes sure that a signer who names its certificate under its signature names this one: which certificate it is stands
// nowhere else under the signature, and others may be had for the same key.
func (s *Signer) checkNamed(c *x509.Certificate) error {
	err := s.checkNamedBy(oidCertificate, crypto.SHA1, c)
	if err == nil {
		err = s.checkNamedBy(oidCertificateV2, crypto.SHA256, c)
	}
	if err != nil {
		return fmt.Errorf("signing certificate: %w", err)
	}
	return nil
}

func (s *Signer) checkNamedBy(attribute asn1.ObjectIdentifier, hash crypto.Hash, c *x509.Certificate) error {
	if len(s.signed.all(attribute)) == 0 {
		return nil
	}
	v, err := s.signed.one(attribute)
	if err != nil {
		return err
	}
	return matchNamed(v, hash, c)
}

func matchNamed(der []byte, hash crypto.Hash, c *x509.Certificate) error {
	var list namedCertificates
	if err := unmarshal(der, &list); err != nil || len(list.Certificates) == 0 {
		return errors.New("the attribute cannot be read")
	}
	first := list.Certificates[0]
	if len(first.Algorithm.Algorithm) > 0 {
		var err error
		if hash, err = HashOf(first.Algorithm); err != nil {
			return err
		}
	}
	if sum, _ := bytesContent(c.Raw).Digest(hash); !bytes.Equal(sum, first.Digest) {
		return errors.New("the signature names another certificate than the one that it is with")
	}
	return nil
}
