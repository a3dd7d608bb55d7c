package policy

import (
	"testing"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/manifest"
	"github.com/countersign-escrow/countersign/verifier/finding"
)

const (
	vendorKey = "organizations/acme/trustAnchors/vendor"
	authorKey = "organizations/acme/trustAnchors/author"
)

// signedScene is a release of two sources of the same name and one artifact, signed by its vendor and, as far as given, by others.
func signedScene(more ...finding.SignatureEvidence) *scene {
	s := newScene("bin/app")
	s.in.Manifest.Artifacts[0].Digest = digest.Of([]byte("app"))
	for _, content := range []string{"one", "two"} {
		s.in.Manifest.Sources = append(s.in.Manifest.Sources, manifest.Source{Name: "src.tar", Digest: digest.Of([]byte(content))})
	}
	f := finding.Finding{Check: finding.Signature, Outcome: finding.Passed}
	f.Evidence.Signatures = append([]finding.SignatureEvidence{signatureOver(vendorKey, covers("MANIFEST", "manifest", "m"))}, more...)
	return s.record(f, escrow, "signature").check(finding.Source, finding.Passed)
}

func signatureOver(anchor string, files ...finding.CoveredFile) finding.SignatureEvidence {
	return finding.SignatureEvidence{Kind: "openpgp", Valid: true, Anchor: anchor, Signer: "Ann <ann@example.org>", KeyID: "ABCD",
		Time: "2025-02-01T12:00:00Z", TimeBy: "the deposit", Files: files}
}

func covers(role, name, content string) finding.CoveredFile {
	return finding.CoveredFile{Role: role, Name: name, Digest: digest.Of([]byte(content))}
}

func TestSignedFiles(t *testing.T) {
	one, two, app := covers("SOURCE", "src.tar", "one"), covers("SOURCE", "src.tar", "two"), covers("ARTIFACT", "bin/app", "app")
	bad := signatureOver(authorKey, one, two)
	bad.Valid, bad.Problem = false, "the trust anchor was revoked"
	old := finding.SignatureEvidence{Valid: true, Anchor: authorKey}
	truncated := signatureOver(authorKey)
	unchecked := signedScene()
	unchecked.in.Findings = nil
	const (
		sources = `signature.files.filter(f, f.role == 'SOURCE').all(f, '` + authorKey + `' in f.anchors)`
		shipped = `signature.files.filter(f, f.role == 'ARTIFACT').all(f, size(f.anchors) > 0)`
		author  = `'` + authorKey + `' in signature.anchors`
	)
	for name, c := range map[string]struct {
		accept string
		scene  *scene
		want   Decision
	}{
		"both sources":            {sources, signedScene(signatureOver(authorKey, one, two)), Accepted},
		"each by its own":         {sources, signedScene(signatureOver(authorKey, one), signatureOver(authorKey, two)), Accepted},
		"one of two of that name": {sources, signedScene(signatureOver(authorKey, one)), Inconclusive},
		"other bytes":             {sources, signedScene(signatureOver(authorKey, one, covers("SOURCE", "src.tar", "three"))), Inconclusive},
		"as another file":         {sources, signedScene(signatureOver(authorKey, one, covers("ARTIFACT", "src.tar", "two"))), Inconclusive},
		"by another":              {sources, signedScene(signatureOver(vendorKey, one, two)), Inconclusive},
		"does not count":          {sources, signedScene(bad), Inconclusive},
		"awaited":                 {sources, unchecked, Pending},
		"an artifact":             {shipped, signedScene(signatureOver(vendorKey, app)), Accepted},
		"no artifact":             {shipped, signedScene(signatureOver(vendorKey, one)), Inconclusive},
		"the author's manifest":   {author, signedScene(signatureOver(authorKey, covers("MANIFEST", "manifest", "m"))), Accepted},
		"the author's sources":    {author, signedScene(signatureOver(authorKey, one, two)), Inconclusive},
		"an old finding":          {author, signedScene(old), Accepted},
		"nothing listed":          {author, signedScene(truncated), Inconclusive},
		"the vendor":              {`signature.anchors == ['` + vendorKey + `']`, signedScene(signatureOver(authorKey, one)), Accepted},
		"once for two signatures": {`signature.anchors == ['` + vendorKey + `']`, signedScene(signatureOver(vendorKey, covers("MANIFEST", "manifest", "m"))), Accepted},
		"the manifest is first":   {`signature.files[0].role == 'MANIFEST' && size(signature.files) == 4`, signedScene(), Accepted},
		"names":                   {`signature.signatures[1].covers == ['source:src.tar', 'artifact:bin/app']`, signedScene(signatureOver(authorKey, one, app)), Accepted},
		"the manifest's name":     {`signature.signatures[0].covers == ['manifest']`, signedScene(), Accepted},
		"who and when":            {`signature.signatures.all(s, s.kind == 'openpgp' && s.signer.contains('ann@') && s.keyId == 'ABCD' && s.timeBy == 'the deposit')`, signedScene(), Accepted},
		"within a month":          {`signature.signatures.exists(s, s.valid && has(s.time) && now - s.time < duration('744h'))`, signedScene(), Accepted},
		"not within a day":        {`signature.signatures.exists(s, s.valid && has(s.time) && now - s.time < duration('24h'))`, signedScene(), Inconclusive},
		"the time of an old one":  {`signature.signatures.exists(s, !has(s.time))`, signedScene(old), Accepted},
		"those that do not count": {`signature.signatures.exists(s, !s.valid && s.anchor == '` + authorKey + `')`, signedScene(bad), Accepted},
		"digest of a source":      {`signature.files[2].digest == '` + digest.Of([]byte("two")).String() + `'`, signedScene(), Accepted},
	} {
		t.Run(name, func(t *testing.T) {
			p := compile(t, "rules:\n  - name: r\n    accept: |\n      "+c.accept+"\n")
			if got := evaluate(t, p, c.scene); got.Decision != c.want {
				t.Errorf("%s, want %s: %v", got.Decision, c.want, got.Rules)
			}
		})
	}
}
