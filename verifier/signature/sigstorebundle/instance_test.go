package sigstorebundle

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"testing"
	"time"

	"github.com/cyberphone/json-canonicalization/go/src/webpki.org/jsoncanonicalizer"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	prototrustroot "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"
	rekortiles "github.com/sigstore/rekor-tiles/v2/pkg/generated/protobuf"
	rekornote "github.com/sigstore/rekor-tiles/v2/pkg/note"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/testing/ca"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"
	"golang.org/x/mod/sumdb/note"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/countersign-escrow/countersign/verifier/publickey"
	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
)

const (
	someone = "someone@example.com"
	issuer  = "https://accounts.example.com"
)

// instance is a whole Sigstore instance in memory, with real cryptography: sigstore-go's, and beside its log one with tiles.
type instance struct {
	*ca.VirtualSigstore
	tiles *ecdsa.PrivateKey
	root  string
}

func newInstance(t testing.TB) *instance {
	t.Helper()
	vs, err := ca.NewVirtualSigstore()
	check(t, err)
	i := &instance{vs, newKey(t), ""}
	logs := vs.RekorLogs()
	for _, l := range logs {
		l.ID, err = hex.DecodeString(string(l.ID)) // it gives the id in hexadecimal digits
		check(t, err)
	}
	r, err := root.NewTrustedRoot(root.TrustedRootMediaType01, vs.FulcioCertificateAuthorities(), nil, vs.TimestampingAuthorities(), logs)
	check(t, err)
	b, err := r.MarshalJSON()
	check(t, err)
	i.root = editRoot(t, string(b), func(r *prototrustroot.TrustedRoot) { r.Tlogs = append(r.Tlogs, i.tilesLog(t)) })
	return i
}

func newFulcio(t testing.TB) *prototrustroot.TrustedRoot {
	t.Helper()
	var r prototrustroot.TrustedRoot
	check(t, protojson.Unmarshal([]byte(newInstance(t).root), &r))
	return &r
}

const tilesOrigin = "tiles.example.com"

func (i *instance) tilesLog(t testing.TB) *prototrustroot.TransparencyLogInstance {
	der, err := publickey.DER(i.tiles.Public())
	check(t, err)
	id := sha256.Sum256(der)
	return &prototrustroot.TransparencyLogInstance{
		BaseUrl: "https://" + tilesOrigin, HashAlgorithm: protocommon.HashAlgorithm_SHA2_256, LogId: &protocommon.LogId{KeyId: id[:]},
		PublicKey: &protocommon.PublicKey{RawBytes: der, KeyDetails: protocommon.PublicKeyDetails_PKIX_ECDSA_P256_SHA_256,
			ValidFor: &protocommon.TimeRange{Start: timestamppb.New(time.Now().Add(-time.Hour))}},
	}
}

// addTiles logs a signature by the second version of Rekor: its entry is the only leaf of the log.
func (i *instance) addTiles(t testing.TB, b *protobundle.Bundle, digest []byte, sig []byte, by *rekortiles.Verifier) {
	t.Helper()
	by.KeyDetails = protocommon.PublicKeyDetails_PKIX_ECDSA_P256_SHA_256
	raw, err := protojson.Marshal(&rekortiles.Entry{ApiVersion: "0.0.2", Kind: "hashedrekord", Spec: &rekortiles.Spec{
		Spec: &rekortiles.Spec_HashedRekordV002{HashedRekordV002: &rekortiles.HashedRekordLogEntryV002{
			Data:      &protocommon.HashOutput{Algorithm: protocommon.HashAlgorithm_SHA2_256, Digest: digest},
			Signature: &rekortiles.Signature{Content: sig, Verifier: by},
		}}}})
	check(t, err)
	body, err := jsoncanonicalizer.Transform(raw)
	check(t, err)
	leaf := sha256.Sum256(append([]byte{0}, body...))
	sv, err := signature.LoadECDSASignerVerifier(i.tiles, crypto.SHA256)
	check(t, err)
	signer, err := rekornote.NewNoteSigner(t.Context(), tilesOrigin, sv)
	check(t, err)
	checkpoint, err := note.Sign(&note.Note{Text: fmt.Sprintf("%s\n1\n%s\n", tilesOrigin, base64.StdEncoding.EncodeToString(leaf[:]))}, signer)
	check(t, err)
	b.VerificationMaterial.TlogEntries = append(b.VerificationMaterial.TlogEntries, &protorekor.TransparencyLogEntry{
		LogId: i.tilesLog(t).LogId, KindVersion: &protorekor.KindVersion{Kind: "hashedrekord", Version: "0.0.2"}, CanonicalizedBody: body,
		InclusionProof: &protorekor.InclusionProof{TreeSize: 1, RootHash: leaf[:], Checkpoint: &protorekor.Checkpoint{Envelope: string(checkpoint)}},
	})
}

