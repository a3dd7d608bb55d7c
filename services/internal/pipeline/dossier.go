package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/intake"
	"github.com/countersign-escrow/countersign/escrow/manifest"
	"github.com/countersign-escrow/countersign/escrow/resource"
	"github.com/countersign-escrow/countersign/services/internal/materials"
	"github.com/countersign-escrow/countersign/verifier/attest"
	"github.com/countersign-escrow/countersign/verifier/finding"
)

// dossier is a sealed release with its manifest read.
type dossier struct {
	*catalog.Release
	manifest   *manifest.Manifest
	identities map[int]*identity // of the sources by place, as far as they were asked for
}

func (p *Pipeline) dossier(ctx context.Context, name string) (*dossier, error) {
	release, err := resource.ParseRelease(name)
	if err != nil {
		return nil, err
	}
	var d *dossier
	err = p.Catalog.View(ctx, func(tx *catalog.Tx) error {
		d, err = readDossier(tx, release)
		return err
	})
	return d, err
}

func readDossier(tx *catalog.Tx, name resource.Release) (*dossier, error) {
	rel, err := tx.Release(name)
	if err != nil {
		return nil, err
	}
	if rel.State != catalog.ReleaseSealed {
		return nil, fault.Preconditionf("RELEASE_OPEN", name.String(), "%s is not sealed yet", name)
	}
	m, err := manifest.Parse(rel.Manifest)
	if err != nil {
		return nil, fmt.Errorf("%s: stored manifest: %w", name, err)
	}
	return &dossier{Release: rel, manifest: m, identities: make(map[int]*identity)}, nil
}

func (d *dossier) vendor() resource.Organization { return d.Name.Product.Vendor }

// materials gives what the release needs out of the service's custody.
func (p *Pipeline) materials(d *dossier) materials.Held {
	return materials.Held{Store: p.Blobs, Vendor: d.vendor(), Sources: d.manifest.Sources, Scratch: p.intakeDir(), Limits: intake.DefaultLimits()}
}

// artifacts returns the release's artifacts as subjects.
func (d *dossier) artifacts() []attest.Subject {
	list := make([]attest.Subject, len(d.manifest.Artifacts))
	for i, a := range d.manifest.Artifacts {
		list[i] = attest.Subject{Name: a.Path, Digest: a.Digest}
	}
	return list
}

// context is what the statements of the service's own findings say of themselves.
func (p *Pipeline) context(d *dossier, now time.Time) attest.FindingContext {
	return attest.FindingContext{Release: d.Name, Manifest: d.ManifestDigest, Rebuilder: p.Operator, Country: p.Country,
		Time: now.UTC(), Artifacts: d.artifacts()}
}

// key tells findings apart that speak of different things.
type key struct {
	check     finding.Check
	artifact  string
	rebuilder resource.Organization
}

// known is what was found of a release so far; of two findings about the same thing the later one holds.
type known map[key]finding.Outcome

func readKnown(tx *catalog.Tx, release resource.Release) (known, error) {
	k := known{}
	err := eachFinding(tx, release, func(f *catalog.Finding) error {
		k[key{finding.Check(f.Check), f.Artifact, f.Rebuilder}] = finding.Outcome(f.Outcome)
		return nil
	})
	return k, err
}

// rebuildable says whether everything is held that a rebuild needs.
func (k known) rebuildable(operator resource.Organization) bool {
	return k[key{finding.Source, "", operator}] == finding.Passed && k[key{finding.Environment, "", operator}] == finding.Passed
}

// checked says whether the service has made its own checks.
func (k known) checked(operator resource.Organization) bool {
	for _, c := range []finding.Check{finding.Signature, finding.Source, finding.Environment} {
		if k[key{c, "", operator}] == "" {
			return false
		}
	}
	return true
}

// concluded says whether something was found about artifacts. Without rebuilds, that is the service's word that there
// will be none.
func (k known) concluded(operator resource.Organization) bool {
	for about := range k {
		if about.check == finding.Comparison && about.rebuilder == operator {
			return true
		}
	}
	return false
}

// eachFinding calls f for every finding about a release, oldest first.
func eachFinding(tx *catalog.Tx, release resource.Release, f func(*catalog.Finding) error) error {
	const page = 500
	for after := int64(0); ; {
		list, err := tx.Findings(release, after, page)
		if err != nil {
			return err
		}
		for i := range list {
			if err := f(&list[i]); err != nil {
				return err
			}
			after = list[i].Seq
		}
		if len(list) < page {
			return nil
		}
	}
}

func decodeFinding(f *catalog.Finding) (finding.Finding, error) {
	var out finding.Finding
	if err := json.Unmarshal(f.Finding, &out); err != nil {
		return out, fmt.Errorf("stored finding %s: %w", f.ID, err)
	}
	return out, nil
}
