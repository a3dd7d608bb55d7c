package rebuilds

import (
	"strings"
	"testing"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/manifest"
	"github.com/countersign-escrow/countersign/escrow/resource"
	"github.com/countersign-escrow/countersign/verifier/attest"
	"github.com/countersign-escrow/countersign/verifier/finding"
)

// Whatever predicate comes along, what is taken speaks of this rebuild and says no more than its evidence.
func FuzzFinding(f *testing.F) {
	shipped := digest.Of([]byte("the app"))
	lab := resource.Organization{ID: "lab"}
	name := resource.Release{Product: resource.Product{Vendor: resource.Organization{ID: "acme"}, ID: "switch"}, Version: "1"}
	in := &handIn{name: resource.Child{Organization: lab}, country: "SE",
		release:  &catalog.Release{Name: name, ManifestDigest: digest.Of([]byte("manifest"))},
		manifest: &manifest.Manifest{Artifacts: []manifest.Artifact{{Path: "app", Digest: shipped}}}}
	good := `{"check":"COMPARISON","outcome":"PASSED","verdict":"MATCH","artifact":"app","summary":"s","evidence":{"comparison":{"shipped":"` +
		shipped.String() + `","rebuilt":["` + shipped.String() + `"],"differingBytes":0,"differingRanges":0}},"release":"` + name.String() +
		`","manifest":"` + in.release.ManifestDigest.String() + `","rebuilder":"organizations/lab","country":"SE","time":"2026-01-01T00:00:00Z","nonce":"WJYACZDF7HWNTRIVTVNONWR6PR"}`
	f.Add([]byte(good), true)
	f.Add([]byte(strings.ReplaceAll(good, "MATCH", "DIFFERS_STABLE")), true)
	f.Add([]byte(`{"check":"REBUILD"}`), false)
	statement := attest.Decoded{PredicateType: attest.TypeComparison, Subjects: []attest.Subject{{Name: "app", Digest: shipped}}}
	statement.Predicate = []byte(good)
	if _, err := (&judge{in: in}).finding("envelopes[0]", statement); err != nil {
		f.Fatalf("the honest seed: %v", err)
	}
	statement.Predicate = []byte(strings.Replace(good, `"verdict"`, `"Verdict":"MATCH","verdict"`, 1))
	if _, err := (&judge{in: in}).finding("envelopes[0]", statement); err == nil {
		f.Fatal("a verdict in two spellings was taken")
	}
	f.Fuzz(func(t *testing.T, raw []byte, comparison bool) {
		s := statement
		s.Predicate = raw
		if !comparison {
			s.PredicateType = attest.TypeFinding
			s.Subjects = []attest.Subject{{Name: name.String(), Digest: in.release.ManifestDigest}}
		}
		got, err := (&judge{in: in}).finding("envelopes[0]", s)
		if err != nil {
			return
		}
		if comparison != (got.Check == finding.Comparison) || got.Verdict == finding.Match && got.Evidence.Comparison.Rebuilt == nil {
			t.Errorf("took %+v", got)
		}
	})
}
