package pipeline

import (
	"context"
	"fmt"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/services/internal/jobs"
	"github.com/countersign-escrow/countersign/verifier/finding"
)

// check makes the cheap checks of a release, one after the other, and asks for the rebuilds if it is complete. A bad
// signature stops no rebuild: who signed and what was built are two questions.
func (p *Pipeline) check(ctx context.Context, job jobs.Check) error {
	d, err := p.dossier(ctx, job.Release)
	if err != nil {
		return err
	}
	for _, c := range []struct {
		check finding.Check
		make  func(context.Context, *dossier) (finding.Finding, error)
	}{
		{finding.Signature, p.checkSignature},
		{finding.Source, p.checkSource},
		{finding.Environment, p.checkEnvironment},
	} {
		if err := p.checkOnce(ctx, d, c.check, c.make); err != nil {
			return fmt.Errorf("%s of %s: %w", c.check, d.Name, err)
		}
	}
	return p.askForRebuilds(ctx, d)
}

// checkOnce makes a check unless its finding is recorded.
func (p *Pipeline) checkOnce(ctx context.Context, d *dossier, c finding.Check, check func(context.Context, *dossier) (finding.Finding, error)) error {
	known, err := p.known(ctx, d)
	if err != nil || known[key{c, "", p.Operator}] != "" {
		return err
	}
	f, err := check(ctx, d)
	if err != nil {
		return err
	}
	return p.recordOwn(ctx, d, []finding.Finding{f})
}

// recordOwn records findings of the service itself.
func (p *Pipeline) recordOwn(ctx context.Context, d *dossier, findings []finding.Finding) error {
	list, err := p.attest(ctx, d, p.Now(), findings)
	if err != nil {
		return err
	}
	err = p.Catalog.Update(ctx, func(tx *catalog.Tx) error {
		if _, err := p.Record(ctx, tx, d.Name, p.Operator, list); err != nil {
			return err
		}
		return p.Settle(tx, d.Name)
	})
	if err == nil {
		p.Hub.Notify(TopicRelease(d.Name))
	}
	return err
}

// askForRebuilds makes rebuilds due, or says of each artifact that nothing can be told where the release is incomplete.
func (p *Pipeline) askForRebuilds(ctx context.Context, d *dossier) error {
	known, err := p.known(ctx, d)
	if err != nil {
		return err
	}
	if !known.rebuildable(p.Operator) {
		return p.recordOwn(ctx, d, incomplete(d))
	}
	err = p.Catalog.Update(ctx, func(tx *catalog.Tx) error {
		if err := p.askOwn(ctx, tx, d); err != nil {
			return err
		}
		evaluators, err := tx.EvaluatorsWithPolicy()
		if err != nil {
			return err
		}
		for _, e := range evaluators {
			if err := p.askEvaluator(tx, d, e); err != nil {
				return err
			}
		}
		return p.Settle(tx, d.Name)
	})
	if err == nil {
		p.Hub.Notify(TopicRelease(d.Name))
	}
	return err
}

// incomplete is the findings about the artifacts of a release that cannot be rebuilt.
func incomplete(d *dossier) []finding.Finding {
	list := make([]finding.Finding, len(d.manifest.Artifacts))
	for i, a := range d.manifest.Artifacts {
		list[i] = finding.Finding{
			Check: finding.Comparison, Outcome: finding.Incomplete.Outcome(), Verdict: finding.Incomplete, Artifact: a.Path,
			Summary:  "not rebuilt: the source or the environment of the release cannot be used",
			Evidence: finding.Evidence{Comparison: &finding.ComparisonEvidence{Shipped: a.Digest, Rebuilt: []digest.Digest{}}},
		}
	}
	return list
}

func (p *Pipeline) known(ctx context.Context, d *dossier) (k known, err error) {
	err = p.Catalog.View(ctx, func(tx *catalog.Tx) error {
		k, err = readKnown(tx, d.Name)
		return err
	})
	return k, err
}
