// Package attest makes and checks attestations: in-toto statements in Sigstore bundles, time-stamped and proved to be in the
// transparency log. It knows nothing of how findings come about, of who may read an attestation, or of gRPC.
package attest

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"time"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
)

// The predicate types.
const (
	TypeReceipt    = "https://github.com/countersign-escrow/countersign/docs/predicates/receipt/v1"
	TypeFinding    = "https://github.com/countersign-escrow/countersign/docs/predicates/finding/v1"
	TypeComparison = "https://github.com/countersign-escrow/countersign/docs/predicates/comparison/v1"
	TypeProvenance = "https://slsa.dev/provenance/v1"
	TypeSummary    = "https://slsa.dev/verification_summary/v1"
)

// Caps on what is signed and on what is read.
const (
	MaxStatementBytes = 8 << 20
	MaxBundleBytes    = 12 << 20 // a statement in base64, and its proof
	MaxSubjects       = 1024     // stock verifiers refuse more
)

const statementType = "https://in-toto.io/Statement/v1"

// Subject is a file that a statement speaks of.
type Subject struct {
	Name   string
	Digest digest.Digest
}

// Statement is what is attested: an in-toto v1 statement.
type Statement struct {
	Subjects      []Subject
	PredicateType string
	Predicate     any // marshalled as JSON
}

// wireStatement and wireSubject are the JSON form.
type wireStatement struct {
	Type          string        `json:"_type"`
	Subject       []wireSubject `json:"subject"`
	PredicateType string        `json:"predicateType"`
	Predicate     any           `json:"predicate"`
}

type wireSubject struct {
	Name   string            `json:"name"`
	Digest map[string]string `json:"digest"`
}

// Marshal writes the statement as in-toto v1 JSON.
func (s Statement) Marshal() ([]byte, error) {
	if s.PredicateType == "" {
		return nil, fault.Invalidf("statement", "has no predicate type")
	}
	subjects, err := wireSubjects(s.Subjects)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(wireStatement{statementType, subjects, s.PredicateType, s.Predicate}); err != nil {
		return nil, fault.Invalidf("statement", "predicate: %v", err)
	}
	if b.Len() > MaxStatementBytes {
		return nil, fault.Exhaustedf("statement", "has %d bytes, %d at most", b.Len(), MaxStatementBytes)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

func wireSubjects(subjects []Subject) ([]wireSubject, error) {
	if n := len(subjects); n < 1 || n > MaxSubjects {
		return nil, fault.Invalidf("statement", "has %d subjects, must have 1 to %d", n, MaxSubjects)
	}
	out := make([]wireSubject, len(subjects))
	for i, s := range subjects {
		if s.Digest.IsZero() {
			return nil, fault.Invalidf("statement", "subject %q has no digest", s.Name)
		}
		out[i] = wireSubject{Name: s.Name, Digest: digestSet(s.Digest)}
	}
	return out, nil
}

// digestSet is a digest as in-toto and SLSA write it.
func digestSet(d digest.Digest) map[string]string { return map[string]string{"sha256": d.Hex()} }

// subjects puts the manifest before the artifacts and leaves out artifacts beyond what stock verifiers take: the manifest
// names them all.
func subjects(manifest Subject, artifacts []Subject) []Subject {
	artifacts = artifacts[:min(len(artifacts), MaxSubjects-1)]
	return append([]Subject{manifest}, artifacts...)
}

// newNonce keeps the hash in the log from being guessed by whoever guesses what was attested.
func newNonce() string { return rand.Text() }

// stamp writes a time as the predicates have it.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
