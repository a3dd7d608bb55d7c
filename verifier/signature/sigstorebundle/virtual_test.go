package sigstorebundle

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"strings"
	"testing"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	prototrustroot "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"
	rekortiles "github.com/sigstore/rekor-tiles/v2/pkg/generated/protobuf"
	"github.com/sigstore/sigstore-go/pkg/testing/ca"

	"github.com/countersign-escrow/countersign/verifier/publickey"
	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

func TestCertificateOverFile(t *testing.T) {
	i := newInstance(t)
	p := wantGood(t, compact(t, i.certified(t)), manifest(theManifest), i.anchors(t)...)
	if len(p.Times) != 2 || p.Times[0].By != "a time stamp by virtual.tsa.sigstore.dev" || p.Times[1].By != "the log rekor.localhost" || p.Life.Problem(p.Times[0].At) != "" {
		t.Errorf("%+v", p)
	}
	wantProblem(t, "over other bytes", compact(t, i.certified(t)), manifest([]byte("the manifesto")), i.anchors(t)...)
}

func TestCertificateWithTiles(t *testing.T) {
	i := newInstance(t)
	tiled := func(digest []byte) *protobundle.Bundle {
		b := i.certified(t)
		b.VerificationMaterial.TlogEntries = nil
		i.addTiles(t, b, digest, b.GetMessageSignature().Signature,
			&rekortiles.Verifier{Verifier: &rekortiles.Verifier_X509Certificate{X509Certificate: b.VerificationMaterial.GetCertificate()}})
		return b
	}
	sum := sha256.Sum256(theManifest)
	b := tiled(sum[:])
	if p := wantGood(t, compact(t, b), manifest(theManifest), i.anchors(t)...); len(p.Times) != 1 || !strings.Contains(p.Times[0].By, "time stamp") {
		t.Errorf("a log with tiles proves no time: %+v", p)
	}
	b.VerificationMaterial.TlogEntries[0].IntegratedTime = time.Now().Unix() // anybody can write it
	if p := wantGood(t, compact(t, b), manifest(theManifest), i.anchors(t)...); len(p.Times) != 1 {
		t.Errorf("%+v", p)
	}
	b.VerificationMaterial.TimestampVerificationData = nil
	wantProblem(t, "proves when it was made", compact(t, b), manifest(theManifest), i.anchors(t)...)
	wantProblem(t, "its entry in the log tiles.example.com does not hold", compact(t, tiled(make([]byte, 32))), manifest(theManifest), i.anchors(t)...)
	b = tiled(sum[:])
	b.VerificationMaterial.TlogEntries[0].InclusionPromise = &protorekor.InclusionPromise{SignedEntryTimestamp: []byte("x")}
	wantProblem(t, "inclusion promise is not of", compact(t, b), manifest(theManifest), i.anchors(t)...)
}

func TestAttestationWithTiles(t *testing.T) {
	i := newInstance(t)
	e, err := i.AttestHashedRekordV2(someone, issuer, []byte(`{"_type":"https://in-toto.io/Statement/v1"}`))
	check(t, err)
	b := compact(t, i.bundle(t, e))
	p := wantGood(t, b, proof.File{}, i.anchors(t)...)
	if len(p.Times) != 1 || p.Signed.MediaType != proof.StatementType || !bytes.HasPrefix(p.Signed.Content, []byte(`{"_type"`)) {
		t.Errorf("%+v", p)
	}
}

