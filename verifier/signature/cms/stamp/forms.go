package stamp

import (
	"bytes"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/countersign-escrow/countersign/verifier/signature/cms/signeddata"
)

// token reads an RFC 3161 token over the signature.
func (r *reader) token(der []byte) (*stamped, error) {
	m, err := signeddata.Parse(der)
	if err != nil {
		return nil, err
	}
	if !m.ContentType.Equal(oidTSTInfo) || m.Content == nil || len(m.Signers) != 1 {
		return nil, errors.New("it is no time-stamp token of one signer (RFC 3161)")
	}
	by, err := r.signer(m.Signers[0], m.Certificates)
	if err != nil {
		return nil, err
	}
	if err := m.Signers[0].Check(by, oidTSTInfo, signeddata.Bytes(m.Content)); err != nil {
		return nil, fmt.Errorf("its own signature %w", err)
	}
	var info tstInfo
	if rest, err := asn1.Unmarshal(m.Content, &info); err != nil || len(rest) > 0 || info.Version != 1 {
		return nil, errors.New("its TSTInfo cannot be read")
	}
	hash, err := signeddata.HashOf(info.Imprint.Algorithm)
	if err != nil {
		return nil, err
	}
	if sum, _ := signeddata.Bytes(r.of.Signature).Digest(hash); !bytes.Equal(sum, info.Imprint.Digest) {
		return nil, errors.New("it is over another signature")
	}
	weak := slices.Concat(m.Signers[0].Weak(), signeddata.WeakHash(hash))
	return &stamped{at: info.Time.UTC(), by: by, extra: slices.Concat(m.Certificates, r.certificates), weak: weak}, nil
}

// tstInfo is what an authority signs (RFC 3161, 2.4.2). The stock reader of tokens is of no use here: it refuses a token for any certificate in
// it that Go cannot read, and such come with real ones.
type tstInfo struct {
	Version int
	Policy  asn1.ObjectIdentifier
	Imprint struct {
		Algorithm pkix.AlgorithmIdentifier
		Digest    []byte
	}
	Serial   *big.Int
	Time     time.Time `asn1:"generalized"`
	Accuracy struct {
		Seconds int `asn1:"optional"`
		Millis  int `asn1:"optional,tag:0"`
		Micros  int `asn1:"optional,tag:1"`
	} `asn1:"optional"`
	Ordering   bool          `asn1:"optional"`
	Nonce      *big.Int      `asn1:"optional"`
	Authority  asn1.RawValue `asn1:"optional,tag:0"`
	Extensions asn1.RawValue `asn1:"optional,tag:1"`
}

// counter reads a counter-signature over the signature (RFC 2985, 5.3.6): its signing time is the time, as its signer is an authority.
func (r *reader) counter(der []byte) (*stamped, error) {
	s, err := signeddata.ParseSigner(der)
	if err != nil {
		return nil, err
	}
	if s.SignedAttributes() == nil || s.Claim().IsZero() {
		return nil, errors.New("it states no time")
	}
	by, err := r.signer(s, nil)
	if err != nil {
		return nil, err
	}
	if err := s.Check(by, nil, signeddata.Bytes(r.of.Signature)); err != nil {
		return nil, fmt.Errorf("its own signature %w", err)
	}
	return &stamped{at: s.Claim(), by: by, extra: r.certificates, weak: s.Weak()}, nil
}
