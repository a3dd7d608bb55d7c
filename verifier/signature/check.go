package signature

import (
	"context"
	"errors"
	"fmt"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/verifier/finding"
	"github.com/countersign-escrow/countersign/verifier/signature/authenticode"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

// check is the judging of one release.
type check struct {
	*Trust
	release  Release
	manifest proof.File
	files    []proof.File // the manifest and the release's files
	sums     map[digest.Digest][64]byte
	evidence []finding.SignatureEvidence
}

// Check judges every signature of a release: those that came with it, and those in its git sources and its programs. It passes if the manifest
// is covered by one that counts, for the manifest names everything else by digest; all are listed. An error is a failure to read a file.
func (t *Trust) Check(ctx context.Context, r Release) (finding.Finding, error) {
	c := &check{Trust: t, release: r, manifest: proof.Bytes(proof.Manifest, "manifest", r.Manifest), sums: make(map[digest.Digest][64]byte)}
	c.files = []proof.File{c.manifest}
	read := newBudget(r.Files)
	for _, f := range r.Files {
		c.files = append(c.files, read.charge(f))
	}
	c.release.Files = c.files[1:]
	f := finding.Finding{Check: finding.Signature, Outcome: finding.Failed}
	if n := len(r.Signatures); n > MaxSignatures {
		f.Summary = fmt.Sprintf("%d signatures, %d at most", n, MaxSignatures)
		return f, nil
	}
	for _, judge := range []func(context.Context) error{c.came, c.inGit, c.inPrograms} {
		if err := judge(ctx); err != nil {
			return f, err
		}
	}
	f.Outcome, f.Summary = conclude(c.evidence)
	kept, left := bound(c.evidence)
	if f.Evidence.Signatures = kept; left > 0 {
		f.Summary += fmt.Sprintf("; %d of them are not listed, for there are too many", left)
	}
	return f, nil
}

// came judges the signature files that came with the release.
func (c *check) came(ctx context.Context) error {
	for _, s := range c.release.Signatures {
		if err := c.one(ctx, s); errors.Is(err, errSpent) {
			c.refuse(s.Name, err.Error())
		} else if err != nil {
			return err
		}
	}
	return nil
}

func (c *check) one(ctx context.Context, s Signature) error {
	of, problem := c.subject(s)
	if problem != "" {
		c.refuse(s.Name, problem)
		return nil
	}
	kind, problem := c.kindOf(s)
	if problem != "" {
		c.refuse(s.Name, problem)
		return nil
	}
	proofs, err := kind.Prove(ctx, s.Content, of)
	if err != nil {
		return err
	}
	for _, p := range proofs {
		covered, err := c.coverage(ctx, p, of)
		if err != nil {
			return err
		}
		c.judge(s.Name, p, covered)
	}
	return nil
}

// subject returns what a signature file is over, if it does not carry that itself.
func (c *check) subject(s Signature) (proof.File, string) {
	switch {
	case c.carries[canonical(s.MediaType)]:
		return proof.Bytes("", "nothing", nil), ""
	case s.List != nil:
		return proof.Bytes(proof.List, s.ListName, s.List), ""
	case s.Subject.IsZero():
		return c.manifest, ""
	}
	for _, f := range c.release.Files {
		if f.Digest == s.Subject {
			return f, ""
		}
	}
	return proof.File{}, fmt.Sprintf("it is over %s, which is no file of the release", s.Subject)
}

// kindOf returns who reads a signature file.
func (c *check) kindOf(s Signature) (Kind, string) {
	if n := len(s.Content); n > MaxSignatureBytes {
		return nil, fmt.Sprintf("the signature file has %d bytes, %d at most", n, MaxSignatureBytes)
	}
	if k, ok := c.kinds[canonical(s.MediaType)]; ok {
		return k, ""
	}
	return nil, fmt.Sprintf("no kind of signature has the media type %q", proof.Text(s.MediaType, 100))
}

// coverage says what of the release a proof is over.
func (c *check) coverage(ctx context.Context, p proof.Proof, of proof.File) (coverage, error) {
	switch {
	case p.Signed != nil && p.Problem == "":
		return c.ofContent(ctx, p.Signed)
	case p.Signed != nil || of.Role == "":
		return coverage{text: "what it carries"}, nil
	case of.Role == proof.List && p.Problem == "":
		content, err := of.All(ctx, MaxListBytes)
		if err != nil {
			return coverage{text: "the list " + of.Name, problem: err.Error()}, ctx.Err()
		}
		return c.ofList(ctx, "the list "+of.Name, content)
	case of.Role == proof.List:
		return coverage{text: "the list " + of.Name}, nil
	}
	out := ofFile(of, p.Scope)
	for _, twin := range c.files { // files with the same bytes
		if twin.Digest == of.Digest && (twin.Role != of.Role || twin.Name != of.Name) {
			out.files = append(out.files, proof.Covered{Role: twin.Role, Name: twin.Name, Digest: twin.Digest})
		}
	}
	return out, nil
}

// inGit judges the signatures in the tags and commits of git sources.
func (c *check) inGit(ctx context.Context) error {
	for _, s := range c.release.Git {
		proofs, err := c.git.Prove(ctx, s)
		if err != nil {
			return err
		}
		for _, p := range proofs {
			c.judge(s.File.Name, p, ofFile(s.File, p.Scope))
		}
	}
	return nil
}

// inPrograms judges the signatures in shipped programs.
func (c *check) inPrograms(ctx context.Context) error {
	for _, f := range c.release.Files {
		if f.Role != proof.Artifact {
			continue
		}
		if err := c.inProgram(ctx, f); errors.Is(err, errSpent) {
			c.refuse(f.Name, err.Error())
			return nil
		} else if err != nil {
			return err
		}
	}
	return nil
}

func (c *check) inProgram(ctx context.Context, f proof.File) error {
	there, err := authenticode.Present(ctx, f)
	if err != nil || !there {
		return err
	}
	proofs, err := c.programs.Prove(ctx, f)
	for _, p := range proofs {
		c.judge(f.Name, p, ofFile(f, p.Scope))
	}
	return err
}

// judge adds what a signature is worth. Of the ways in which one may be good the first by which most is covered is taken.
func (c *check) judge(file string, p proof.Proof, covered coverage) {
	e := judge(p, covered, c.release.Deposited)
	if n := len(c.evidence); p.Alternative && n > 0 {
		if before := c.evidence[n-1]; e.Valid && (!before.Valid || len(e.Files) > len(before.Files)) {
			e.File = file
			c.evidence[n-1] = e
		}
		return
	}
	c.add(file, e)
}

// refuse adds a signature that is not looked at.
func (c *check) refuse(file, problem string) {
	c.add(file, finding.SignatureEvidence{Kind: "unknown", Covers: "nothing", Problem: problem})
}

func (c *check) add(file string, e finding.SignatureEvidence) {
	e.File = file
	c.evidence = append(c.evidence, e)
}

// conclude says how the check ends.
func conclude(evidence []finding.SignatureEvidence) (finding.Outcome, string) {
	counting, by, why := 0, "", ""
	for _, e := range evidence {
		if e.Valid {
			counting++
		} else if why == "" {
			why = e.Problem
		}
		if by == "" && overManifest(e) {
			by = e.Anchor
		}
	}
	switch n := len(evidence); {
	case by != "":
		return finding.Passed, fmt.Sprintf("%d of %d signatures count; the manifest is signed by %s", counting, n, by)
	case n == 0:
		return finding.Failed, "the manifest carries no signature"
	case counting > 0:
		return finding.Failed, fmt.Sprintf("%d of %d signatures count, and none of them is over the manifest", counting, n)
	default:
		return finding.Failed, fmt.Sprintf("none of %d signatures counts: %s", n, proof.Text(why, 500))
	}
}

func overManifest(e finding.SignatureEvidence) bool {
	for _, f := range e.Files {
		if e.Valid && f.Role == string(proof.Manifest) {
			return true
		}
	}
	return false
}