// What is missing or does not fit in a certificate's bundle is said.
func TestCertificateBundlesSpoilt(t *testing.T) {
	i, other := newInstance(t), newInstance(t)
	good := compact(t, i.certified(t))
	elsewhere := i.certified(t)
	type M = protobundle.VerificationMaterial
	for name, c := range map[string]struct {
		edit    func(*M)
		problem string
	}{
		"no log entry":              {func(m *M) { m.TlogEntries = nil }, "it is in no log, and the trusted root"},
		"another's log entry":       {func(m *M) { m.TlogEntries = elsewhere.VerificationMaterial.TlogEntries }, "signature does not match"},
		"no proof of inclusion":     {func(m *M) { m.TlogEntries[0].InclusionProof = nil }, "cannot be read"},
		"another proof":             {func(m *M) { m.TlogEntries[0].InclusionProof.RootHash[0] ^= 1 }, "its entry in the log rekor.localhost does not hold"},
		"another checkpoint":        {func(m *M) { other.include(t, m.TlogEntries[0]) }, "its entry in the log rekor.localhost does not hold"},
		"another time in the log":   {func(m *M) { m.TlogEntries[0].IntegratedTime++ }, "unable to verify SET"},
		"another promise":           {func(m *M) { m.TlogEntries[0].InclusionPromise.SignedEntryTimestamp[9] ^= 1 }, "unable to verify SET"},
		"no promise, no stamp":      {func(m *M) { m.TlogEntries[0].InclusionPromise, m.TimestampVerificationData = nil, nil }, "nothing proves when"},
		"another's stamp":           {func(m *M) { m.TimestampVerificationData = elsewhere.VerificationMaterial.TimestampVerificationData }, "over another signature"},
		"nonsense for a stamp":      {func(m *M) { m.TimestampVerificationData = stampData([]byte("nonsense")) }, "a time stamp does not hold"},
		"a flood of stamps":         {func(m *M) { m.TimestampVerificationData = stampData(make([][]byte, maxStamps+1)...) }, "16 at most"},
		"a flood of log entries":    {func(m *M) { m.TlogEntries = make([]*protorekor.TransparencyLogEntry, maxEntries+1) }, "16 at most"},
		"another's certificate":     {func(m *M) { m.Content = elsewhere.VerificationMaterial.Content }, "not by the key of its certificate"},
		"nonsense for certificates": {func(m *M) { m.GetCertificate().RawBytes = []byte("nonsense") }, "cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			spoilt := editBundle(t, good, func(b *protobundle.Bundle) {
				c.edit(b.VerificationMaterial)
				for n, e := range b.VerificationMaterial.TlogEntries {
					if e == nil {
						b.VerificationMaterial.TlogEntries[n] = &protorekor.TransparencyLogEntry{}
					}
				}
			})
			wantProblem(t, c.problem, spoilt, manifest(theManifest), i.anchors(t)...)
		})
	}
	wantProblem(t, "in no log of the trusted root", good, manifest(theManifest), i.anchors(t)[0], rootAnchor("other", realRoot(t, "public-good.json")))
}

// A bundle of version 0.1 is about promises; a later one about proofs.
func TestVersions(t *testing.T) {
	i := newInstance(t)
	old := i.certified(t)
	old.MediaType = MediaTypeV01
	old.VerificationMaterial.Content = &protobundle.VerificationMaterial_X509CertificateChain{X509CertificateChain: &protocommon.X509CertificateChain{
		Certificates: []*protocommon.X509Certificate{old.VerificationMaterial.GetCertificate()}}}
	old.VerificationMaterial.TlogEntries[0].InclusionProof = nil
	wantGood(t, compact(t, old), manifest(theManifest), i.anchors(t)...)
	for mediaType, problem := range map[string]string{MediaTypeV02: "inclusion proof", MediaType: "cannot be read", "application/x": "media type"} {
		later := editBundle(t, compact(t, old), func(b *protobundle.Bundle) { b.MediaType = mediaType })
		wantProblem(t, problem, later, manifest(theManifest), i.anchors(t)...)
	}
	i.include(t, old.VerificationMaterial.TlogEntries[0])
	old.MediaType = MediaTypeV02
	wantGood(t, compact(t, old), manifest(theManifest), i.anchors(t)...)
	old.VerificationMaterial.TlogEntries[0].InclusionPromise = nil
	if p := wantGood(t, compact(t, old), manifest(theManifest), i.anchors(t)...); len(p.Times) != 1 {
		t.Errorf("a time that the log did not sign: %+v", p.Times)
	}
	old.MediaType = MediaTypeV01
	wantProblem(t, "inclusion promise", compact(t, old), manifest(theManifest), i.anchors(t)...)
}

func TestCertificateAtTheWrongTime(t *testing.T) {
	i := newInstance(t)
	for at, problem := range map[time.Duration]string{-10 * time.Minute: "outside certificate validity", 30 * time.Minute: "outside certificate validity"} {
		e, err := i.SignAtTime(someone, issuer, theManifest, time.Now().Add(at))
		check(t, err)
		b := i.bundle(t, e)
		b.VerificationMaterial.TimestampVerificationData = nil
		wantProblem(t, problem, compact(t, b), manifest(theManifest), i.anchors(t)...)
	}
	// a stamp alone, by a root without a log, of before the certificate
	early := i.early(t)
	noLog := rootAnchor("root", editRoot(t, i.root, func(r *prototrustroot.TrustedRoot) { r.Tlogs = nil }))
	wantProblem(t, "the certificate was good from", early, manifest(theManifest), identityAnchor(t, "someone", issuer, someone), noLog)
	alone := i.certified(t)
	p := wantGood(t, compact(t, alone), manifest(theManifest), identityAnchor(t, "someone", issuer, someone), noLog)
	if len(p.Times) != 1 || len(p.Notes) != 1 || !strings.Contains(p.Notes[0], "an entry in the log") {
		t.Errorf("%+v", p)
	}
}

