package attest

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"time"

	rfc3161 "github.com/digitorus/timestamp"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

// TimestampAuthority states when it saw a signature (RFC 3161). Its methods may be called concurrently.
type TimestampAuthority struct {
	key   crypto.Signer
	chain []*x509.Certificate
	now   func() time.Time
}

// anyPolicy says that no particular time-stamping policy is claimed (RFC 5280).
var anyPolicy = asn1.ObjectIdentifier{2, 5, 29, 32, 0}

// NewTimestampAuthority takes the key and its certificates, leaf first and root last, as MakeTimestampCertificates makes them.
func NewTimestampAuthority(key crypto.Signer, chain []*x509.Certificate) (*TimestampAuthority, error) {
	if err := checkTimestampChain(chain); err != nil {
		return nil, err
	}
	if key == nil {
		return nil, fault.Invalidf("time-stamp key", "is missing")
	}
	public, ok := chain[0].PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(key.Public()) {
		return nil, fault.Invalidf("time-stamp key", "is not that of the first certificate, %s", chain[0].Subject)
	}
	return &TimestampAuthority{key: key, chain: chain, now: time.Now}, nil
}

// Chain returns the authority's certificates, leaf first.
func (a *TimestampAuthority) Chain() []*x509.Certificate {
	return append([]*x509.Certificate(nil), a.chain...)
}

// stamp returns the time-stamp response over data, in seconds.
func (a *TimestampAuthority) stamp(ctx context.Context, data []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	now := a.now().UTC()
	if leaf := a.chain[0]; now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) {
		return nil, fault.Preconditionf("TIMESTAMP_CERTIFICATE_EXPIRED", "", "the time-stamp certificate is valid from %s to %s, and it is %s",
			stamp(leaf.NotBefore), stamp(leaf.NotAfter), stamp(now)).WithAdvice("give the service a new time-stamp key and certificate")
	}
	sum := sha256.Sum256(data)
	t := rfc3161.Timestamp{
		HashAlgorithm:     crypto.SHA256,
		HashedMessage:     sum[:],
		Time:              now,
		Accuracy:          time.Second,
		Policy:            anyPolicy,
		AddTSACertificate: true,
	}
	b, err := t.CreateResponseWithOpts(a.chain[0], a.key, crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("time stamp: %w", err)
	}
	return b, nil
}

var (
	oidExtKeyUsage  = asn1.ObjectIdentifier{2, 5, 29, 37}
	oidTimeStamping = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 8}
)

// checkTimestampChain checks what stock verifiers ask: a leaf for time stamps and nothing else, critically so, signed by the
// next certificate, and so on to a root.
func checkTimestampChain(chain []*x509.Certificate) error {
	if len(chain) < 2 || len(chain) > 8 {
		return fault.Invalidf("time-stamp certificates", "are %d, must be 2 to 8: leaf first, root last", len(chain))
	}
	only, err := asn1.Marshal([]asn1.ObjectIdentifier{oidTimeStamping})
	if err != nil {
		return err
	}
	sole := false
	for _, x := range chain[0].Extensions {
		sole = sole || x.Id.Equal(oidExtKeyUsage) && x.Critical && bytes.Equal(x.Value, only)
	}
	if !sole || chain[0].IsCA {
		return fault.Invalidf("time-stamp certificates", "%s must be an end-entity certificate whose sole, critical use is time stamps", chain[0].Subject)
	}
	for i, c := range chain[:len(chain)-1] {
		if err := c.CheckSignatureFrom(chain[i+1]); err != nil {
			return fault.Invalidf("time-stamp certificates", "%s: %v", c.Subject, err)
		}
	}
	return nil
}
