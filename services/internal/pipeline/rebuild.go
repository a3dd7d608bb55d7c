package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/services/internal/jobs"
	"github.com/countersign-escrow/countersign/verifier/attest"
	"github.com/countersign-escrow/countersign/verifier/finding"
	"github.com/countersign-escrow/countersign/verifier/rebuild"
)

// rebuild does one rebuild on the service's own workers, under a lease like everybody else.
func (p *Pipeline) rebuild(ctx context.Context, job jobs.Rebuild) error {
	if p.Sandbox == nil {
		return jobs.Later(time.Minute)
	}
	lease, err := p.lease(ctx, job.Rebuild)
	if err != nil || lease == nil {
		return err
	}
	if err := p.rebuildLeased(ctx, lease); err != nil {
		return errors.Join(err, p.giveBack(context.WithoutCancel(ctx), lease))
	}
	p.Hub.Notify(TopicRelease(lease.Release))
	return nil
}

func (p *Pipeline) rebuildLeased(ctx context.Context, lease *catalog.Rebuild) error {
	d, err := p.dossier(ctx, lease.Release.String())
	if err != nil {
		return err
	}
	held, stop := p.keepLease(ctx, lease)
	defer stop()
	rebuilder, err := rebuild.New(rebuild.Config{
		Sandbox: p.Sandbox, Materials: p.materials(d), WorkDir: p.rebuildDir(),
		Progress: func(line string) { p.Progress(d.Name.String() + ": " + line) },
	})
	if err != nil {
		return err
	}
	findings, err := rebuilder.Rebuild(held, d.manifest)
	if err != nil {
		return errors.Join(fmt.Errorf("rebuild of %s: %w", d.Name, err), context.Cause(held))
	}
	return p.recordRebuild(held, d, lease, findings)
}

// recordRebuild records what a rebuild found and ends it, in one transaction that only the holder of the lease can make.
func (p *Pipeline) recordRebuild(ctx context.Context, d *dossier, lease *catalog.Rebuild, findings []finding.Finding) error {
	list, err := p.attest(ctx, d, p.Now(), findings)
	if err != nil {
		return err
	}
	provenance, err := p.provenance(ctx, d, findings)
	if err != nil {
		return err
	}
	return p.Catalog.Update(ctx, func(tx *catalog.Tx) error {
		if err := tx.CompleteRebuild(lease.ID, lease.LeaseToken, p.Now()); err != nil {
			return err
		}
		if _, err := p.Record(ctx, tx, d.Name, p.Operator, list); err != nil {
			return err
		}
		if provenance != nil {
			if err := p.attestor.Record(ctx, tx, provenance); err != nil {
				return err
			}
		}
		return p.Settle(tx, d.Name)
	})
}

// provenance attests where the rebuilt files come from; nil if there are none.
func (p *Pipeline) provenance(ctx context.Context, d *dossier, findings []finding.Finding) (*catalog.Attestation, error) {
	for _, f := range findings {
		if f.Check != finding.Rebuild {
			continue
		}
		if s, ok := attest.NewProvenance(p.context(d, p.Now()), f, d.manifest); ok {
			return p.attestor.Sign(ctx, About{Release: d.Name}, s)
		}
	}
	return nil, nil
}

// lease takes a rebuild of the service's own; nil if it is done. One that is leased is waited for.
func (p *Pipeline) lease(ctx context.Context, id string) (lease *catalog.Rebuild, err error) {
	var row *catalog.Rebuild
	err = p.Catalog.Update(ctx, func(tx *catalog.Tx) error {
		lease = nil
		if row, err = tx.Rebuild(p.Operator, id); err != nil || row.State == catalog.RebuildDone {
			return err
		}
		lease, err = tx.LeaseRebuildByID(id, p.Now(), p.LeaseTTL)
		return err
	})
	if err == nil && lease == nil && row.State != catalog.RebuildDone {
		return nil, jobs.Later(p.LeaseTTL / 4)
	}
	return lease, err
}

// keepLease extends a lease until stop is called. The context that it returns ends with the lease.
func (p *Pipeline) keepLease(ctx context.Context, lease *catalog.Rebuild) (held context.Context, stop func()) {
	held, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(p.LeaseTTL / 4)
		defer tick.Stop()
		until := lease.LeaseUntil
		for {
			select {
			case <-held.Done():
				return
			case <-tick.C:
			}
			next := p.Now().Add(p.LeaseTTL)
			err := p.Catalog.Update(held, func(tx *catalog.Tx) error {
				return tx.ExtendLease(lease.ID, lease.LeaseToken, p.Now(), next)
			})
			if err == nil {
				until = next
			} else if !p.Now().Before(until) {
				cancel(err)
			}
		}
	}()
	return held, func() { cancel(nil); <-done }
}

// giveBack lets the next attempt lease at once.
func (p *Pipeline) giveBack(ctx context.Context, lease *catalog.Rebuild) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return p.Catalog.Update(ctx, func(tx *catalog.Tx) error {
		return tx.ReleaseLease(lease.ID, lease.LeaseToken)
	})
}
