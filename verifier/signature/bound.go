package signature

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/countersign-escrow/countersign/verifier/finding"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

// Caps on what all evidence of one release says, so that a finding stays of a size that can be signed and sent, whatever signatures are made of.
const (
	maxEvidence = 3 << 20 // bytes of all of it, as JSON
	maxText     = 1024    // bytes of one text
	maxNotes    = 16      // of one signature
)

// bound makes evidence fit, and says how many signatures there was no room for. What counts comes first, that on the manifest and on sources
// before that on artifacts alone; which artifacts are covered is listed as far as there is room left.
func bound(evidence []finding.SignatureEvidence) (kept []finding.SignatureEvidence, left int) {
	room := maxEvidence
	all := make([]listing, len(evidence))
	for i, e := range evidence {
		all[i] = newListing(e)
	}
	for rank := range ranks {
		for i := range all {
			if l := &all[i]; l.rank == rank && l.size <= room {
				l.kept, room = true, room-l.size
			}
		}
	}
	for _, l := range all {
		if l.kept {
			kept = append(kept, l.withArtifacts(&room))
		}
	}
	return kept, len(evidence) - len(kept)
}

// ranks is how many ranks of evidence there are.
const ranks = 3

// listing is evidence that may be listed.
type listing struct {
	finding.SignatureEvidence // without artifacts
	artifacts                 []finding.CoveredFile
	rank, size                int
	kept                      bool
}

func newListing(e finding.SignatureEvidence) listing {
	l := listing{SignatureEvidence: shown(e), rank: ranks - 1}
	l.Files = nil
	for _, f := range e.Files {
		if f.Role == string(proof.Artifact) {
			l.artifacts = append(l.artifacts, f)
		} else {
			l.Files = append(l.Files, f)
		}
	}
	switch {
	case e.Valid && len(l.Files) > 0:
		l.rank = 0
	case e.Valid:
		l.rank = 1
	}
	l.size = encoded(l.SignatureEvidence)
	return l
}

// shown makes all texts of evidence fit to be shown.
func shown(e finding.SignatureEvidence) finding.SignatureEvidence {
	for _, text := range []*string{&e.Kind, &e.File, &e.KeyID, &e.Signer, &e.Covers, &e.TimeBy, &e.Problem} {
		*text = proof.Text(*text, maxText)
	}
	e.Notes = few(e.Notes)
	for i := range e.Notes {
		e.Notes[i] = proof.Text(e.Notes[i], maxText)
	}
	return e
}

// withArtifacts returns the evidence with as many artifacts as there is room for.
func (l listing) withArtifacts(room *int) finding.SignatureEvidence {
	e := l.SignatureEvidence
	for i, f := range l.artifacts {
		size := encoded(f)
		if size > *room {
			e.Notes = append(e.Notes, fmt.Sprintf("%d more artifacts that it covers are not listed, for there are too many", len(l.artifacts)-i))
			break
		}
		*room -= size
		e.Files = append(e.Files, f)
	}
	return e
}

// few returns so many notes as people may read.
func few(notes []string) []string {
	if n := len(notes) - maxNotes; n > 1 {
		return append(slices.Clone(notes[:maxNotes]), fmt.Sprintf("%d more notes", n))
	}
	return slices.Clone(notes)
}

// encoded is how long a piece of evidence is in a finding, with the comma behind it.
func encoded(v any) int {
	b, err := json.Marshal(v)
	if err != nil {
		return maxEvidence + 1 // is listed nowhere
	}
	return len(b) + 1
}
