// Package gitobject finds the signatures in git tags and commits, and says what they cover. It knows nothing of packs and bundles, and
// leaves each kind of signature to somebody who knows it.
package gitobject

import (
	"context"

	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

// The kinds of proof.
const (
	KindTag    = "git-tag"
	KindCommit = "git-commit"
)

// Caps on what is read.
const (
	maxObjectBytes    = 1 << 20 // of a tag or commit object
	maxSignatureBytes = 256 << 10
	maxProblem        = 480 // bytes of what is said to be wrong
)

// Source is a git source with the objects that lead from its tag to its tree, as they came out of a pack. Ids are of SHA-1, 40 hexadecimal
// digits.
type Source struct {
	File     proof.File // the bundle
	Ref      string     // the tag's name, without refs/tags/
	TagID    string     // "" for a lightweight tag
	Tag      []byte     // the tag object's content
	CommitID string
	Commit   []byte // the commit object's content
	TreeID   string // of the tree that was deposited
}

// Prover judges signatures of one sort by anchors, over a payload that is given to it as a file. It owes what signature.Kind owes.
type Prover interface {
	Prove(ctx context.Context, content []byte, of proof.File) ([]proof.Proof, error)
}

// Verifier judges the signatures in git objects.
type Verifier struct {
	provers map[form]Prover
}

// New returns a Verifier that leaves signatures to those who know them. The one for SSH must ask for git's namespace.
func New(pgp, ssh, x509 Prover) *Verifier {
	return &Verifier{provers: map[form]Prover{openPGP: pgp, openSSH: ssh, cms: x509}}
}

// Prove says what the signatures in a source's tag and commit prove: nothing where there is none. What is proved is that the ids on the
// way from the tag to the tree are right, and so the tree; the ids are computed anew.
func (v *Verifier) Prove(ctx context.Context, s Source) ([]proof.Proof, error) {
	c := newChain(s)
	var all []proof.Proof
	if s.TagID != "" {
		list, err := v.object(ctx, splitTag(s.Tag), claims{KindTag, c.tagProblem(), c.tagScope(), signedAt(s.Tag, "tagger")})
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
	}
	list, err := v.object(ctx, splitCommit(s.Commit), claims{KindCommit, c.commitProblem(), c.commitScope(), signedAt(s.Commit, "committer")})
	return append(all, list...), err
}
