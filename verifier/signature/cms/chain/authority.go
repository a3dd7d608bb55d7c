package chain

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
)

// Authority is what an X509 anchor holds.
type Authority struct {
	certificates []*x509.Certificate
	subject      anchor.Name
}

// Read reads an X509 anchor. One that holds a certificate authority must say whose signatures count below it, unless it is for time stamps.
func Read(a anchor.Anchor) (*Authority, error) {
	material, err := anchor.ParseCertificates(a.Material)
	if err != nil {
		return nil, err
	}
	to := &Authority{subject: material.Subject}
	if to.certificates, err = readPEM(material.PEM); err != nil {
		return nil, fmt.Errorf("pem: %w", err)
	}
	if a.Purpose != anchor.Time && to.subject.IsZero() {
		for i, c := range to.certificates {
			if c.IsCA {
				return nil, fmt.Errorf("subject: is missing, and certificate %d (%q) is that of an authority, which certifies others, too; "+
					"say whom the signing certificate must name", i+1, Name(c))
			}
		}
	}
	return to, nil
}

func readPEM(text string) (list []*x509.Certificate, err error) {
	rest := []byte(text)
	for strings.TrimSpace(string(rest)) != "" {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, fmt.Errorf("after certificate %d: what follows is no PEM block", len(list))
		}
		if len(list) == MaxCertificates {
			return nil, fmt.Errorf("has more than %d certificates", MaxCertificates)
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("block %d: is %.60q, must be a CERTIFICATE", len(list)+1, block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", len(list)+1, err)
		}
		list = append(list, c)
	}
	if len(list) == 0 {
		return nil, errors.New("has no certificate")
	}
	return list, nil
}

// Certificates returns what the anchor holds.
func (a *Authority) Certificates() []*x509.Certificate { return a.certificates }

func (a *Authority) holds(c *x509.Certificate) bool {
	for _, own := range a.certificates {
		if own.Equal(c) {
			return true
		}
	}
	return false
}

// Names says whether a certificate names whom the anchor asks for: by its subject (RFC 2253), common name, or one of its alternative names.
func (a *Authority) Names(c *x509.Certificate) bool {
	return a.subject.IsZero() || slices.ContainsFunc(names(c), a.subject.Matches)
}

// Describe says in a line what an anchor holds.
func (a *Authority) Describe() string {
	text := fmt.Sprintf("%q", Printable(a.certificates[0].Subject.String(), 80))
	if n := len(a.certificates); n > 1 {
		text += fmt.Sprintf(" and %d more certificates", n-1)
	}
	if !a.subject.IsZero() {
		text = fmt.Sprintf("signatures of %.50q below %s", a.subject.String(), text)
	}
	return text
}
