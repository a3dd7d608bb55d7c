package attest

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/manifest"
	"github.com/countersign-escrow/countersign/verifier/finding"
)

func theRecipe() *manifest.Manifest {
	return &manifest.Manifest{
		Product: release.Product.String(), Version: release.Version,
		Sources:     []manifest.Source{{Kind: manifest.Archive, Name: "src.tar", Digest: digest.Of([]byte("source"))}},
		Environment: manifest.Environment{Image: digest.Of([]byte("image"))},
		Recipe:      manifest.Recipe{Argv: []string{"make"}},
	}
}

func rebuildFinding() finding.Finding {
	other := digest.Of([]byte("second"))
	return finding.Finding{Check: finding.Rebuild, Outcome: finding.Passed, Evidence: finding.Evidence{Runs: []finding.RunEvidence{
		{Started: "2026-01-02T03:04:05Z", WallMillis: 61000, Runtime: "runc 1", Outputs: []finding.OutputEvidence{
			{Artifact: artifact.Name, Digest: artifact.Digest}, {Artifact: "bin/none", Problem: "not there"},
		}},
		{Started: "2026-01-02T03:06:05Z", WallMillis: 1000, Runtime: "runc 1", Outputs: []finding.OutputEvidence{
			{Artifact: artifact.Name, Digest: artifact.Digest}, {Artifact: "bin/none", Digest: other},
		}},
	}}}
}

// predicate marshals a statement, reads it back strictly, and returns its predicate.
func predicate(t *testing.T, s Statement) map[string]any {
	t.Helper()
	b, err := s.Marshal()
	check(t, err)
	d, err := decodeStatement(b)
	check(t, err)
	if fmt.Sprint(d.Subjects) != fmt.Sprint(s.Subjects) || d.PredicateType != s.PredicateType {
		t.Errorf("read back as %+v", d)
	}
	var m map[string]any
	check(t, json.Unmarshal(d.Predicate, &m))
	return m
}

func expect(t *testing.T, m map[string]any, want map[string]string) {
	t.Helper()
	for path, v := range want {
		var got any = m
		for _, key := range strings.Split(path, "/") {
			if inner, ok := got.(map[string]any); ok {
				got = inner[key]
			} else {
				got = nil
			}
		}
		if fmt.Sprint(got) != v {
			t.Errorf("%s is %v, want %s", path, got, v)
		}
	}
}

func TestReceiptSaysWhatWasDeposited(t *testing.T) {
	s := receipt()
	expect(t, predicate(t, s), map[string]string{
		"release":   release.String(),
		"manifest":  digest.Of(theManifest).String(),
		"sealed":    "2026-01-02T03:04:05Z",
		"artifacts": fmt.Sprintf("[map[digest:%s path:bin/router]]", artifact.Digest),
	})
	if len(s.Subjects) != 2 || s.Subjects[0].Digest != digest.Of(theManifest) || s.Subjects[1] != artifact {
		t.Errorf("subjects %v", s.Subjects)
	}
}

func TestComparisonIsAboutItsArtifact(t *testing.T) {
	s := comparison()
	expect(t, predicate(t, s), map[string]string{
		"check": "COMPARISON", "outcome": "FAILED", "verdict": "DIFFERS_STABLE", "artifact": artifact.Name,
		"release": release.String(), "manifest": digest.Of(theManifest).String(), "rebuilder": "organizations/operator",
		"country": "CH", "time": "2026-01-02T03:04:05Z", "evidence/comparison/shipped": artifact.Digest.String(),
	})
	if s.PredicateType != TypeComparison || len(s.Subjects) != 1 || s.Subjects[0] != artifact {
		t.Errorf("%s about %v", s.PredicateType, s.Subjects)
	}
	unknown := NewFinding(findingContext(), finding.Finding{Check: finding.Comparison, Artifact: "bin/unknown"})
	if _, err := unknown.Marshal(); err == nil {
		t.Error("a comparison of an artifact that the release does not have")
	}
}

func TestOtherFindingsAreAboutTheManifest(t *testing.T) {
	s := NewFinding(findingContext(), finding.Finding{Check: finding.Source, Outcome: finding.Undecided, Summary: "could not tell"})
	expect(t, predicate(t, s), map[string]string{"check": "SOURCE", "outcome": "UNDECIDED", "summary": "could not tell"})
	if s.PredicateType != TypeFinding || len(s.Subjects) != 1 || s.Subjects[0].Digest != digest.Of(theManifest) {
		t.Errorf("%s about %v", s.PredicateType, s.Subjects)
	}
}

func TestProvenance(t *testing.T) {
	s, ok := NewProvenance(findingContext(), rebuildFinding(), theRecipe())
	if !ok || len(s.Subjects) != 2 || s.Subjects[0] != artifact || s.Subjects[1].Name != "bin/none" {
		t.Fatalf("%v about %v", ok, s.Subjects)
	}
	p := predicate(t, s)
	expect(t, p, map[string]string{
		"buildDefinition/buildType":                   BuildType,
		"buildDefinition/externalParameters/release":  release.String(),
		"buildDefinition/externalParameters/manifest": digest.Of(theManifest).String(),
		"runDetails/builder/id":                       "countersign:organizations/operator",
		"runDetails/metadata/startedOn":               "2026-01-02T03:04:05Z",
		"runDetails/metadata/finishedOn":              "2026-01-02T03:06:06Z",
	})
	expect(t, at[map[string]any](p, "buildDefinition", "resolvedDependencies", 0), map[string]string{
		"name": "source/src.tar", "digest/sha256": digest.Of([]byte("source")).Hex(),
	})
	expect(t, at[map[string]any](p, "buildDefinition", "resolvedDependencies", 1), map[string]string{
		"name": "environment", "digest/sha256": digest.Of([]byte("image")).Hex(),
	})
	for name, f := range map[string]finding.Finding{
		"nothing was rebuilt": {Check: finding.Rebuild, Evidence: finding.Evidence{Runs: make([]finding.RunEvidence, 1)}},
		"no rebuild":          {Check: finding.Source},
	} {
		if _, ok := NewProvenance(findingContext(), f, theRecipe()); ok {
			t.Errorf("%s, and yet a provenance", name)
		}
	}
}

