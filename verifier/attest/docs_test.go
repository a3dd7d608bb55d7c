package attest_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/manifest"
	"github.com/countersign-escrow/countersign/escrow/resource"
	"github.com/countersign-escrow/countersign/verifier/attest"
	"github.com/countersign-escrow/countersign/verifier/finding"
)

// The examples in docs/predicates have the fields of the statements that are made, no more and no fewer.
func TestDocumentedPredicates(t *testing.T) {
	for page, s := range documented() {
		t.Run(page, func(t *testing.T) {
			made, err := s.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			want, got := fieldsOf(t, made), fieldsOf(t, example(t, page))
			for _, f := range want {
				if !slices.Contains(got, f) {
					t.Errorf("the example lacks %s", f)
				}
			}
			for _, f := range got {
				if !slices.Contains(want, f) {
					t.Errorf("the example has %s, statements have not", f)
				}
			}
		})
	}
}

func documented() map[string]attest.Statement {
	d := digest.Of([]byte("bytes"))
	release := resource.Release{Product: resource.Product{Vendor: resource.Organization{ID: "acme"}, ID: "router"}, Version: "1.2.3"}
	artifacts := []attest.Subject{{Name: "router.bin", Digest: d}}
	c := attest.FindingContext{Release: release, Manifest: d, Rebuilder: resource.Organization{ID: "lab-se"}, Country: "SE",
		Time: time.Unix(1, 0), Artifacts: artifacts}
	runs := []finding.RunEvidence{{Plan: d, Runtime: "runc", Conditions: map[string]string{
		"hostName": "", "timeZone": "", "locale": "", "umask": "", "uid": "", "gid": ""}, Result: "ENDED", Started: "2025-03-01T12:00:00Z",
		WallMillis: 1, CPUMillis: 1, PeakMemory: 1, Outputs: []finding.OutputEvidence{{Artifact: "router.bin", Digest: d, Size: 1}}}}
	m := &manifest.Manifest{Sources: []manifest.Source{{Name: "router.bundle", Digest: d}}, Environment: manifest.Environment{Image: d},
		Recipe: manifest.Recipe{Argv: []string{"make"}}}
	provenance, _ := attest.NewProvenance(c, finding.Finding{Check: finding.Rebuild, Evidence: finding.Evidence{Runs: runs}}, m)
	return map[string]attest.Statement{
		"receipt": attest.NewReceipt(attest.Receipt{Release: release, Manifest: d, Files: artifacts}),
		"finding": attest.NewFinding(c, finding.Finding{Check: finding.Source, Evidence: finding.Evidence{Sources: []finding.SourceEvidence{
			{Name: "router.bundle", File: d, Tree: "git-sha256:00", SWHIDs: []string{"swh:1:dir:00"}, Commit: "00"}}}}),
		"comparison": attest.NewFinding(c, finding.Finding{Check: finding.Comparison, Verdict: finding.DiffersStable, Artifact: "router.bin",
			Evidence: finding.Evidence{Runs: runs, Comparison: &finding.ComparisonEvidence{Shipped: d, Rebuilt: []digest.Digest{d}}},
			Causes:   []finding.Cause{{Type: finding.Content, Place: "0", ShippedExcerpt: "00", RebuiltExcerpt: "01"}}}),
		"provenance": provenance,
		"verification-summary": attest.NewSummary(attest.Summary{Evaluator: c.Rebuilder, Country: "SE", Release: release, Manifest: d,
			Artifacts: artifacts, Policy: attest.Subject{Name: "policy", Digest: d}, Decision: "REJECTED", Inputs: artifacts,
			Rules: []map[string]any{{"rule": "", "decision": "", "reason": "", "evidence": []string{"attestations/1"}}}}),
	}
}

func example(t *testing.T, page string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../../docs/predicates", page+".md"))
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```json\n(.*?)```").FindSubmatch(b)
	if block == nil {
		t.Fatal("the page has no example")
	}
	return block[1]
}

// fieldsOf lists the paths of all fields, with the types of what they hold.
func fieldsOf(t *testing.T, b []byte) []string {
	t.Helper()
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	paths := map[string]bool{}
	collect(v, nil, paths)
	var list []string
	for p := range paths {
		list = append(list, p)
	}
	slices.Sort(list)
	return list
}

func collect(v any, path []string, into map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			collect(e, append(path, k), into)
		}
	case []any:
		for _, e := range v {
			collect(e, append(path, "[]"), into)
		}
	default:
		into[fmt.Sprintf("%s %T", strings.Join(path, "."), v)] = true
	}
}
