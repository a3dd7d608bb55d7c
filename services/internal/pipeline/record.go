package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/resource"
	"github.com/countersign-escrow/countersign/verifier/attest"
	"github.com/countersign-escrow/countersign/verifier/finding"
)

// Attested is a finding with the attestation that carries it, not yet recorded.
type Attested struct {
	Finding     finding.Finding
	Attestation *catalog.Attestation
}

// attest signs findings of the service itself.
func (p *Pipeline) attest(ctx context.Context, d *dossier, now time.Time, findings []finding.Finding) ([]Attested, error) {
	list := make([]Attested, len(findings))
	for i, f := range findings {
		att, err := p.attestor.Sign(ctx, About{Release: d.Name}, attest.NewFinding(p.context(d, now), f))
		if err != nil {
			return nil, err
		}
		list[i] = Attested{Finding: f, Attestation: att}
	}
	return list, nil
}

// Record records findings that rebuilder made of a release, those left out that are recorded already, and returns what
// it recorded. Publication of their attestations becomes due with tx.
func (p *Pipeline) Record(ctx context.Context, tx *catalog.Tx, release resource.Release, rebuilder resource.Organization, list []Attested) ([]catalog.Finding, error) {
	known, err := readKnown(tx, release)
	if err != nil {
		return nil, err
	}
	var recorded []catalog.Finding
	for _, a := range list {
		if known[key{a.Finding.Check, a.Finding.Artifact, rebuilder}] != "" {
			continue
		}
		row, err := p.recordOne(ctx, tx, release, rebuilder, a)
		if err != nil {
			return nil, err
		}
		recorded = append(recorded, *row)
	}
	return recorded, nil
}

// recordOne records a finding, also where there is one about the same thing: the later one holds.
func (p *Pipeline) recordOne(ctx context.Context, tx *catalog.Tx, release resource.Release, rebuilder resource.Organization, a Attested) (*catalog.Finding, error) {
	row, err := newFinding(release, rebuilder, a, p.Now())
	if err != nil {
		return nil, err
	}
	if err := p.attestor.Record(ctx, tx, a.Attestation); err != nil {
		return nil, err
	}
	return row, tx.InsertFinding(row)
}

func newFinding(release resource.Release, rebuilder resource.Organization, a Attested, now time.Time) (*catalog.Finding, error) {
	raw, err := json.Marshal(a.Finding)
	if err != nil {
		return nil, fmt.Errorf("finding: %w", err)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, fmt.Errorf("finding: %w", err)
	}
	return &catalog.Finding{
		ID: id.String(), Release: release, Finding: raw,
		Check: string(a.Finding.Check), Outcome: string(a.Finding.Outcome), Verdict: string(a.Finding.Verdict), Artifact: a.Finding.Artifact,
		Rebuilder: rebuilder, AttestationID: a.Attestation.ID, Created: now.UTC(),
	}, nil
}

// Settle records whether every check and every rebuild that was asked for has ended, with everything that they found in
// the log. A rebuild whose rebuilder may no longer see the release is awaited no more.
func (p *Pipeline) Settle(tx *catalog.Tx, release resource.Release) error {
	known, err := readKnown(tx, release)
	if err != nil || !known.checked(p.Operator) {
		return err
	}
	asked, awaited, err := p.readRebuilds(tx, release)
	if err != nil {
		return err
	}
	unpublished, err := tx.UnpublishedAttestations(release)
	if err != nil {
		return err
	}
	complete := awaited == 0 && unpublished == 0 && (len(asked) > 0 || known.concluded(p.Operator))
	return tx.SetChecksComplete(release, complete, p.Now())
}

// readRebuilds returns the rebuilds of a release, except those that are not done and that nobody may do any more, and
// how many are not done.
func (p *Pipeline) readRebuilds(tx *catalog.Tx, release resource.Release) (asked []catalog.Rebuild, awaited int, err error) {
	all, err := tx.RebuildsOf(release)
	if err != nil {
		return nil, 0, err
	}
	for _, r := range all {
		if r.State != catalog.RebuildDone && r.Rebuilder != p.Operator {
			grants, err := tx.LiveGrants(r.Rebuilder, release.Product, p.Now())
			if err != nil {
				return nil, 0, err
			}
			if len(grants) == 0 {
				continue
			}
		}
		if r.State != catalog.RebuildDone {
			awaited++
		}
		asked = append(asked, r)
	}
	return asked, awaited, nil
}
