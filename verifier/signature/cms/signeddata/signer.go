package signeddata

import (
	"bytes"
	"crypto/subtle"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// Signer is a SignerInfo.
type Signer struct {
	issuer    []byte // with the serial number, or
	serial    *big.Int
	keyID     []byte // a subject key identifier
	digest    pkix.AlgorithmIdentifier
	algorithm pkix.AlgorithmIdentifier
	signed    attributes // nil if there are none
	signedRaw []byte     // as they were signed, a SET
	Signature []byte
	unsigned  attributes
}

type signerInfo struct {
	Version   int
	ID        asn1.RawValue
	Digest    pkix.AlgorithmIdentifier
	Signed    asn1.RawValue `asn1:"optional,tag:0"`
	Algorithm pkix.AlgorithmIdentifier
	Signature []byte
	Unsigned  asn1.RawValue `asn1:"optional,tag:1"`
}

// ParseSigner reads a SignerInfo by itself, as a counter-signature is one.
func ParseSigner(der []byte) (*Signer, error) {
	if len(der) > MaxBytes {
		return nil, fmt.Errorf("has %d bytes, %d at most", len(der), MaxBytes)
	}
	var info signerInfo
	if err := unmarshal(der, &info); err != nil {
		return nil, err
	}
	s := &Signer{digest: info.Digest, algorithm: info.Algorithm, Signature: info.Signature}
	if err := s.setID(info.ID); err != nil {
		return nil, err
	}
	return s, s.setAttributes(info.Signed, info.Unsigned)
}

func (s *Signer) setID(v asn1.RawValue) error {
	switch {
	case v.Class == asn1.ClassContextSpecific && v.Tag == 0 && !v.IsCompound && len(v.Bytes) > 0:
		s.keyID = v.Bytes
		return nil
	case v.Class == asn1.ClassUniversal && v.Tag == asn1.TagSequence:
		var id issuerAndSerial
		if err := unmarshal(v.FullBytes, &id); err != nil {
			return fmt.Errorf("issuer and serial number: %w", err)
		}
		s.issuer, s.serial = id.Issuer.FullBytes, id.Serial
		return nil
	}
	return errors.New("names its certificate in an unknown way")
}

func (s *Signer) setAttributes(signed, unsigned asn1.RawValue) (err error) {
	if len(signed.FullBytes) > 0 && !signed.IsCompound || len(unsigned.FullBytes) > 0 && !unsigned.IsCompound {
		return errors.New("attributes: are no set")
	}
	if len(signed.FullBytes) > 0 {
		// What is signed is the encoding as a SET, not that with the tag of the place (RFC 5652, 5.4).
		s.signedRaw = append([]byte{asn1.TagSet | 0x20}, signed.FullBytes[1:]...)
		if s.signed, err = parseAttributes(signed.Bytes); err == nil && len(s.signed) == 0 {
			err = errors.New("there are none")
		}
		if err != nil {
			return fmt.Errorf("signed attributes: %w", err)
		}
	}
	if s.unsigned, err = parseAttributes(unsigned.Bytes); err != nil {
		return fmt.Errorf("unsigned attributes: %w", err)
	}
	return nil
}

// Claim returns what the signer says of when it signed, the zero time if nothing.
func (s *Signer) Claim() time.Time {
	var t time.Time
	v, err := s.signed.one(oidSigningTime)
	if err != nil || unmarshal(v, &t) != nil {
		return time.Time{}
	}
	return t.UTC()
}

// SignedAttributes returns what the signature is over, nil if it is over the content itself.
func (s *Signer) SignedAttributes() []byte { return s.signedRaw }

// Unsigned returns the values of an unsigned attribute, each a whole element.
func (s *Signer) Unsigned(oid asn1.ObjectIdentifier) [][]byte { return s.unsigned.all(oid) }

// Check says what is wrong with the signature, nil if the certificate's key signed content of this type. Where there are signed attributes
// they must say so themselves, once each. A failure to read the content is a *ContentError.
func (s *Signer) Check(c *x509.Certificate, contentType asn1.ObjectIdentifier, of Content) error {
	hash, err := s.Hash()
	if err != nil {
		return err
	}
	if s.signedRaw == nil {
		return s.checkPlain(c, contentType, of)
	}
	sum, err := of.Digest(hash)
	if err != nil {
		return &ContentError{err}
	}
	if err := s.checkAttributes(contentType, sum); err != nil {
		return err
	}
	if err := s.checkNamed(c); err != nil {
		return err
	}
	return s.checkSignature(c, bytesContent(s.signedRaw))
}

// checkPlain checks a signature over the content itself, which only plain data may have (RFC 5652, 5.3). Content that itself reads as signed
// attributes is refused: it would let the signature of a message with attributes be taken for one over them.
func (s *Signer) checkPlain(c *x509.Certificate, contentType asn1.ObjectIdentifier, of Content) error {
	if contentType != nil && !contentType.Equal(OIDData) {
		return errors.New("has no signed attributes, which content other than plain data must have")
	}
	head, err := of.Head(maxAttributesBytes)
	if err != nil {
		return &ContentError{err}
	}
	if looksLikeAttributes(head) {
		return errors.New("is over content that reads as the signed attributes of another message, which may be a forgery")
	}
	return s.checkSignature(c, of)
}

// looksLikeAttributes says whether content begins like a SET of attributes. It looks at the first of them alone: the others, and whether
// all is well-formed, is for whoever signed them.
func looksLikeAttributes(head []byte) bool {
	for _, tag := range []byte{asn1.TagSet | 0x20, asn1.TagSequence | 0x20} {
		if len(head) == 0 || head[0] != tag {
			return false
		}
		at := 2
		if len(head) > 1 && head[1] > 0x80 {
			at += int(head[1] & 0x7f)
		}
		head = head[min(at, len(head)):]
	}
	return len(head) > 0 && head[0] == asn1.TagOID
}

const maxAttributesBytes = 64 // of content, which is enough to tell

func (s *Signer) checkAttributes(contentType asn1.ObjectIdentifier, sum []byte) error {
	if contentType != nil {
		var is asn1.ObjectIdentifier
		if v, err := s.signed.one(oidContentType); err != nil {
			return fmt.Errorf("content type: %w", err)
		} else if err := unmarshal(v, &is); err != nil || !is.Equal(contentType) {
			return errors.New("the signed attributes are about content of another type")
		}
	}
	v, err := s.signed.one(oidMessageDigest)
	if err != nil {
		return fmt.Errorf("message digest: %w", err)
	}
	var digest []byte
	if err := unmarshal(v, &digest); err != nil {
		return fmt.Errorf("message digest: %w", err)
	}
	if subtle.ConstantTimeCompare(digest, sum) != 1 {
		return ErrOtherContent
	}
	return nil
}

// ErrOtherContent says that a signature is over something else.
var ErrOtherContent = errors.New("is over other content")

// ContentError is a failure to read the content.
type ContentError struct{ Err error }

func (e *ContentError) Error() string { return "content: " + e.Err.Error() }
func (e *ContentError) Unwrap() error { return e.Err }

type attribute struct {
	Type   asn1.ObjectIdentifier
	Values asn1.RawValue `asn1:"set"`
}

type attributes []attribute

func parseAttributes(rest []byte) (list attributes, err error) {
	for len(rest) > 0 {
		if len(list) == maxAttributes {
			return nil, fmt.Errorf("more than %d", maxAttributes)
		}
		var a attribute
		if rest, err = asn1.Unmarshal(rest, &a); err != nil {
			return nil, err
		}
		if !isSet(a.Values) {
			return nil, errors.New("the values of one are no set")
		}
		list = append(list, a)
	}
	return list, nil
}

// one returns the only value of an attribute that must be there once.
func (l attributes) one(oid asn1.ObjectIdentifier) ([]byte, error) {
	n := 0
	for _, a := range l {
		if a.Type.Equal(oid) {
			n++
		}
	}
	if values := l.all(oid); n == 1 && len(values) == 1 {
		return values[0], nil
	}
	return nil, fmt.Errorf("must be there exactly once, with one value")
}

func (l attributes) all(oid asn1.ObjectIdentifier) (values [][]byte) {
	for _, a := range l {
		if !a.Type.Equal(oid) {
			continue
		}
		for rest := a.Values.Bytes; len(rest) > 0; {
			var v asn1.RawValue
			var err error
			if rest, err = asn1.Unmarshal(rest, &v); err != nil {
				return values
			}
			values = append(values, bytes.Clone(v.FullBytes))
		}
	}
	return values
}
