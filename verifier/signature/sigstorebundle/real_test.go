package sigstorebundle

import (
	"bytes"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	prototrustroot "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"
	"github.com/sigstore/sigstore-go/pkg/testing/data"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

const (
	actions    = "https://token.actions.githubusercontent.com"
	sigstoreJS = "https://github.com/sigstore/sigstore-js/.github/workflows/release.yml@refs/heads/main"
)

// realCase is a bundle made by somebody else, with whom it is by.
type realCase struct {
	content []byte
	of      proof.File
	signer  anchor.Anchor
	root    string
	times   int
}

func realCases(t *testing.T) map[string]realCase {
	public := realRoot(t, "public-good.json")
	whole := proof.File{Role: proof.Artifact, Name: "file", Digest: othernameDigest(t), Size: 1}
	return map[string]realCase{
		"provenance of sigstore.js 2.0.0": {realBundle(t, "sigstore.js@2.0.0-provenance.sigstore.json"), proof.File{}, identityAnchor(t, "js", actions, sigstoreJS), public, 1},
		"provenance of sigstore.js 1.3.0": {example(t, "bundle-provenance.json"), proof.File{}, identityAnchor(t, "js", actions, sigstoreJS), public, 1},
		"publication of sigstore.js":      {example(t, "bundle-publish.json"), proof.File{}, named("npm", anchor.PublicKey, string(example(t, "publish_key.pub"))), public, 1},
		"an attestation in version 0.1": {realBundle(t, "dsse.sigstore.json"), proof.File{}, identityAnchor(t, "dsse",
			"https://github.com/login/oauth", "brian@dehamer.com"), public, 1},
		"another name, another root": {realBundle(t, "othername.sigstore.json"), whole, identityAnchor(t, "o", "http://oidc.local:8080", "foo!oidc.local"),
			realRoot(t, "scaffolding.json"), 1},
		"a key, with a time stamp": {realBundle(t, "public-key-validity.sigstore.json"), proof.Bytes(proof.Artifact, "file", []byte("test content")),
			keyAnchor(t, "key", data.PublicKey(t, "public-key-validity.pem")), realRoot(t, "public-key-validity.json"), 1},
	}
}

func othernameDigest(t *testing.T) digest.Digest {
	d, err := digest.ParseHex("bc103b4a84971ef6459b294a2b98568a2bfb72cded09d4acd1e16366a401f95b")
	check(t, err)
	return d
}

func TestRealBundles(t *testing.T) {
	for name, c := range realCases(t) {
		t.Run(name, func(t *testing.T) {
			p := wantGood(t, c.content, c.of, c.signer, rootAnchor("root", c.root))
			if len(p.Times) != c.times || len(p.Roots) != 1 || p.KeyID == "" || p.Signer == "" || (c.of.Name == "") != (p.Signed != nil) {
				t.Errorf("%+v", p)
			}
			if p.Signed == nil || c.of.Name != "" {
				return
			}
			if !json.Valid(p.Signed.Content) || p.Signed.MediaType != proof.StatementType {
				t.Errorf("signed: %s %s", p.Signed.MediaType, p.Signed.Content)
			}
		})
	}
}

func TestRealBundlesSpoilt(t *testing.T) {
	for name, c := range realCases(t) {
		t.Run(name, func(t *testing.T) {
			root := rootAnchor("root", c.root)
			spoilt := editBundle(t, c.content, func(b *protobundle.Bundle) {
				if m := b.GetMessageSignature(); m != nil {
					m.Signature[20] ^= 1
				} else {
					b.GetDsseEnvelope().Signatures[0].Sig[20] ^= 1
				}
			})
			wantProblem(t, "trust anchor", spoilt, c.of, c.signer, root)
			wantProblem(t, "cannot be read", c.content[:len(c.content)-2], c.of, c.signer, root)
			other := keyAnchor(t, "stranger", newKey(t).Public())
			wantProblem(t, "trust anchor", c.content, c.of, other, root)
			if c.of.Name == "" {
				wantProblem(t, "trust anchor", editBundle(t, c.content, func(b *protobundle.Bundle) { b.GetDsseEnvelope().Payload[100] ^= 1 }), c.of, c.signer, root)
				return
			}
			wantProblem(t, "over other bytes", c.content, proof.Bytes(proof.Artifact, "file", []byte("test contenu")), c.signer, root)
		})
	}
}

func TestRealTimesAndLives(t *testing.T) {
	cases := realCases(t)
	js := cases["provenance of sigstore.js 2.0.0"]
	p := wantGood(t, js.content, js.of, js.signer, rootAnchor("root", js.root))
	if at := p.Times[0].At; p.Times[0].By != "the log rekor.sigstore.dev" || p.Life.Problem(at) != "" || p.Life.Problem(at.Add(time.Hour)) == "" {
		t.Errorf("%+v", p)
	}
	if want := "issuer " + actions + ", subject " + sigstoreJS; p.Signer != want || !bytes.Contains(p.Signed.Content, []byte("pkg:npm/sigstore@2.0.0")) {
		t.Errorf("%s; %s", p.Signer, p.Signed.Content)
	}
	key := cases["a key, with a time stamp"]
	key.signer.Until = time.Unix(1, 0)
	p = wantGood(t, key.content, key.of, key.signer, rootAnchor("root", key.root))
	if problem := p.Anchors[0].Problem(p.Times[0].At); problem == "" || p.Times[0].By != "a time stamp by virtual.tsa.sigstore.dev" {
		t.Errorf("%+v, %q", p, problem)
	}
}

// What a real root is without one of its parts, and with another in its place, is said as such.
func TestOtherRoots(t *testing.T) {
	cases := realCases(t)
	js, npm, stamped := cases["provenance of sigstore.js 2.0.0"], cases["publication of sigstore.js"], cases["a key, with a time stamp"]
	type Root = prototrustroot.TrustedRoot
	for name, c := range map[string]struct {
		of      realCase
		edit    func(*Root)
		problem string
	}{
		"no log":               {js, func(r *Root) { r.Tlogs = nil }, "nothing that the trusted root organizations/vendor/trustAnchors/root knows of proves when"},
		"another log":          {js, func(r *Root) { r.Tlogs[0].LogId.KeyId[0]++ }, "in no log of the trusted root"},
		"another log's key":    {js, func(r *Root) { otherKey(t, r.Tlogs) }, "the inclusion promise: unable to verify SET"},
		"another key of a log": {npm, func(r *Root) { otherKey(t, r.Tlogs) }, "the inclusion promise: unable to verify SET"},
		"another Fulcio":       {js, func(r *Root) { r.CertificateAuthorities = newFulcio(t).CertificateAuthorities }, "not by a certificate authority of the trusted root"},
		"no Fulcio":            {js, func(r *Root) { r.CertificateAuthorities = nil }, "not by a certificate authority of the trusted root"},
		"another CT log":       {js, func(r *Root) { otherKey(t, r.Ctlogs) }, "certificate transparency log"},
		"a CT log that ended":  {js, func(r *Root) { r.Ctlogs[1].PublicKey.ValidFor.End = r.Ctlogs[1].PublicKey.ValidFor.Start }, "certificate transparency log"},
		"a log not begun":      {js, func(r *Root) { r.Tlogs[0].PublicKey.ValidFor.Start.Seconds += 1e9 }, "not valid at payload integrated time"},
		"a TSA that ended":     {stamped, func(r *Root) { r.TimestampAuthorities[0].ValidFor.End = r.TimestampAuthorities[0].ValidFor.Start }, "time stamp does not hold"},
	} {
		t.Run(name, func(t *testing.T) {
			wantProblem(t, c.problem, c.of.content, c.of.of, c.of.signer, rootAnchor("root", editRoot(t, c.of.root, c.edit)))
		})
	}
	p := wantGood(t, js.content, js.of, js.signer, rootAnchor("root", editRoot(t, js.root, func(r *Root) { r.Ctlogs = nil })))
	if len(p.Times) != 1 {
		t.Errorf("without a CT log: %+v", p)
	}
	for _, c := range []realCase{npm, stamped} { // for want of a root, a key is judged alone
		for _, anchors := range [][]anchor.Anchor{{c.signer}, {c.signer, rootAnchor("root", realRoot(t, "scaffolding.json"))}} {
			if p := wantGood(t, c.content, c.of, anchors...); len(p.Times) != 0 || len(p.Roots) != 0 || len(p.Notes) != 1 {
				t.Errorf("without its root: %+v", p)
			}
		}
	}
}

func TestOtherIdentities(t *testing.T) {
	js := realCases(t)["provenance of sigstore.js 2.0.0"]
	root := rootAnchor("root", js.root)
	wantProblem(t, "made by another identity: issuer", js.content, js.of, identityAnchor(t, "x", actions, "someone@example.com"), root)
	wantProblem(t, "an identity of another issuer: issuer", js.content, js.of, identityAnchor(t, "x", "https://accounts.example.com", sigstoreJS), root)
	wantProblem(t, "another identity of another issuer", js.content, js.of, identityAnchor(t, "x", "https://accounts.example.com", "x@example.com"), root)
	wantProblem(t, "no trust anchor is a Sigstore trusted root", js.content, js.of, js.signer)
	wantProblem(t, "no trust anchor is a Sigstore identity", js.content, js.of, root)
	scaffold := rootAnchor("scaffold", realRoot(t, "scaffolding.json"))
	wantProblem(t, "in no log of the trusted root", js.content, js.of, js.signer, scaffold)
	timeOnly := root
	timeOnly.Purpose = anchor.Time
	wantProblem(t, "no trust anchor is a Sigstore trusted root", js.content, js.of, js.signer, timeOnly)
	signerForTime := js.signer
	signerForTime.Purpose = anchor.Time
	wantProblem(t, "no trust anchor is a Sigstore identity", js.content, js.of, signerForTime, root)
}

func TestIdentitiesByPatternAndNamedRoot(t *testing.T) {
	js := realCases(t)["provenance of sigstore.js 2.0.0"]
	public, scaffold := rootAnchor("public", js.root), rootAnchor("scaffold", realRoot(t, "scaffolding.json"))
	by := func(root, subject string) anchor.Anchor {
		m, err := anchor.Material(anchor.Identity{Issuer: anchor.Name{Pattern: `https://token\..*`}, Subject: anchor.Name{Pattern: subject}, TrustedRoot: root})
		check(t, err)
		return named("by-pattern", anchor.SigstoreIdentity, m)
	}
	p := wantGood(t, js.content, js.of, by("", `https://github\.com/sigstore/.*`), scaffold, public)
	if p.Roots[0].Name != public.Name {
		t.Errorf("by %s", p.Roots[0].Name)
	}
	wantGood(t, js.content, js.of, by(public.Name, `https://github\.com/sigstore/.*`), scaffold, public)
	wantProblem(t, "made by another identity", js.content, js.of, by("", `https://github\.com/sigstore/`), scaffold, public)
	wantProblem(t, "in no log of the trusted root "+scaffold.Name, js.content, js.of, by(scaffold.Name, `.*`), scaffold, public)
	wantProblem(t, "there is no trusted root "+public.Name, js.content, js.of, by(public.Name, `.*`), scaffold)
	again := public
	again.Name += "-again"
	list, err := verifier(t, by("", ".*"), public, again).Prove(t.Context(), js.content, js.of)
	if err != nil || len(list) != 2 || list[0].Problem+list[1].Problem != "" || list[0].Roots[0].Name == list[1].Roots[0].Name {
		t.Errorf("%+v, %v, want a proof by each root", list, err)
	}
}

// Of several signatures in an envelope each is judged: the second of this one is by nobody.
func TestTwoSignaturesInAnEnvelope(t *testing.T) {
	c := realCases(t)["an attestation in version 0.1"]
	v := verifier(t, c.signer, rootAnchor("root", c.root))
	two := realBundle(t, "dsse-2sigs.sigstore.json")
	list, err := v.Prove(t.Context(), two, c.of)
	if err != nil || len(list) != 2 || list[0].Problem != "" || !strings.Contains(list[1].Problem, "not by the key") || len(list[0].Notes) != 1 {
		t.Errorf("%+v, %v", list, err)
	}
	twice := editBundle(t, two, func(b *protobundle.Bundle) { b.GetDsseEnvelope().Signatures[1] = b.GetDsseEnvelope().Signatures[0] })
	if list, err := v.Prove(t.Context(), twice, c.of); err != nil || len(list) != 2 || list[0].Problem+list[1].Problem != "" {
		t.Errorf("%+v, %v", list, err)
	}
}

// The subject of the provenance is the tarball's SHA-512, which is read out of what was signed.
func TestSubjectOfProvenance(t *testing.T) {
	js := realCases(t)["provenance of sigstore.js 2.0.0"]
	var statement struct {
		Subject []struct{ Digest map[string]string }
	}
	p := wantGood(t, js.content, js.of, js.signer, rootAnchor("root", js.root))
	check(t, json.Unmarshal(p.Signed.Content, &statement))
	sum, err := hex.DecodeString(statement.Subject[0].Digest["sha512"])
	if err != nil || len(sum) != sha512.Size || hex.EncodeToString(sum[:4]) != "46d4e2f7" {
		t.Errorf("%x, %v", sum, err)
	}
}