// bundle writes what sigstore-go's authority made as a bundle of version 0.3, with proofs of inclusion.
func (i *instance) bundle(t testing.TB, e *ca.TestEntity) *protobundle.Bundle {
	t.Helper()
	by, err := e.VerificationContent()
	check(t, err)
	m := &protobundle.VerificationMaterial{Content: &protobundle.VerificationMaterial_Certificate{
		Certificate: &protocommon.X509Certificate{RawBytes: by.Certificate().Raw}}}
	entries, err := e.TlogEntries()
	check(t, err)
	for _, entry := range entries {
		tle := entry.TransparencyLogEntry()
		if !entry.IsRekorV2() {
			i.promise(t, tle)
			i.include(t, tle)
		}
		m.TlogEntries = append(m.TlogEntries, tle)
	}
	stamps, err := e.Timestamps()
	check(t, err)
	m.TimestampVerificationData = stampData(stamps...)
	b := &protobundle.Bundle{MediaType: MediaType, VerificationMaterial: m}
	content, err := e.SignatureContent()
	check(t, err)
	setContent(t, b, content)
	return b
}

func stampData(stamps ...[]byte) *protobundle.TimestampVerificationData {
	out := &protobundle.TimestampVerificationData{}
	for _, s := range stamps {
		out.Rfc3161Timestamps = append(out.Rfc3161Timestamps, &protocommon.RFC3161SignedTimestamp{SignedTimestamp: s})
	}
	return out
}

func setContent(t testing.TB, b *protobundle.Bundle, content verify.SignatureContent) {
	if m := content.MessageSignatureContent(); m != nil {
		b.Content = &protobundle.Bundle_MessageSignature{MessageSignature: &protocommon.MessageSignature{Signature: m.Signature(),
			MessageDigest: &protocommon.HashOutput{Algorithm: protocommon.HashAlgorithm(protocommon.HashAlgorithm_value[m.DigestAlgorithm()]), Digest: m.Digest()}}}
		return
	}
	e := content.EnvelopeContent().RawEnvelope()
	payload, err := e.DecodeB64Payload()
	check(t, err)
	b.Content = &protobundle.Bundle_DsseEnvelope{DsseEnvelope: &protodsse.Envelope{Payload: payload, PayloadType: e.PayloadType,
		Signatures: []*protodsse.Signature{{Sig: content.Signature()}}}}
}

func (i *instance) include(t testing.TB, tle *protorekor.TransparencyLogEntry) {
	t.Helper()
	p, err := i.GetInclusionProof(tle.CanonicalizedBody)
	check(t, err)
	hash, err := hex.DecodeString(*p.RootHash)
	check(t, err)
	tle.InclusionProof = &protorekor.InclusionProof{LogIndex: *p.LogIndex, RootHash: hash, TreeSize: *p.TreeSize, Checkpoint: &protorekor.Checkpoint{Envelope: *p.Checkpoint}}
}

// promise signs an entry for its log, as sigstore-go keeps that to itself.
func (i *instance) promise(t testing.TB, tle *protorekor.TransparencyLogEntry) {
	t.Helper()
	set, err := i.RekorSignPayload(tlog.RekorPayload{Body: base64.StdEncoding.EncodeToString(tle.CanonicalizedBody),
		IntegratedTime: tle.IntegratedTime, LogIndex: tle.LogIndex, LogID: hex.EncodeToString(tle.LogId.KeyId)})
	check(t, err)
	tle.InclusionPromise = &protorekor.InclusionPromise{SignedEntryTimestamp: set}
	tle.KindVersion = &protorekor.KindVersion{Kind: "hashedrekord", Version: "0.0.1"}
}

// certified is a bundle over the manifest by a certificate for someone.
func (i *instance) certified(t testing.TB) *protobundle.Bundle {
	t.Helper()
	e, err := i.Sign(someone, issuer, theManifest)
	check(t, err)
	return i.bundle(t, e)
}

func (i *instance) anchors(t testing.TB) []anchor.Anchor {
	return []anchor.Anchor{identityAnchor(t, "someone", issuer, someone), rootAnchor("root", i.root)}
}
