package signature

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/countersign-escrow/countersign/verifier/finding"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

func evidenceOver(role proof.Role, n int) finding.SignatureEvidence {
	e := finding.SignatureEvidence{Kind: "k", Valid: true, Anchor: "a"}
	for i := range n {
		e.Files = append(e.Files, finding.CoveredFile{Role: string(role), Name: fmt.Sprintf("%s/%d", strings.Repeat("<", 800), i)})
	}
	return e
}

func listed(list []finding.SignatureEvidence, role proof.Role) (n int) {
	for _, e := range list {
		for _, f := range e.Files {
			if f.Role == string(role) {
				n++
			}
		}
	}
	return n
}

func sizeOf(t *testing.T, v any) int {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return len(b)
}

func TestEvidenceIsBounded(t *testing.T) {
	bad := finding.SignatureEvidence{Problem: strings.Repeat("p", 10_000), Signer: strings.Repeat("\x01", 10_000), Notes: make([]string, 100)}
	many := []finding.SignatureEvidence{evidenceOver(proof.Artifact, 4096), evidenceOver(proof.Artifact, 4096)}
	for range 2000 {
		many = append(many, bad)
	}
	many = append(many, evidenceOver(proof.Source, 64), evidenceOver(proof.Manifest, 1))
	kept, left := bound(many)
	if n := sizeOf(t, kept); n > maxEvidence+len(many)*100 || n < maxEvidence/2 {
		t.Errorf("%d bytes", n)
	}
	if left == 0 || len(kept)+left != len(many) {
		t.Errorf("%d are kept and %d left out", len(kept), left)
	}
	if listed(kept, proof.Source) != 64 || listed(kept, proof.Manifest) != 1 {
		t.Errorf("sources or the manifest are left out")
	}
	for _, e := range kept {
		if len(e.Notes) > maxNotes+1 || len(e.Problem) > maxText+3 {
			t.Errorf("%d notes, a problem of %d bytes", len(e.Notes), len(e.Problem))
		}
	}
}

func TestCoveredArtifactsAreCutLast(t *testing.T) {
	kept, left := bound([]finding.SignatureEvidence{evidenceOver(proof.Artifact, 4096), evidenceOver(proof.Manifest, 1)})
	n := listed(kept, proof.Artifact)
	if left != 0 || n == 0 || n == 4096 || len(kept[0].Notes) != 1 || !strings.Contains(kept[0].Notes[0], fmt.Sprintf("%d more artifacts", 4096-n)) {
		t.Errorf("%d left out, %d artifacts, notes %q", left, n, kept[0].Notes)
	}
	small := evidenceOver(proof.Artifact, 3)
	if kept, _ := bound([]finding.SignatureEvidence{small}); len(kept[0].Files) != 3 || kept[0].Notes != nil {
		t.Errorf("%+v", kept)
	}
}

// TestEvidenceShowsAllThatItHas: no text may act on a terminal, hide what it says, or keep a finding from being sent.
func TestEvidenceShowsAllThatItHas(t *testing.T) {
	const hostile, want = "a\x1b[2J\r\n\u202eb\u200b\xff", `a\x1b[2J\r\n\u202eb\u200b` + "\ufffd"
	kept, _ := bound([]finding.SignatureEvidence{{File: hostile, Signer: hostile, Covers: hostile, Problem: hostile, TimeBy: hostile, KeyID: hostile,
		Notes: []string{hostile}}})
	e := kept[0]
	for _, got := range append(e.Notes, e.File, e.Signer, e.Covers, e.Problem, e.TimeBy, e.KeyID) {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := proof.Text("Größe, naïve, 日本", 100); got != "Größe, naïve, 日本" {
		t.Errorf("%q", got)
	}
}
