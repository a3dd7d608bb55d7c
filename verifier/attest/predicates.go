package attest

import (
	"time"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/resource"
	"github.com/countersign-escrow/countersign/verifier/finding"
)

// Receipt is what a receipt says: that a release was deposited, whole.
type Receipt struct {
	Release  resource.Release
	Manifest digest.Digest
	Files    []Subject // every artifact, named by its path
	Sealed   time.Time
}

type receiptPredicate struct {
	Release   string        `json:"release"`
	Manifest  digest.Digest `json:"manifest"`
	Artifacts []file        `json:"artifacts"`
	Sealed    string        `json:"sealed"`
	Nonce     string        `json:"nonce"`
}

type file struct {
	Path   string        `json:"path"`
	Digest digest.Digest `json:"digest"`
}

// NewReceipt makes the statement of a receipt. Its subjects are the manifest and every artifact.
func NewReceipt(r Receipt) Statement {
	artifacts := make([]file, len(r.Files))
	for i, f := range r.Files {
		artifacts[i] = file{f.Name, f.Digest}
	}
	return Statement{
		Subjects:      subjects(manifestSubject(r.Release, r.Manifest), r.Files),
		PredicateType: TypeReceipt,
		Predicate: receiptPredicate{
			Release:   r.Release.String(),
			Manifest:  r.Manifest,
			Artifacts: artifacts,
			Sealed:    stamp(r.Sealed),
			Nonce:     newNonce(),
		},
	}
}

func manifestSubject(r resource.Release, manifest digest.Digest) Subject {
	return Subject{Name: r.String(), Digest: manifest}
}

// FindingContext is what surrounds a finding: about what, by whom, when.
type FindingContext struct {
	Release   resource.Release
	Manifest  digest.Digest
	Rebuilder resource.Organization // who checked
	Country   string                // the rebuilder's, ISO 3166
	Time      time.Time
	Artifacts []Subject // every artifact of the release, named by its path
}

type findingPredicate struct {
	finding.Finding
	Release   string        `json:"release"`
	Manifest  digest.Digest `json:"manifest"`
	Rebuilder string        `json:"rebuilder"`
	Country   string        `json:"country"`
	Time      string        `json:"time"`
	Nonce     string        `json:"nonce"`
}

// NewFinding makes the statement of a finding. The subject of a comparison is the shipped artifact, that of any other finding
// the manifest. A comparison of an artifact that the release does not have gets no subject, and so cannot be signed.
func NewFinding(c FindingContext, f finding.Finding) Statement {
	s := Statement{
		PredicateType: TypeFinding,
		Predicate: findingPredicate{
			Finding:   f,
			Release:   c.Release.String(),
			Manifest:  c.Manifest,
			Rebuilder: c.Rebuilder.String(),
			Country:   c.Country,
			Time:      stamp(c.Time),
			Nonce:     newNonce(),
		},
	}
	if f.Check != finding.Comparison {
		s.Subjects = []Subject{manifestSubject(c.Release, c.Manifest)}
		return s
	}
	s.PredicateType = TypeComparison
	for _, a := range c.Artifacts {
		if a.Name == f.Artifact {
			s.Subjects = []Subject{a}
		}
	}
	return s
}
