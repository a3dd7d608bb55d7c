package signature

import (
	"fmt"
	"slices"
	"time"

	"github.com/countersign-escrow/countersign/verifier/finding"
	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

// claimSlack is how far a signer's own clock may be ahead of the instant at which the signature was there for certain.
const claimSlack = 24 * time.Hour

// byDeposit says how the time of a signature is known where nothing proves an earlier one.
const byDeposit = "the deposit: it was there by then, and nothing proves that it was earlier"

// covers are the roles that an anchor of a purpose may cover. Time stamps cover nothing.
var covers = map[anchor.Purpose]map[proof.Role]bool{
	anchor.Release:  {proof.Manifest: true, proof.Source: true, proof.Artifact: true},
	anchor.Source:   {proof.Source: true},
	anchor.Artifact: {proof.Artifact: true},
}

// judge says what a signature is worth: who made it, at what time it is judged, and why it does not count if it does not. In one
// place stand the rules for all kinds.
func judge(p proof.Proof, c coverage, deposited time.Time) finding.SignatureEvidence {
	at, unproved := judgedTime(p.Times, deposited)
	e := finding.SignatureEvidence{Kind: p.Kind, KeyID: p.KeyID, Signer: p.Signer, Covers: c.text, Notes: append(append(unproved, p.Notes...), c.notes...),
		Time: at.At.UTC().Format(time.RFC3339), TimeBy: at.By}
	if !p.Claim.IsZero() {
		e.Claimed = p.Claim.UTC().Format(time.RFC3339)
	}
	e.Roots = roots(p, at)
	for _, w := range p.Weak {
		e.Weak = append(e.Weak, string(w))
	}
	if e.Problem = problemOfProof(p, c, at); e.Problem != "" {
		if len(p.Anchors) > 0 {
			e.Anchor = p.Anchors[0].Name
		}
		return e
	}
	a, covered, problem := bestAnchor(p, c, at.At)
	e.Anchor, e.Problem, e.Valid = a.Name, problem, problem == ""
	if e.Valid {
		e.Files = covered
	}
	return e
}

// roots names the anchors that a signature rests on besides its maker's.
func roots(p proof.Proof, at proof.Time) (names []string) {
	for _, r := range append(p.Roots[:len(p.Roots):len(p.Roots)], at.Root) {
		if r != nil && !slices.Contains(names, r.Name) {
			names = append(names, r.Name)
		}
	}
	return names
}

// judgedTime returns the earliest instant at which the signature was there for certain, and notes on stamps that prove nothing.
func judgedTime(times []proof.Time, deposited time.Time) (proof.Time, []string) {
	best := proof.Time{At: deposited, By: byDeposit}
	var notes []string
	for _, t := range times {
		if t.Root != nil {
			if problem := t.Root.Problem(t.At); problem != "" {
				notes = append(notes, fmt.Sprintf("%s proves nothing: %s", t.By, problem))
				continue
			}
		}
		if t.At.Before(best.At) {
			best = t
		}
	}
	return best, notes
}

// problemOfProof says what is wrong with a signature whoever made it.
func problemOfProof(p proof.Proof, c coverage, at proof.Time) string {
	switch {
	case p.Problem != "":
		return p.Problem
	case len(p.Anchors) == 0:
		return "not made by any trust anchor"
	case c.problem != "":
		return c.problem
	case p.Claim.After(at.At.Add(claimSlack)):
		return fmt.Sprintf("it claims to have been made at %s, after it was there already (%s: %s)", p.Claim.UTC().Format(time.RFC3339),
			at.At.UTC().Format(time.RFC3339), at.By)
	}
	for _, r := range p.Roots {
		if problem := r.Problem(at.At); problem != "" {
			return "it rests on " + r.Name + ": " + problem
		}
	}
	problem := p.Life.Problem(at.At)
	if problem != "" && at.By == byDeposit && !p.Life.Compromised && p.Life.Problem(p.Life.From) == "" && at.At.After(p.Life.From) {
		problem += ", and nothing proves that it was made before: only a trusted time stamp or log entry can"
	}
	return problem
}

// bestAnchor returns, of the anchors that made a signature which counts, the first by which most is covered, with what is; or the first of all,
// with what is wrong.
func bestAnchor(p proof.Proof, c coverage, at time.Time) (best *anchor.Anchor, covered []finding.CoveredFile, problem string) {
	for _, a := range p.Anchors {
		files := allowed(a, p.Roots, c.files)
		switch wrong := problemOfAnchor(a, p, c, len(files), at); {
		case wrong == "" && len(files) > len(covered):
			best, covered = a, files
		case problem == "":
			problem = wrong
		}
	}
	if best == nil {
		return p.Anchors[0], nil, problem
	}
	return best, covered, ""
}

func problemOfAnchor(a *anchor.Anchor, p proof.Proof, c coverage, files int, at time.Time) string {
	if problem := a.Problem(at); problem != "" {
		return problem
	}
	for _, w := range p.Weak {
		if !w.Allowed(a.Unsafe) {
			return fmt.Sprintf("it uses %s, which is too weak, and the trust anchor %s does not allow it", w, a.Name)
		}
	}
	if files == 0 && len(allowed(a, nil, c.files)) > 0 {
		return fmt.Sprintf("it rests on %s, which is for the purpose %s, and this is over %s", p.Roots[0].Name, p.Roots[0].Purpose, c.text)
	}
	if files == 0 {
		return fmt.Sprintf("the trust anchor %s is for the purpose %s, and this is over %s", a.Name, a.Purpose, c.text)
	}
	return ""
}

// allowed returns the files that an anchor may cover by its purpose, and by those of the anchors that the signature rests on.
func allowed(a *anchor.Anchor, roots []*anchor.Anchor, files []proof.Covered) (out []finding.CoveredFile) {
	for _, f := range files {
		refuses := func(r *anchor.Anchor) bool { return r.Purpose != anchor.Time && !covers[r.Purpose][f.Role] }
		if covers[a.Purpose][f.Role] && !slices.ContainsFunc(roots, refuses) {
			out = append(out, finding.CoveredFile{Role: string(f.Role), Name: f.Name, Digest: f.Digest})
		}
	}
	return out
}
