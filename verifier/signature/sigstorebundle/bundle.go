package sigstorebundle

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

var mediaTypes = []string{MediaType, MediaTypeV01, MediaTypeV02, MediaTypeV03}

// MediaTypeOf returns the media type that a bundle says it has; "" if content is no bundle.
func MediaTypeOf(content []byte) string {
	if len(content) > MaxBytes {
		return ""
	}
	var b struct {
		MediaType string `json:"mediaType"`
	}
	if json.Unmarshal(content, &b) != nil || !slices.Contains(mediaTypes, b.MediaType) {
		return ""
	}
	return b.MediaType
}

// parsed is a bundle, read.
type parsed struct {
	*bundle.Bundle
	certificate *x509.Certificate // nil for a managed key
	entries     []*tlog.Entry
	stamps      [][]byte
}

// signed is one signature in a bundle.
type signed struct {
	*parsed
	content   verify.SignatureContent // this signature alone
	signature []byte
	message   *message
	proof     proof.Proof // what is known of it before it is verified
}

// parse reads a bundle strictly.
func parse(content []byte) (*parsed, error) {
	if len(content) > MaxBytes {
		return nil, fmt.Errorf("the bundle has %d bytes, %d at most", len(content), MaxBytes)
	}
	var p protobundle.Bundle
	if err := protojson.Unmarshal(content, &p); err != nil {
		return nil, fmt.Errorf("the bundle cannot be read: %w", err)
	}
	if err := checkForm(&p); err != nil {
		return nil, err
	}
	b, err := bundle.NewBundle(&p)
	if err != nil {
		return nil, fmt.Errorf("the bundle cannot be read: %w", err)
	}
	return read(b)
}

// checkForm applies the caps before anything inside is read.
func checkForm(p *protobundle.Bundle) error {
	m := p.GetVerificationMaterial()
	envelope := p.GetDsseEnvelope()
	switch {
	case !slices.Contains(mediaTypes, p.GetMediaType()):
		return fmt.Errorf("the bundle's media type is %.100q; known are %s", p.GetMediaType(), strings.Join(mediaTypes, ", "))
	case envelope == nil && p.GetMessageSignature() == nil, envelope != nil && len(envelope.GetSignatures()) == 0:
		return fmt.Errorf("the bundle holds no signature")
	case len(envelope.GetSignatures()) > maxSignatures:
		return fmt.Errorf("the bundle holds %d signatures, %d at most", len(envelope.GetSignatures()), maxSignatures)
	case len(m.GetTlogEntries()) > maxEntries:
		return fmt.Errorf("the bundle holds %d log entries, %d at most", len(m.GetTlogEntries()), maxEntries)
	case len(m.GetTimestampVerificationData().GetRfc3161Timestamps()) > maxStamps:
		return fmt.Errorf("the bundle holds %d time stamps, %d at most", len(m.GetTimestampVerificationData().GetRfc3161Timestamps()), maxStamps)
	case len(m.GetX509CertificateChain().GetCertificates()) > maxCertificates:
		return fmt.Errorf("the bundle holds %d certificates, %d at most", len(m.GetX509CertificateChain().GetCertificates()), maxCertificates)
	}
	for _, e := range m.GetTlogEntries() {
		if n := len(e.GetCanonicalizedBody()); n > maxBody {
			return fmt.Errorf("the bundle holds a log entry of %d bytes, %d at most", n, maxBody)
		}
	}
	return nil
}

func read(b *bundle.Bundle) (*parsed, error) {
	out := &parsed{Bundle: b}
	by, err := b.VerificationContent()
	if err == nil {
		out.certificate = by.Certificate()
		out.entries, err = b.TlogEntries()
	}
	if err == nil {
		out.stamps, err = b.Timestamps()
	}
	if err == nil {
		_, err = b.SignatureContent()
	}
	for _, e := range out.entries {
		if err == nil {
			err = tlog.ValidateEntry(e)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("the bundle cannot be read: %w", err)
	}
	return out, nil
}

// signatures lists the signatures in a bundle, each with what it is over.
func (b *parsed) signatures(of proof.File) []*signed {
	if m := b.GetMessageSignature(); m != nil {
		content, _ := b.SignatureContent() // was read once
		p := proof.Proof{Kind: Kind, Scope: "the whole file"}
		return []*signed{{parsed: b, content: content, signature: m.GetSignature(), message: &message{File: of}, proof: p}}
	}
	e := b.GetDsseEnvelope()
	pae := proof.Bytes("", "the attestation", dsse.PAE(e.GetPayloadType(), e.GetPayload()))
	p := proof.Proof{Kind: Kind, Scope: "the attestation in the bundle",
		Signed: &proof.Signed{MediaType: e.GetPayloadType(), Content: e.GetPayload()}}
	if n := len(e.GetSignatures()); n > 1 {
		p.Notes = []string{fmt.Sprintf("the envelope has %d signatures, where a Sigstore bundle may have one: other tools refuse it", n)}
	}
	var out []*signed
	for i, sig := range e.GetSignatures() {
		out = append(out, &signed{parsed: b, content: b.alone(i), signature: sig.GetSig(), message: &message{File: pae}, proof: p})
	}
	return out
}

// alone returns the envelope with one of its signatures.
func (b *parsed) alone(i int) *bundle.Envelope {
	e, _ := b.Envelope() // was read once
	e.Signatures = e.Signatures[i : i+1]
	return e
}

// bad is the one proof of a signature that proves nothing. What it would be over stays, for people.
func (s *signed) bad(format string, args ...any) []proof.Proof {
	p := bad(format, args...)
	p.Scope, p.Signed, p.Notes = s.proof.Scope, s.proof.Signed, slices.Clone(s.proof.Notes)
	return []proof.Proof{p}
}

// alone is a bundle with one signature and one log entry.
type alone struct {
	*signed
	entry *tlog.Entry
}

func (a alone) SignatureContent() (verify.SignatureContent, error) { return a.content, nil }
func (a alone) TlogEntries() ([]*tlog.Entry, error)                { return []*tlog.Entry{a.entry}, nil }
