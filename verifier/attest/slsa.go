package attest

import (
	"time"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/manifest"
	"github.com/countersign-escrow/countersign/escrow/resource"
	"github.com/countersign-escrow/countersign/verifier/finding"
)

// BuildType is the SLSA build type of a rebuild by recipe.
const BuildType = "https://github.com/countersign-escrow/countersign/docs/build-types/recipe/v1"

// uriScheme makes a resource name a URI, as SLSA wants its ids.
const uriScheme = "countersign:"

// descriptor is a resource descriptor of SLSA.
type descriptor struct {
	Name   string            `json:"name,omitempty"`
	URI    string            `json:"uri,omitempty"`
	Digest map[string]string `json:"digest,omitempty"`
}

// provenance is the predicate of SLSA provenance v1.
type provenance struct {
	BuildDefinition buildDefinition `json:"buildDefinition"`
	RunDetails      runDetails      `json:"runDetails"`
}

type buildDefinition struct {
	BuildType            string             `json:"buildType"`
	ExternalParameters   externalParameters `json:"externalParameters"`
	InternalParameters   internalParameters `json:"internalParameters"`
	ResolvedDependencies []descriptor       `json:"resolvedDependencies"`
}

type externalParameters struct {
	Release  string          `json:"release"`
	Manifest digest.Digest   `json:"manifest"`
	Recipe   manifest.Recipe `json:"recipe"`
}

type internalParameters struct {
	Country string `json:"country"`
	Runs    []run  `json:"runs"`
}

type run struct {
	Plan       digest.Digest     `json:"plan"`
	Runtime    string            `json:"runtime"`
	Conditions map[string]string `json:"conditions"`
}

type runDetails struct {
	Builder  builder  `json:"builder"`
	Metadata metadata `json:"metadata"`
}

type builder struct {
	ID string `json:"id"`
}

type metadata struct {
	InvocationID string `json:"invocationId"` // the nonce
	StartedOn    string `json:"startedOn,omitempty"`
	FinishedOn   string `json:"finishedOn,omitempty"`
}

// NewProvenance makes the statement of where rebuilt files come from, of a rebuild's finding f. Its subjects are the files that
// the runs left; false when they left none.
func NewProvenance(c FindingContext, f finding.Finding, m *manifest.Manifest) (Statement, bool) {
	outputs := rebuilt(f.Evidence.Runs)
	if f.Check != finding.Rebuild || len(outputs) == 0 {
		return Statement{}, false
	}
	started, finished := span(f.Evidence.Runs)
	return Statement{
		Subjects:      outputs[:min(len(outputs), MaxSubjects)],
		PredicateType: TypeProvenance,
		Predicate: provenance{
			BuildDefinition: buildDefinition{
				BuildType:            BuildType,
				ExternalParameters:   externalParameters{c.Release.String(), c.Manifest, m.Recipe},
				InternalParameters:   internalParameters{c.Country, runs(f.Evidence.Runs)},
				ResolvedDependencies: dependencies(m),
			},
			RunDetails: runDetails{
				Builder:  builder{ID: uriScheme + c.Rebuilder.String()},
				Metadata: metadata{InvocationID: newNonce(), StartedOn: started, FinishedOn: finished},
			},
		},
	}, true
}

// rebuilt lists what the runs left; where two runs left different files for one artifact, both.
func rebuilt(runs []finding.RunEvidence) []Subject {
	var out []Subject
	seen := make(map[Subject]bool)
	for _, r := range runs {
		for _, o := range r.Outputs {
			s := Subject{Name: o.Artifact, Digest: o.Digest}
			if !o.Digest.IsZero() && !seen[s] {
				seen[s] = true
				out = append(out, s)
			}
		}
	}
	return out
}

func runs(evidence []finding.RunEvidence) []run {
	out := make([]run, len(evidence))
	for i, e := range evidence {
		out[i] = run{e.Plan, e.Runtime, e.Conditions}
	}
	return out
}

// span returns when the first run began and the last one ended, "" where the evidence does not say.
func span(runs []finding.RunEvidence) (started, finished string) {
	var first, last time.Time
	for _, r := range runs {
		begin, err := time.Parse(time.RFC3339, r.Started)
		if err != nil {
			continue
		}
		end := begin.Add(time.Duration(r.WallMillis) * time.Millisecond)
		if first.IsZero() || begin.Before(first) {
			first = begin
		}
		if end.After(last) {
			last = end
		}
	}
	if first.IsZero() {
		return "", ""
	}
	return stamp(first), stamp(last)
}

func dependencies(m *manifest.Manifest) []descriptor {
	out := make([]descriptor, 0, len(m.Sources)+1)
	for _, s := range m.Sources {
		out = append(out, descriptor{Name: "source/" + s.Name, Digest: digestSet(s.Digest)})
	}
	return append(out, descriptor{Name: "environment", Digest: digestSet(m.Environment.Image)})
}

// Accepted is the decision of a report that passes.
const Accepted = "ACCEPTED"

// Summary is an evaluator's report on a release.
type Summary struct {
	Evaluator resource.Organization
	Country   string // the evaluator's, ISO 3166
	Release   resource.Release
	Manifest  digest.Digest
	Artifacts []Subject // every artifact of the release, named by its path
	Policy    Subject   // the policy's URI and digest
	Decision  string    // as the report has it
	Rules     any       // what each rule said, marshalled as JSON
	Inputs    []Subject // the attestations that went in: URI, and digest of the statement (Envelope.PayloadDigest)
	Time      time.Time
}

// summary is the predicate of a SLSA verification summary v1, with our own fields after it.
type summary struct {
	Verifier           builder      `json:"verifier"`
	TimeVerified       string       `json:"timeVerified"`
	ResourceURI        string       `json:"resourceUri"`
	Policy             descriptor   `json:"policy"`
	InputAttestations  []descriptor `json:"inputAttestations"`
	VerificationResult string       `json:"verificationResult"`
	VerifiedLevels     []string     `json:"verifiedLevels"`
	Decision           string       `json:"countersign_decision"`
	Rules              any          `json:"countersign_rules"`
	Evaluator          string       `json:"countersign_evaluator"`
	Country            string       `json:"countersign_country"`
	Manifest           string       `json:"countersign_manifest"`
	Nonce              string       `json:"countersign_nonce"`
}

// NewSummary makes the statement of a report. Its subjects are the manifest and every artifact. Only an accepted release
// passes; the exact decision stands in a field of ours.
func NewSummary(s Summary) Statement {
	result := "FAILED"
	if s.Decision == Accepted {
		result = "PASSED"
	}
	inputs := make([]descriptor, len(s.Inputs))
	for i, in := range s.Inputs {
		inputs[i] = descriptor{URI: in.Name, Digest: digestSet(in.Digest)}
	}
	return Statement{
		Subjects:      subjects(manifestSubject(s.Release, s.Manifest), s.Artifacts),
		PredicateType: TypeSummary,
		Predicate: summary{
			Verifier:           builder{ID: uriScheme + s.Evaluator.String()},
			TimeVerified:       stamp(s.Time),
			ResourceURI:        uriScheme + s.Release.String(),
			Policy:             descriptor{URI: s.Policy.Name, Digest: digestSet(s.Policy.Digest)},
			InputAttestations:  inputs,
			VerificationResult: result,
			VerifiedLevels:     []string{},
			Decision:           s.Decision,
			Rules:              s.Rules,
			Evaluator:          s.Evaluator.String(),
			Country:            s.Country,
			Manifest:           s.Manifest.String(),
			Nonce:              newNonce(),
		},
	}
}