// early makes a bundle whose certificate begins after its stamp.
func (i *instance) early(t testing.TB) []byte {
	b := i.certified(t)
	key := newKey(t)
	sum := sha256.Sum256(theManifest)
	sig, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
	check(t, err)
	rootCert, rootKey, err := ca.GenerateRootCa()
	check(t, err)
	leaf, err := ca.GenerateLeafCert(someone, issuer, time.Now().Add(time.Hour), key, rootCert, rootKey)
	check(t, err)
	stamp, err := i.TimestampResponse(sig)
	check(t, err)
	b.VerificationMaterial.TlogEntries, b.VerificationMaterial.TimestampVerificationData = nil, stampData(stamp)
	b.VerificationMaterial.GetCertificate().RawBytes = leaf.Raw
	b.GetMessageSignature().Signature = sig
	return compact(t, b)
}

// A managed key's bundle may bring a log entry and a stamp, too.
func TestKeyedWithLogAndStamp(t *testing.T) {
	i, key := newInstance(t), newKey(t)
	der, err := publickey.DER(key.Public())
	check(t, err)
	by := &rekortiles.Verifier{Verifier: &rekortiles.Verifier_PublicKey{PublicKey: &rekortiles.PublicKey{RawBytes: der}}}
	sum := sha256.Sum256(theManifest)
	witnessed := func(digest []byte) []byte {
		return editBundle(t, sign(t, key), func(b *protobundle.Bundle) {
			sig := b.GetMessageSignature().Signature
			stamp, err := i.TimestampResponse(sig)
			check(t, err)
			b.VerificationMaterial.TimestampVerificationData = stampData(stamp)
			i.addTiles(t, b, digest, sig, by)
		})
	}
	signer, rootA := keyAnchor(t, "key", key.Public()), rootAnchor("root", i.root)
	p := wantGood(t, witnessed(sum[:]), manifest(theManifest), signer, rootA)
	if len(p.Times) != 1 || len(p.Roots) != 1 || len(p.Notes) != 0 {
		t.Errorf("%+v", p)
	}
	wantProblem(t, "does not hold", witnessed(make([]byte, 32)), manifest(theManifest), signer, rootA)
	forTime := rootA
	forTime.Purpose = anchor.Time
	wantGood(t, witnessed(sum[:]), manifest(theManifest), signer, forTime)
	if p := wantGood(t, witnessed(sum[:]), manifest(theManifest), signer, rootAnchor("other", realRoot(t, "public-good.json"))); len(p.Times) != 0 || len(p.Notes) != 1 {
		t.Errorf("by a root that knows nothing of it: %+v", p)
	}
}

// Each log entry must have what the version of the bundle requires, whatever another one has.
func TestEachEntryHasItsForm(t *testing.T) {
	i := newInstance(t)
	sum := sha256.Sum256(theManifest)
	b := i.certified(t)
	i.addTiles(t, b, sum[:], b.GetMessageSignature().Signature,
		&rekortiles.Verifier{Verifier: &rekortiles.Verifier_X509Certificate{X509Certificate: b.VerificationMaterial.GetCertificate()}})
	wantGood(t, compact(t, b), manifest(theManifest), i.anchors(t)...)
	b.MediaType = MediaTypeV01
	wantProblem(t, "an inclusion promise is missing", compact(t, b), manifest(theManifest), i.anchors(t)...)
	b.MediaType = MediaType
	b.VerificationMaterial.TlogEntries[0].InclusionProof = nil
	wantProblem(t, "an inclusion proof is missing", compact(t, b), manifest(theManifest), i.anchors(t)...)
}

// A log entry is of one signature: beside it in the envelope another gains nothing by it.
func TestEntryIsOfOneSignature(t *testing.T) {
	i, key, payload := newInstance(t), newKey(t), []byte("{}")
	der, err := publickey.DER(key.Public())
	check(t, err)
	sum := sha256.Sum256(dsse.PAE(proof.StatementType, payload))
	b := &protobundle.Bundle{MediaType: MediaType, VerificationMaterial: &protobundle.VerificationMaterial{
		Content: &protobundle.VerificationMaterial_PublicKey{PublicKey: &protocommon.PublicKeyIdentifier{}}}}
	e := &protodsse.Envelope{Payload: payload, PayloadType: proof.StatementType}
	for range 2 {
		sig, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
		check(t, err)
		e.Signatures = append(e.Signatures, &protodsse.Signature{Sig: sig})
	}
	b.Content = &protobundle.Bundle_DsseEnvelope{DsseEnvelope: e}
	i.addTiles(t, b, sum[:], e.Signatures[0].Sig, &rekortiles.Verifier{Verifier: &rekortiles.Verifier_PublicKey{PublicKey: &rekortiles.PublicKey{RawBytes: der}}})
	list, err := verifier(t, keyAnchor(t, "key", key.Public()), rootAnchor("root", i.root)).Prove(t.Context(), compact(t, b), proof.File{})
	if err != nil || len(list) != 2 || list[0].Problem != "" || !strings.Contains(list[1].Problem, "does not hold") {
		t.Errorf("%+v, %v", list, err)
	}
}
