package rebuilds

import (
	"bytes"
	"crypto"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/manifest"
	"github.com/countersign-escrow/countersign/verifier/attest"
	"github.com/countersign-escrow/countersign/verifier/finding"
)

// Caps on what a finding carries.
const (
	maxSummary = 4 << 10
	maxCauses  = 1024
	minNonce   = 22 // characters: 128 bits in base64
)

// key is a trust anchor of the rebuilder.
type key struct {
	public crypto.PublicKey
	pem    string
}

// readKeys returns the keys with which the rebuilder may sign findings about the release now.
func readKeys(tx *catalog.Tx, in *handIn, now time.Time) ([]key, error) {
	rows, err := tx.TrustAnchors(in.name.Organization)
	if err != nil {
		return nil, err
	}
	var keys []key
	for _, a := range rows {
		if !counts(&a, in, now) {
			continue
		}
		public, err := attest.ParsePublicKey(a.Material)
		if err != nil {
			return nil, fmt.Errorf("stored trust anchor %s: %w", a.ID, err)
		}
		keys = append(keys, key{public: public, pem: a.Material})
	}
	return keys, nil
}

func counts(a *catalog.TrustAnchor, in *handIn, now time.Time) bool {
	return a.Purpose == catalog.PurposeRebuild &&
		(a.Product == nil || *a.Product == in.release.Name.Product) &&
		!now.Before(a.From) &&
		(a.Until.IsZero() || now.Before(a.Until)) &&
		(a.Revoked.IsZero() || now.Before(a.Revoked))
}

// judge takes the envelopes of one rebuild in, one after the other.
type judge struct {
	in         *handIn
	taken      []taken
	rebuilds   int
	compared   map[string]bool
	provenance bool
}

// taken is an envelope that counts.
type taken struct {
	envelope *attest.Envelope
	keyPEM   string
	finding  *finding.Finding // nil: a provenance
}

// envelope judges one envelope: whole, signed by a key that counts, and speaking of this very rebuild.
func (j *judge) envelope(at string, raw []byte) error {
	env, err := attest.ParseEnvelope(raw)
	if err != nil {
		return fault.Invalidf(at, "%v", err)
	}
	i := slices.IndexFunc(j.in.keys, func(k key) bool { return env.VerifyKey(k.public) == nil })
	if i < 0 {
		d := fault.Deniedf("UNTRUSTED_SIGNATURE", "%s: no key of %s that counts for rebuilds has signed it", at, j.in.name.Organization)
		return d.WithAdvice("register the key as a trust anchor with the purpose REBUILD")
	}
	statement, err := env.Statement()
	if err != nil {
		return fault.Invalidf(at, "%v", err)
	}
	t := taken{envelope: env, keyPEM: j.in.keys[i].pem}
	switch statement.PredicateType {
	case attest.TypeFinding, attest.TypeComparison:
		t.finding, err = j.finding(at, statement)
	case attest.TypeProvenance:
		err = j.checkProvenance(at, statement)
	default:
		err = fault.Invalidf(at, "predicate type %.200q is none that a rebuild ends with", statement.PredicateType)
	}
	j.taken = append(j.taken, t)
	return err
}

// predicate is that of findings and comparisons.
type predicate struct {
	finding.Finding
	Release   string        `json:"release"`
	Manifest  digest.Digest `json:"manifest"`
	Rebuilder string        `json:"rebuilder"`
	Country   string        `json:"country"`
	Time      string        `json:"time"`
	Nonce     string        `json:"nonce"`
}

func (j *judge) finding(at string, s attest.Decoded) (*finding.Finding, error) {
	var p predicate
	dec := json.NewDecoder(bytes.NewReader(s.Predicate))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&p); err != nil {
		return nil, fault.Invalidf(at+".predicate", "%v", err)
	}
	if !sameJSON(s.Predicate, p) {
		return nil, fault.Invalidf(at+".predicate", "has fields that are spelt otherwise, or empty ones")
	}
	if err := j.about(at, p.Release, p.Manifest, p.Rebuilder, p.Country); err != nil {
		return nil, err
	}
	if err := checkNonce(at+".nonce", p.Nonce); err != nil {
		return nil, err
	}
	f := &p.Finding
	if len(f.Summary) > maxSummary || len(f.Causes) > maxCauses {
		return nil, fault.Exhaustedf(at, "has a summary of %d bytes and %d causes, %d and %d at most", len(f.Summary), len(f.Causes), maxSummary, maxCauses)
	}
	switch {
	case s.PredicateType == attest.TypeFinding && f.Check == finding.Rebuild:
		return f, j.rebuild(at, s, f)
	case s.PredicateType == attest.TypeComparison && f.Check == finding.Comparison:
		return f, j.comparison(at, s, f)
	}
	return nil, fault.Invalidf(at, "a finding of the check %.40q is none that a rebuild ends with", f.Check)
}

// checkNonce makes sure that a statement's hash, which stands in the log for everybody, cannot be guessed.
func checkNonce(at, nonce string) error {
	if len(nonce) < minNonce {
		return fault.Invalidf(at, "has %d characters, must have %d random ones at least: the statement's hash could be guessed", len(nonce), minNonce)
	}
	return nil
}

// sameJSON says whether raw is v and nothing else: the decoder takes Verdict for verdict, and another reader would not.
func sameJSON(raw []byte, v any) bool {
	again, err := json.Marshal(v)
	if err != nil {
		return false
	}
	var a, b any
	if json.Unmarshal(raw, &a) != nil || json.Unmarshal(again, &b) != nil {
		return false
	}
	return reflect.DeepEqual(a, b)
}