func TestSummary(t *testing.T) {
	expect(t, predicate(t, report()), map[string]string{
		"verifier/id": "countersign:organizations/lab", "resourceUri": "countersign:" + release.String(),
		"timeVerified": "2026-01-02T03:04:05Z", "verificationResult": "FAILED", "verifiedLevels": "[]",
		"policy/uri": "organizations/lab/policies/1", "policy/digest/sha256": digest.Of([]byte("policy")).Hex(),
		"countersign_decision": "PENDING", "countersign_country": "SE", "countersign_evaluator": "organizations/lab",
	})
	for decision, result := range map[string]string{
		"ACCEPTED": "PASSED", "REJECTED": "FAILED", "PENDING": "FAILED", "INCONCLUSIVE": "FAILED", "": "FAILED", "accepted": "FAILED",
	} {
		expect(t, predicate(t, NewSummary(Summary{Manifest: artifact.Digest, Decision: decision})), map[string]string{"verificationResult": result})
	}
}

func TestEveryStatementHasItsOwnNonce(t *testing.T) {
	seen := make(map[string]bool)
	for range 3 {
		for path, s := range map[string]Statement{"nonce": receipt(), "countersign_nonce": report()} {
			n := fmt.Sprint(predicate(t, s)[path])
			if len(n) < 26 || seen[n] {
				t.Errorf("nonce %q", n)
			}
			seen[n] = true
		}
	}
}

func TestManyArtifacts(t *testing.T) {
	files := make([]Subject, 4096)
	for i := range files {
		files[i] = Subject{Name: fmt.Sprint(i), Digest: digest.Of(fmt.Append(nil, i))}
	}
	s := NewReceipt(Receipt{Release: release, Manifest: digest.Of(theManifest), Files: files})
	if p := predicate(t, s); len(s.Subjects) != MaxSubjects || len(at[[]any](p, "artifacts")) != len(files) {
		t.Errorf("%d subjects, %d artifacts", len(s.Subjects), len(at[[]any](p, "artifacts")))
	}
}

func TestMarshalRefuses(t *testing.T) {
	one := []Subject{artifact}
	for name, s := range map[string]Statement{
		"no subject":           {PredicateType: TypeReceipt, Predicate: 1},
		"too many":             {Subjects: make([]Subject, MaxSubjects+1), PredicateType: TypeReceipt},
		"no digest":            {Subjects: []Subject{{Name: "x"}}, PredicateType: TypeReceipt},
		"no predicate type":    {Subjects: one},
		"not JSON":             {Subjects: one, PredicateType: TypeReceipt, Predicate: make(chan int)},
		"too long a predicate": {Subjects: one, PredicateType: TypeReceipt, Predicate: strings.Repeat("x", MaxStatementBytes)},
	} {
		if b, err := s.Marshal(); err == nil {
			t.Errorf("%s: %.80s", name, b)
		}
	}
}

func TestDecodeStatementRefuses(t *testing.T) {
	good, err := receipt().Marshal()
	check(t, err)
	hex := artifact.Digest.Hex()
	for name, change := range map[string][2]string{
		"another type":           {"in-toto.io/Statement/v1", "in-toto.io/Statement/v0.1"},
		"a key twice":            {`"_type"`, `"predicateType":"x","_type"`},
		"a key twice, deep":      {`"sealed"`, `"nonce":"x","sealed"`},
		"a key in capitals":      {`"predicate"`, `"Predicate"`},
		"both":                   {`"predicate"`, `"Predicate":{},"predicate"`},
		"an unknown field":       {`"_type"`, `"more":1,"_type"`},
		"a subject's field":      {`"name"`, `"more":1,"name"`},
		"another digest beside":  {`{"sha256":"` + hex, `{"sha1":"00","sha256":"` + hex},
		"another digest":         {`"sha256":"` + hex, `"sha512":"` + hex},
		"capital digits":         {hex, strings.ToUpper(hex)},
		"a zero digest":          {hex, strings.Repeat("0", 64)},
		"no predicate type":      {TypeReceipt, ""},
		"a null":                 {`"_type":"https://in-toto.io/Statement/v1"`, `"_type":null`},
		"bytes that are no text": {"bin/router", "bin/\xff"},
		"a list as predicate":    {`"predicate":{`, `"predicate":[{`},
	} {
		bad := strings.Replace(string(good), change[0], change[1], 1)
		if bad == string(good) {
			t.Fatalf("%s: the statement has no %q", name, change[0])
		}
		if d, err := decodeStatement([]byte(bad)); err == nil {
			t.Errorf("%s: %+v", name, d)
		}
	}
	deep := strings.Replace(string(good), `"sealed"`, `"x":`+strings.Repeat("[", 100)+strings.Repeat("]", 100)+`,"sealed"`, 1)
	for name, bad := range map[string]string{"too deep": deep, "trailing": string(good) + "1", "nothing": "", "too long": strings.Repeat(" ", MaxStatementBytes+1)} {
		if d, err := decodeStatement([]byte(bad)); err == nil {
			t.Errorf("%s: %+v", name, d)
		}
	}
}
