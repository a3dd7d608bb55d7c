package sigstorebundle

import (
	"encoding/base64"
	"testing"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
	"github.com/countersign-escrow/countersign/verifier/signature/signaturetest"
)

// attest makes an attestation by a managed key.
func attest(t testing.TB, payload []byte) (content []byte, sig []byte, signer anchor.Anchor) {
	t.Helper()
	key := newKey(t)
	made, err := Sign(key, dsse.PAE(proof.StatementType, payload))
	check(t, err)
	content = editBundle(t, made, func(b *protobundle.Bundle) {
		sig = b.GetMessageSignature().Signature
		b.Content = &protobundle.Bundle_DsseEnvelope{DsseEnvelope: &protodsse.Envelope{Payload: payload, PayloadType: proof.StatementType,
			Signatures: []*protodsse.Signature{{Sig: sig}}}}
	})
	return content, sig, keyAnchor(t, "signer", key.Public())
}

// newWith makes New one for the suite, with a root beside the suite's anchors.
func newWith(more ...anchor.Anchor) func([]anchor.Anchor) (signaturetest.Prover, error) {
	return func(anchors []anchor.Anchor) (signaturetest.Prover, error) { return New(append(anchors, more...)) }
}

func signatureOf(t testing.TB, content []byte) string {
	t.Helper()
	var b protobundle.Bundle
	check(t, protojson.Unmarshal(content, &b))
	return base64.StdEncoding.EncodeToString(b.GetMessageSignature().Signature)
}

func TestConformanceKey(t *testing.T) {
	key := newKey(t)
	content := sign(t, key)
	signaturetest.Run(t, signaturetest.Case{New: newWith(), Signer: keyAnchor(t, "signer", key.Public()), Stranger: keyAnchor(t, "stranger", newKey(t).Public()),
		Content: content, Signed: theManifest, Bytes: inside(t, content, signatureOf(t, content)), ByDigest: true})
}

// A pure Ed25519 signature needs the file itself.
func TestConformanceEd25519(t *testing.T) {
	keys := signers(t)
	content := sign(t, keys["Ed25519"])
	signaturetest.Run(t, signaturetest.Case{New: newWith(), Signer: keyAnchor(t, "signer", keys["Ed25519"].Public()),
		Stranger: keyAnchor(t, "stranger", newKey(t).Public()), Content: content, Signed: theManifest, Bytes: inside(t, content, signatureOf(t, content))})
}

func TestConformanceAttestation(t *testing.T) {
	payload := []byte(`{"_type":"https://in-toto.io/Statement/v1","subject":[]}`)
	content, sig, signer := attest(t, payload)
	bytes := append(inside(t, content, base64.StdEncoding.EncodeToString(payload)), inside(t, content, base64.StdEncoding.EncodeToString(sig))...)
	signaturetest.Run(t, signaturetest.Case{New: newWith(), Signer: signer, Stranger: keyAnchor(t, "stranger", newKey(t).Public()), Content: content, Bytes: bytes})
}

func TestConformanceCertificate(t *testing.T) {
	i := newInstance(t)
	b := i.certified(t)
	content := compact(t, b)
	encode := base64.StdEncoding.EncodeToString
	bytes := inside(t, content, encode(b.VerificationMaterial.GetCertificate().RawBytes))
	bytes = append(bytes, inside(t, content, encode(b.VerificationMaterial.TlogEntries[0].InclusionPromise.SignedEntryTimestamp))...)
	bytes = append(bytes, inside(t, content, encode(b.GetMessageSignature().Signature))...)
	signaturetest.Run(t, signaturetest.Case{New: newWith(rootAnchor("root", i.root)), Signer: identityAnchor(t, "signer", issuer, someone),
		Stranger: identityAnchor(t, "stranger", issuer, "x@example.com"), Content: content, Signed: theManifest, Bytes: bytes, ByDigest: true})
}