// about makes sure that a statement speaks of this release as it is, in the name of this rebuilder.
func (j *judge) about(at, release string, of digest.Digest, rebuilder, country string) error {
	in := j.in
	switch {
	case release != in.release.Name.String():
		return fault.Invalidf(at+".release", "speaks of %.200q, the rebuild is of %s", release, in.release.Name)
	case of != in.release.ManifestDigest:
		return fault.Invalidf(at+".manifest", "is not the manifest of %s", in.release.Name)
	case rebuilder != in.name.Organization.String():
		return fault.Invalidf(at+".rebuilder", "is %.100q, must be %s", rebuilder, in.name.Organization)
	case country != in.country:
		return fault.Invalidf(at+".country", "is %.20q, that of %s is %s", country, in.name.Organization, in.country)
	}
	return nil
}

func (j *judge) rebuild(at string, s attest.Decoded, f *finding.Finding) error {
	switch {
	case len(s.Subjects) != 1 || s.Subjects[0].Digest != j.in.release.ManifestDigest:
		return fault.Invalidf(at+".subject", "must be the manifest alone")
	case f.Artifact != "" || f.Verdict != "":
		return fault.Invalidf(at, "the finding of a rebuild speaks of no artifact")
	case !slices.Contains([]finding.Outcome{finding.Passed, finding.Failed, finding.Undecided}, f.Outcome):
		return fault.Invalidf(at+".outcome", "%.40q is none", f.Outcome)
	}
	j.rebuilds++
	return nil
}

var verdicts = []finding.Verdict{finding.Match, finding.MatchNormalized, finding.DiffersStable, finding.DiffersUnstable,
	finding.BuildFailed, finding.TimedOut, finding.ResourceExceeded, finding.NotProduced, finding.Incomplete}

func (j *judge) comparison(at string, s attest.Decoded, f *finding.Finding) error {
	artifacts := j.in.manifest.Artifacts
	i := slices.IndexFunc(artifacts, func(a manifest.Artifact) bool { return a.Path == f.Artifact })
	if i < 0 {
		return fault.Invalidf(at+".artifact", "%.200q is none of the release", f.Artifact)
	}
	shipped := artifacts[i].Digest
	switch {
	case j.compared[f.Artifact]:
		return fault.Invalidf(at+".artifact", "%q is compared twice", f.Artifact)
	case len(s.Subjects) != 1 || s.Subjects[0].Name != f.Artifact || s.Subjects[0].Digest != shipped:
		return fault.Invalidf(at+".subject", "must be the shipped artifact alone, %s with %s", f.Artifact, shipped)
	case !slices.Contains(verdicts, f.Verdict):
		return fault.Invalidf(at+".verdict", "%.40q is none", f.Verdict)
	case f.Outcome != f.Verdict.Outcome():
		return fault.Invalidf(at+".outcome", "%.40q does not go with %s", f.Outcome, f.Verdict)
	}
	if err := evidence(at, f, shipped); err != nil {
		return err
	}
	if j.compared == nil {
		j.compared = map[string]bool{}
	}
	j.compared[f.Artifact] = true
	return nil
}

// evidence makes sure that what was compared is the shipped artifact, and that a match is one.
func evidence(at string, f *finding.Finding, shipped digest.Digest) error {
	c := f.Evidence.Comparison
	if c != nil && c.Shipped != shipped {
		return fault.Invalidf(at+".evidence.comparison.shipped", "is not the shipped artifact, %s", shipped)
	}
	if f.Verdict == finding.Match && (c == nil || !slices.Contains(c.Rebuilt, shipped)) {
		return fault.Invalidf(at+".evidence.comparison.rebuilt", "has no file with the digest of the artifact, %s: this is no MATCH", shipped)
	}
	return nil
}

// checkProvenance reads of a provenance what ties it to this rebuild.
func (j *judge) checkProvenance(at string, s attest.Decoded) error {
	var p struct {
		BuildDefinition struct {
			ExternalParameters struct {
				Release  string        `json:"release"`
				Manifest digest.Digest `json:"manifest"`
			} `json:"externalParameters"`
			InternalParameters struct {
				Country string `json:"country"`
			} `json:"internalParameters"`
		} `json:"buildDefinition"`
		RunDetails struct {
			Builder struct {
				ID string `json:"id"`
			} `json:"builder"`
			Metadata struct {
				InvocationID string `json:"invocationId"`
			} `json:"metadata"`
		} `json:"runDetails"`
	}
	if err := json.Unmarshal(s.Predicate, &p); err != nil {
		return fault.Invalidf(at+".predicate", "%v", err)
	}
	if j.provenance {
		return fault.Invalidf(at, "is a second provenance")
	}
	j.provenance = true
	if err := checkNonce(at+".runDetails.metadata.invocationId", p.RunDetails.Metadata.InvocationID); err != nil {
		return err
	}
	if id := p.RunDetails.Builder.ID; id != "countersign:"+j.in.name.Organization.String() {
		return fault.Invalidf(at+".runDetails.builder.id", "is %.100q, must name %s", id, j.in.name.Organization)
	}
	ext := p.BuildDefinition.ExternalParameters
	return j.about(at, ext.Release, ext.Manifest, j.in.name.Organization.String(), p.BuildDefinition.InternalParameters.Country)
}

// whole makes sure that the rebuild is told of whole: how it ended, and every artifact once.
func (j *judge) whole() error {
	if j.rebuilds != 1 {
		return fault.Invalidf("envelopes", "hold %d findings of the check REBUILD, must hold 1", j.rebuilds)
	}
	for _, a := range j.in.manifest.Artifacts {
		if !j.compared[a.Path] {
			return fault.Invalidf("envelopes", "hold no comparison of the artifact %q", a.Path)
		}
	}
	return nil
}
