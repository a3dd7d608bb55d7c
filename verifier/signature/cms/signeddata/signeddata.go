// Package signeddata reads CMS SignedData (RFC 5652) and checks what its signers' keys say: that the attributes are about the content,
// and that the key of the certificate given signed them. It knows nothing of whose certificates those are, nor of time.
package signeddata

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
)

// Caps on hostile input.
const (
	MaxBytes        = 256 << 10
	MaxSigners      = 16
	MaxCertificates = 64
	maxAttributes   = 64 // of one signer, signed or not
	maxDepth        = 48
	maxElements     = 1 << 16
)

// The object identifiers of RFC 5652.
var (
	OIDData          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	OIDSignedData    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	oidContentType   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}
	oidMessageDigest = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}
	oidSigningTime   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 5}
)

// Message is a SignedData.
type Message struct {
	ContentType asn1.ObjectIdentifier
	// Content is what is signed where the message carries it, and nil where it does not: the octets of the value, as they are hashed.
	Content []byte
	// Element is the carried content with its own tag and length.
	Element      []byte
	Certificates []*x509.Certificate
	Unreadable   int // certificates left out because they cannot be read
	Signers      []*Signer
}

type contentInfo struct {
	ContentType asn1.ObjectIdentifier
	Content     asn1.RawValue `asn1:"explicit,tag:0"`
}

type encapsulated struct {
	ContentType asn1.ObjectIdentifier
	Content     asn1.RawValue `asn1:"explicit,optional,tag:0"`
}

type signedData struct {
	Version          int
	DigestAlgorithms asn1.RawValue `asn1:"set"`
	Encapsulated     encapsulated
	Certificates     asn1.RawValue `asn1:"optional,tag:0"`
	CRLs             asn1.RawValue `asn1:"optional,tag:1"`
	Signers          asn1.RawValue `asn1:"set"`
}

// Parse reads a message in DER. What follows it is an error.
func Parse(der []byte) (*Message, error) {
	if len(der) > MaxBytes {
		return nil, fmt.Errorf("has %d bytes, %d at most", len(der), MaxBytes)
	}
	if err := checkDER(der); err != nil {
		return nil, err
	}
	var outer contentInfo
	if err := unmarshal(der, &outer); err != nil {
		return nil, fmt.Errorf("is no CMS message: %w", err)
	}
	if !outer.ContentType.Equal(OIDSignedData) {
		return nil, fmt.Errorf("is a CMS message of type %v, not signed data", outer.ContentType)
	}
	var sd signedData
	if err := unmarshal(outer.Content.Bytes, &sd); err != nil {
		return nil, fmt.Errorf("signed data: %w", err)
	}
	if !isSet(sd.DigestAlgorithms) || !isSet(sd.Signers) {
		return nil, errors.New("signed data: digest algorithms or signers are no set")
	}
	return sd.message()
}

func (sd *signedData) message() (*Message, error) {
	m := &Message{ContentType: sd.Encapsulated.ContentType}
	if err := m.setContent(sd.Encapsulated.Content); err != nil {
		return nil, err
	}
	if err := m.setCertificates(sd.Certificates.Bytes); err != nil {
		return nil, err
	}
	return m, m.setSigners(sd.Signers.Bytes)
}

// setContent takes the octets that are hashed: those of an OCTET STRING, or, in messages older than RFC 5652 (PKCS #7, Authenticode),
// those of whatever element is there.
func (m *Message) setContent(wrapped asn1.RawValue) error {
	if len(wrapped.FullBytes) == 0 {
		return nil
	}
	var v asn1.RawValue
	if err := unmarshal(wrapped.Bytes, &v); err != nil {
		return fmt.Errorf("content: %w", err)
	}
	if v.Class != asn1.ClassUniversal || v.Tag == asn1.TagOctetString && v.IsCompound {
		return errors.New("content: is in a form that is not DER; write it with definite lengths")
	}
	m.Content, m.Element = v.Bytes, v.FullBytes
	if m.Content == nil {
		m.Content = []byte{}
	}
	return nil
}

func (m *Message) setCertificates(rest []byte) error {
	for n := 0; len(rest) > 0; n++ {
		if n == MaxCertificates {
			return fmt.Errorf("certificates: more than %d", MaxCertificates)
		}
		var v asn1.RawValue
		var err error
		if rest, err = asn1.Unmarshal(rest, &v); err != nil {
			return fmt.Errorf("certificates: %w", err)
		}
		// A certificate that cannot be read takes nothing from the others: a chain goes through those that can, or fails.
		if c, err := x509.ParseCertificate(v.FullBytes); err == nil {
			m.Certificates = append(m.Certificates, c)
		} else {
			m.Unreadable++
		}
	}
	return nil
}

func (m *Message) setSigners(rest []byte) error {
	for len(rest) > 0 {
		if len(m.Signers) == MaxSigners {
			return fmt.Errorf("signers: more than %d", MaxSigners)
		}
		var v asn1.RawValue
		var err error
		if rest, err = asn1.Unmarshal(rest, &v); err != nil {
			return fmt.Errorf("signers: %w", err)
		}
		s, err := ParseSigner(v.FullBytes)
		if err != nil {
			return fmt.Errorf("signer %d: %w", len(m.Signers)+1, err)
		}
		m.Signers = append(m.Signers, s)
	}
	if len(m.Signers) == 0 {
		return errors.New("signers: there is none")
	}
	return nil
}

// Certificate returns the certificate that a signer names, nil if it is not among those given.
func (s *Signer) Certificate(among []*x509.Certificate) *x509.Certificate {
	for _, c := range among {
		if s.names(c) {
			return c
		}
	}
	return nil
}

func (s *Signer) names(c *x509.Certificate) bool {
	if s.keyID != nil {
		return bytes.Equal(s.keyID, c.SubjectKeyId)
	}
	return bytes.Equal(s.issuer, c.RawIssuer) && s.serial.Cmp(c.SerialNumber) == 0
}

// Names says whom a signer names as the owner of its key, for people: it is the message's own word.
func (s *Signer) Names() string {
	if s.keyID != nil {
		return fmt.Sprintf("key id %x", clip(s.keyID))
	}
	return fmt.Sprintf("certificate number %x", clip(s.serial.Bytes()))
}

func clip(b []byte) []byte { return b[:min(len(b), 32)] }

// isSet is asked because encoding/asn1 takes any element for a raw value.
func isSet(v asn1.RawValue) bool {
	return v.Class == asn1.ClassUniversal && v.Tag == asn1.TagSet && v.IsCompound
}

// unmarshal reads one element and nothing after it.
func unmarshal(der []byte, v any) error {
	rest, err := asn1.Unmarshal(der, v)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%d bytes follow", len(rest))
	}
	return err
}

type issuerAndSerial struct {
	Issuer asn1.RawValue
	Serial *big.Int
}
