package sigstorebundle

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"

	"github.com/digitorus/pkcs7"
	"github.com/digitorus/timestamp"
	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/countersign-escrow/countersign/verifier/signature/cms/signeddata"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

// stamped verifies an RFC 3161 time stamp over a signature by the authorities of a root.
func (r *trustedRoot) stamped(stamp, signature []byte) (proof.Time, error) {
	by, err := stamper(stamp, signature)
	if err != nil {
		return proof.Time{}, fmt.Errorf("a time stamp does not hold: %s", proof.Text(err.Error(), 200))
	}
	var failed error
	for _, a := range r.TimestampingAuthorities() {
		t, err := a.Verify(stamp, signature)
		if err == nil {
			return proof.Time{At: t.Time, By: "a time stamp by " + authorityName(a)}, nil
		}
		if tsa, ok := a.(*root.SigstoreTimestampingAuthority); ok && by.isOf(tsa) {
			failed = err
		}
	}
	if failed != nil {
		return proof.Time{}, fmt.Errorf("a time stamp does not hold by %s: %s", r.name(), proof.Text(failed.Error(), 200))
	}
	return proof.Time{}, unknownError(fmt.Sprintf("a time stamp by the certificate %s of an authority %.100q", by.serial, proof.Text(by.issuerName(), 100)))
}

// signerID is whom a time stamp says it is by.
type signerID struct {
	issuer []byte // DER
	serial string
}

// stamper reads whom a stamp says it is by, and makes sure that it is over the signature.
func stamper(stamp, signature []byte) (id signerID, err error) {
	if err := checkStamp(stamp); err != nil {
		return id, err
	}
	t, err := timestamp.ParseResponse(stamp)
	if err != nil {
		return id, err
	}
	if !t.HashAlgorithm.Available() || t.HashAlgorithm < crypto.SHA256 {
		return id, fmt.Errorf("is by a hash that is too weak")
	}
	h := t.HashAlgorithm.New()
	h.Write(signature)
	if !bytes.Equal(h.Sum(nil), t.HashedMessage) {
		return id, fmt.Errorf("is over another signature")
	}
	p, err := pkcs7.Parse(t.RawToken)
	if err != nil || len(p.Signers) != 1 || p.Signers[0].IssuerAndSerialNumber.SerialNumber == nil {
		return id, fmt.Errorf("does not say by whom it is")
	}
	s := p.Signers[0].IssuerAndSerialNumber
	return signerID{s.IssuerName.FullBytes, s.SerialNumber.Text(16)}, nil
}

// checkStamp applies the caps before a stamp is read, as it is then verified by the keys that it brings.
func checkStamp(stamp []byte) error {
	var response struct{ Status, Token asn1.RawValue }
	if rest, err := asn1.Unmarshal(stamp, &response); err != nil || len(rest) > 0 {
		return fmt.Errorf("cannot be read")
	}
	m, err := signeddata.Parse(response.Token.FullBytes)
	if err != nil {
		return err
	}
	for _, c := range m.Certificates {
		if key, ok := c.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() > maxRSABits {
			return fmt.Errorf("is with an RSA key of %d bits, %d at most", key.N.BitLen(), maxRSABits)
		}
	}
	return nil
}

// isOf says whether an authority should have made the stamp: it is by its certificate, or by one that it issued.
func (id signerID) isOf(tsa *root.SigstoreTimestampingAuthority) bool {
	if tsa.Leaf != nil {
		return bytes.Equal(tsa.Leaf.RawIssuer, id.issuer) && tsa.Leaf.SerialNumber.Text(16) == id.serial
	}
	for _, ca := range append([]*x509.Certificate{tsa.Root}, tsa.Intermediates...) {
		if ca != nil && bytes.Equal(ca.RawSubject, id.issuer) {
			return true
		}
	}
	return false
}

func (id signerID) issuerName() string {
	var rdns pkix.RDNSequence
	if _, err := asn1.Unmarshal(id.issuer, &rdns); err != nil {
		return "that cannot be read"
	}
	return rdns.String()
}

func authorityName(a root.TimestampingAuthority) string {
	tsa, ok := a.(*root.SigstoreTimestampingAuthority)
	switch {
	case !ok:
		return "a time-stamping authority"
	case tsa.URI != "":
		return host(tsa.URI)
	case tsa.Leaf != nil:
		return proof.Text(tsa.Leaf.Subject.String(), 100)
	}
	return proof.Text(tsa.Root.Subject.String(), 100)
}
