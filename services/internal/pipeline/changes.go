package pipeline

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/resource"
	"github.com/countersign-escrow/countersign/services/internal/jobs"
)

// Sealed records a release's receipt and makes its checks due, in the transaction that seals it.
func (p *Pipeline) Sealed(ctx context.Context, tx *catalog.Tx, release resource.Release, receipt *catalog.Attestation) error {
	if err := p.attestor.Record(ctx, tx, receipt); err != nil {
		return err
	}
	return p.Jobs.InsertTx(ctx, tx.SQL(), jobs.Check{Release: release.String()})
}

// GrantChanged makes due what a new, changed or revoked grant asks for, in the transaction that changes it: reports for
// its evaluator, and the evaluator's own rebuilds where its policy asks for them. It is looked at again when the grant
// begins and when it ends.
func (p *Pipeline) GrantChanged(ctx context.Context, tx *catalog.Tx, g catalog.Grant) error {
	if next, ok := turn(g, p.Now()); ok {
		if err := p.Jobs.InsertTxAt(ctx, tx.SQL(), next, jobs.Grant{Vendor: g.Vendor.String(), ID: g.ID}); err != nil {
			return err
		}
	}
	return p.productChanged(ctx, tx, g.Product, g.Grantee)
}

// turn returns when a grant next begins or ends by itself.
func turn(g catalog.Grant, now time.Time) (time.Time, bool) {
	switch {
	case !g.Revoked.IsZero():
		return time.Time{}, false
	case g.From.After(now):
		return g.From, true
	default:
		return g.Until, g.Until.After(now)
	}
}

// grantTurns is GrantChanged for a grant whose time has come, or has passed.
func (p *Pipeline) grantTurns(ctx context.Context, job jobs.Grant) error {
	vendor, err := resource.ParseOrganization(job.Vendor)
	if err != nil {
		return err
	}
	return p.Catalog.Update(ctx, func(tx *catalog.Tx) error {
		g, err := tx.Grant(vendor, job.ID)
		if err != nil {
			return err
		}
		return p.GrantChanged(ctx, tx, *g)
	})
}

// PolicyChanged makes due what an evaluator's new policy asks for, in the transaction that sets it.
func (p *Pipeline) PolicyChanged(ctx context.Context, tx *catalog.Tx, evaluator resource.Organization) error {
	const page = 500
	for after := ""; ; {
		products, err := tx.GrantedProducts(evaluator, p.Now(), after, page)
		if err != nil {
			return err
		}
		for _, product := range products {
			if err := p.productChanged(ctx, tx, product.Name, evaluator); err != nil {
				return err
			}
			after = product.Name.String()
		}
		if len(products) < page {
			return nil
		}
	}
}

// productChanged looks anew at every sealed release of a product for one evaluator.
func (p *Pipeline) productChanged(ctx context.Context, tx *catalog.Tx, product resource.Product, evaluator resource.Organization) error {
	const page = 500
	for after := ""; ; {
		releases, err := tx.Releases(product, after, page)
		if err != nil {
			return err
		}
		for _, r := range releases {
			after = r.Name.Version
			if r.State != catalog.ReleaseSealed {
				continue
			}
			if err := p.releaseChanged(ctx, tx, r.Name, evaluator); err != nil {
				return err
			}
		}
		if len(releases) < page {
			return nil
		}
	}
}

func (p *Pipeline) releaseChanged(ctx context.Context, tx *catalog.Tx, release resource.Release, evaluator resource.Organization) error {
	known, err := readKnown(tx, release)
	if err != nil {
		return err
	}
	if known.rebuildable(p.Operator) {
		d, err := readDossier(tx, release)
		if err != nil {
			return err
		}
		if err := p.askEvaluator(tx, d, evaluator); err != nil {
			return err
		}
	}
	if err := p.Settle(tx, release); err != nil {
		return err
	}
	return p.reportDue(ctx, tx, release, evaluator)
}

// reportsDue makes the reports of everybody due who has a policy and may see the release.
func (p *Pipeline) reportsDue(ctx context.Context, tx *catalog.Tx, release resource.Release) error {
	grantees, err := tx.LiveGrantees(release.Product, p.Now())
	if err != nil {
		return err
	}
	for _, g := range grantees {
		if err := p.reportDue(ctx, tx, release, g); err != nil {
			return err
		}
	}
	return nil
}

// reportDue makes a report due if its evaluator has a policy.
func (p *Pipeline) reportDue(ctx context.Context, tx *catalog.Tx, release resource.Release, evaluator resource.Organization) error {
	row, err := currentPolicy(tx, evaluator)
	if err != nil || row == nil {
		return err
	}
	return p.Jobs.InsertTx(ctx, tx.SQL(), jobs.Evaluate{Release: release.String(), Evaluator: evaluator.String()})
}

// askOwn asks the service's own workers for a rebuild.
func (p *Pipeline) askOwn(ctx context.Context, tx *catalog.Tx, d *dossier) error {
	r, err := p.newRebuild(tx, d, p.Operator)
	if err != nil {
		return err
	}
	isNew, err := tx.InsertRebuild(*r)
	if err != nil || !isNew {
		return err
	}
	return p.Jobs.InsertTx(ctx, tx.SQL(), jobs.Rebuild{Rebuild: r.ID})
}

// askEvaluator asks an evaluator's own agent for a rebuild if its policy wants one and it may see the release.
func (p *Pipeline) askEvaluator(tx *catalog.Tx, d *dossier, evaluator resource.Organization) error {
	row, err := currentPolicy(tx, evaluator)
	if err != nil || row == nil {
		return err
	}
	compiled, err := p.policies.compile(row)
	if err != nil || !compiled.Rebuild() {
		return err
	}
	grants, err := tx.LiveGrants(evaluator, d.Name.Product, p.Now())
	if err != nil || len(grants) == 0 {
		return err
	}
	r, err := p.newRebuild(tx, d, evaluator)
	if err != nil {
		return err
	}
	_, err = tx.InsertRebuild(*r)
	return err
}

// newRebuild makes the row of a rebuild. It needs a machine of the environment's platform.
func (p *Pipeline) newRebuild(tx *catalog.Tx, d *dossier, rebuilder resource.Organization) (*catalog.Rebuild, error) {
	env, err := tx.Environment(d.vendor(), d.manifest.Environment.Image)
	if err != nil {
		return nil, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	return &catalog.Rebuild{ID: id.String(), Release: d.Name, Rebuilder: rebuilder, Platform: env.Platform, Created: p.Now().UTC()}, nil
}
