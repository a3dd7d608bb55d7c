package attest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/json"
	"fmt"

	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/verifier/publickey"
)

const (
	payloadType       = "application/vnd.in-toto+json"
	maxSignatureBytes = 256 // a P-256 signature has at most 72
)

// Envelope is a signed statement: a DSSE envelope with one signature.
type Envelope struct {
	payload   []byte
	signature []byte
}

// ParseEnvelope reads a DSSE envelope strictly: no unknown field, no field twice, an in-toto payload, exactly one signature
// and no key id.
// It does not check the signature.
func ParseEnvelope(b []byte) (*Envelope, error) {
	if len(b) > MaxBundleBytes {
		return nil, fault.Exhaustedf("envelope", "has %d bytes, %d at most", len(b), MaxBundleBytes)
	}
	var p protodsse.Envelope
	if err := protojson.Unmarshal(b, &p); err != nil {
		return nil, fault.Invalidf("envelope", "%v", err)
	}
	return fromProto(&p)
}

func fromProto(p *protodsse.Envelope) (*Envelope, error) {
	switch {
	case p.GetPayloadType() != payloadType:
		return nil, fault.Invalidf("envelope", "the payload type is %q, must be %q", p.GetPayloadType(), payloadType)
	case len(p.GetPayload()) == 0 || len(p.GetPayload()) > MaxStatementBytes:
		return nil, fault.Invalidf("envelope", "the payload has %d bytes, must have 1 to %d", len(p.GetPayload()), MaxStatementBytes)
	case len(p.GetSignatures()) != 1:
		return nil, fault.Invalidf("envelope", "has %d signatures, must have exactly one", len(p.GetSignatures()))
	}
	s := p.GetSignatures()[0]
	if n := len(s.GetSig()); n == 0 || n > maxSignatureBytes {
		return nil, fault.Invalidf("envelope", "the signature has %d bytes, must have 1 to %d", n, maxSignatureBytes)
	}
	if s.GetKeyid() != "" {
		return nil, fault.Invalidf("envelope", "names a key id, %q, and must not: it proves nothing, and stock verifiers compare it with theirs", clip(s.GetKeyid()))
	}
	return &Envelope{payload: p.GetPayload(), signature: s.GetSig()}, nil
}

func (e *Envelope) proto() *protodsse.Envelope {
	return &protodsse.Envelope{
		PayloadType: payloadType,
		Payload:     e.payload,
		Signatures:  []*protodsse.Signature{{Sig: e.signature}},
	}
}

// JSON writes the envelope as ParseEnvelope reads it.
func (e *Envelope) JSON() []byte {
	type signature struct {
		Sig []byte `json:"sig"`
	}
	b, err := json.Marshal(struct {
		PayloadType string      `json:"payloadType"`
		Payload     []byte      `json:"payload"`
		Signatures  []signature `json:"signatures"`
	}{payloadType, e.payload, []signature{{e.signature}}})
	if err != nil {
		panic(err) // strings and bytes can always be written
	}
	return b
}

// Payload returns the statement's bytes as they were signed.
func (e *Envelope) Payload() []byte { return append([]byte(nil), e.payload...) }

// PayloadDigest returns the digest of the statement's bytes, by which other statements name this one.
func (e *Envelope) PayloadDigest() digest.Digest { return digest.Of(e.payload) }

// Statement reads the statement. It does not check the signature.
func (e *Envelope) Statement() (Decoded, error) { return decodeStatement(e.payload) }

// VerifyKey checks that the holder of key, ECDSA on P-256, signed the envelope.
func (e *Envelope) VerifyKey(key crypto.PublicKey) error {
	k, err := publickey.P256(key)
	if err != nil {
		return err
	}
	sum := e.paeDigest()
	if !ecdsa.VerifyASN1(k, sum[:], e.signature) {
		return fault.Deniedf("SIGNATURE_NOT_VERIFIED", "the signature over the statement was not made with this key")
	}
	return nil
}

// paeDigest returns the SHA-256 of the pre-authentication encoding, DSSE's text to be signed.
func (e *Envelope) paeDigest() [sha256.Size]byte {
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "DSSEv1 %d %s %d ", len(payloadType), payloadType, len(e.payload)) // a hash takes everything
	_, _ = h.Write(e.payload)
	return [sha256.Size]byte(h.Sum(nil))
}
