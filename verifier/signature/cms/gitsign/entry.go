package gitsign

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	bundlepb "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	commonpb "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	rekorpb "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"google.golang.org/protobuf/proto"

	"github.com/countersign-escrow/countersign/verifier/signature/cms/signeddata"
)

// oidEntry is the unsigned attribute that holds a log entry: a TransparencyLogEntry of Sigstore's protobuf specs without its body, in an
// OCTET STRING.
var oidEntry = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 3, 1}

const maxEntries = 4

// logged returns when a log saw the signature, by an entry whose body is about this very signature, certificate and content: it is made anew
// from them. The log is asked for its promise and its proof, whichever are there.
func (r trusted) logged(attribute []byte, s *signeddata.Signer, by *x509.Certificate) (time.Time, string, error) {
	entry, err := parseEntry(attribute)
	if err != nil {
		return time.Time{}, "", err
	}
	over := sha256.Sum256(s.SignedAttributes())
	if entry.CanonicalizedBody, err = body(over[:], s.Signature, by); err != nil {
		return time.Time{}, "", err
	}
	b, err := asBundle(entry, over[:], s.Signature, by)
	if err != nil {
		return time.Time{}, "", err
	}
	times, err := verify.VerifyTlogEntry(b, r, 1, true)
	if err == nil && len(times) != 1 {
		err = errors.New("it states no time that the log signed")
	}
	if err != nil {
		return time.Time{}, "", err
	}
	log := r.RekorLogs()[hex.EncodeToString(entry.GetLogId().GetKeyId())]
	return times[0].Time.UTC(), log.BaseURL, nil
}

func parseEntry(attribute []byte) (*rekorpb.TransparencyLogEntry, error) {
	var raw []byte
	if rest, err := asn1.Unmarshal(attribute, &raw); err != nil || len(rest) > 0 {
		return nil, errors.New("it is no octet string")
	}
	entry := &rekorpb.TransparencyLogEntry{}
	if err := proto.Unmarshal(raw, entry); err != nil {
		return nil, err
	}
	if k := entry.GetKindVersion(); k.GetKind() != "hashedrekord" || k.GetVersion() != "0.0.1" {
		return nil, fmt.Errorf("it is of kind %.40q %.20q, not hashedrekord 0.0.1", k.GetKind(), k.GetVersion())
	}
	return entry, nil
}

type object = map[string]any

// body makes the body that the log has: canonical JSON, in which a certificate is PEM in base64.
func body(over, signature []byte, by *x509.Certificate) ([]byte, error) {
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: by.Raw})
	return json.Marshal(object{"apiVersion": "0.0.1", "kind": "hashedrekord", "spec": object{
		"data":      object{"hash": object{"algorithm": "sha256", "value": hex.EncodeToString(over)}},
		"signature": object{"content": signature, "publicKey": object{"content": text}},
	}})
}

// asBundle shows the signature as a Sigstore bundle, whose content is the signed attributes.
func asBundle(entry *rekorpb.TransparencyLogEntry, over, signature []byte, by *x509.Certificate) (*bundle.Bundle, error) {
	mediaType := "application/vnd.dev.sigstore.bundle.v0.3+json"
	if entry.GetInclusionProof() == nil {
		mediaType = "application/vnd.dev.sigstore.bundle+json;version=0.1" // which asks for the promise instead of the proof
	}
	b := &bundlepb.Bundle{MediaType: mediaType}
	b.VerificationMaterial = &bundlepb.VerificationMaterial{TlogEntries: []*rekorpb.TransparencyLogEntry{entry}}
	if entry.GetInclusionProof() == nil {
		chain := &commonpb.X509CertificateChain{Certificates: []*commonpb.X509Certificate{{RawBytes: by.Raw}}}
		b.VerificationMaterial.Content = &bundlepb.VerificationMaterial_X509CertificateChain{X509CertificateChain: chain}
	} else {
		b.VerificationMaterial.Content = &bundlepb.VerificationMaterial_Certificate{Certificate: &commonpb.X509Certificate{RawBytes: by.Raw}}
	}
	digest := &commonpb.HashOutput{Algorithm: commonpb.HashAlgorithm_SHA2_256, Digest: over}
	b.Content = &bundlepb.Bundle_MessageSignature{MessageSignature: &commonpb.MessageSignature{MessageDigest: digest, Signature: signature}}
	return bundle.NewBundle(b)
}
