package commands

import (
	"fmt"
	"io"
	"strings"

	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/output"
	"github.com/countersign-escrow/countersign/verifier/finding"
)

// signatureEvidence reads what a finding says of its signatures.
func signatureEvidence(f *pb.Finding) []finding.SignatureEvidence {
	var all []finding.SignatureEvidence
	for _, s := range f.GetSignatures() {
		e := finding.SignatureEvidence{Kind: s.GetKind(), File: s.GetFile(), Valid: s.GetValid(), Anchor: s.GetAnchor(), Roots: s.GetRoots(), KeyID: s.GetKeyId(),
			Signer: s.GetSigner(), Covers: s.GetCovers(), Time: output.Time(s.GetTime()), TimeBy: s.GetTimeBy(), Claimed: output.Time(s.GetClaimedTime()),
			Weak: s.GetWeak(), Notes: s.GetNotes(), Problem: s.GetProblem()}
		for _, c := range s.GetFiles() {
			e.Files = append(e.Files, finding.CoveredFile{Role: output.Enum(c.GetRole(), "FILE_ROLE_"), Name: c.GetName()})
		}
		all = append(all, e)
	}
	return all
}

// writeSignatures writes the signatures of a finding below its line: what each is worth, and how that is known.
func writeSignatures(w io.Writer, all []finding.SignatureEvidence) {
	for _, e := range all {
		worth := "does not count: " + e.Problem
		if e.Valid {
			worth = "counts: by " + by(e)
		}
		fmt.Fprintf(w, "\n  %s %s %s", output.Clean(orDash(e.File)), output.Clean(e.Kind), output.Clean(worth))
		for _, line := range details(e) {
			fmt.Fprintf(w, "\n    %s", output.Clean(line))
		}
	}
}

// by names whose signature it is.
func by(e finding.SignatureEvidence) string {
	var of []string
	if e.Signer != "" {
		of = append(of, e.Signer)
	}
	if e.KeyID != "" && !strings.Contains(e.Signer, e.KeyID) {
		of = append(of, e.KeyID)
	}
	if len(of) == 0 {
		return orDash(e.Anchor)
	}
	return fmt.Sprintf("%s (%s)", orDash(e.Anchor), strings.Join(of, ", "))
}

// maxNamed bounds how many covered files are named for people.
const maxNamed = 10

func details(e finding.SignatureEvidence) (lines []string) {
	lines = append(lines, "over "+orDash(e.Covers))
	if len(e.Files) > 1 {
		for _, f := range e.Files[:min(len(e.Files), maxNamed)] {
			lines = append(lines, fmt.Sprintf("  %s %s", f.Role, f.Name))
		}
		if more := len(e.Files) - maxNamed; more > 0 {
			lines = append(lines, fmt.Sprintf("  … and %d more files", more))
		}
	}
	if e.Time != "" {
		lines = append(lines, fmt.Sprintf("at %s, known by %s", e.Time, e.TimeBy))
	}
	if e.Claimed != "" {
		lines = append(lines, "made, says the signer, at "+e.Claimed)
	}
	if len(e.Roots) > 0 {
		lines = append(lines, "rests on "+strings.Join(e.Roots, ", "))
	}
	if len(e.Weak) > 0 {
		lines = append(lines, "weak: "+strings.Join(e.Weak, ", "))
	}
	if e.Valid && e.Problem != "" {
		lines = append(lines, "but "+e.Problem)
	}
	for _, n := range e.Notes {
		lines = append(lines, "note: "+n)
	}
	return lines
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// forecastLine says what a signature will be worth.
func forecastLine(e finding.SignatureEvidence) string {
	worth := "will not count: " + e.Problem
	if e.Valid {
		worth = "will count: by " + by(e)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "SIGNATURE %s %s over %s %s", output.Clean(orDash(e.File)), output.Clean(e.Kind), output.Clean(orDash(e.Covers)), output.Clean(worth))
	for _, n := range e.Notes {
		fmt.Fprintf(&b, "\n  note: %s", output.Clean(n))
	}
	return b.String()
}
