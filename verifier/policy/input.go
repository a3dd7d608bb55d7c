package policy

import (
	"time"

	"github.com/countersign-escrow/countersign/escrow/manifest"
	"github.com/countersign-escrow/countersign/escrow/resource"
	"github.com/countersign-escrow/countersign/verifier/finding"
)

// Party is an organization and its country, two upper-case letters of ISO 3166-1.
type Party struct {
	Organization resource.Organization
	Country      string
}

// Finding is one recorded finding: what was found, by whom, and the id of the attestation that carries it.
type Finding struct {
	finding.Finding
	By          Party
	Attestation string
}

// RebuildState says how far a rebuild is.
type RebuildState string

// The states of a rebuild.
const (
	Waiting RebuildState = "WAITING" // for a rebuilder
	Leased  RebuildState = "LEASED"  // somebody is at it
	Done    RebuildState = "DONE"    // its findings are in
)

// Rebuild is one rebuild that was asked for.
type Rebuild struct {
	By    Party
	State RebuildState
}

// Input is everything that a policy is evaluated over: one release as one evaluator sees it.
type Input struct {
	Release   resource.Release
	Evaluator Party
	Manifest  *manifest.Manifest // for the artifacts' paths and platforms
	Findings  []Finding          // oldest first; where two speak of the same thing, the later one holds
	Rebuilds  []Rebuild          // all that were asked for
	Pending   []string           // what else is awaited, in words, beyond missing check findings and undone rebuilds
	Now       time.Time
}
