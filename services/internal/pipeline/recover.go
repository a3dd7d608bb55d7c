package pipeline

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/services/internal/jobs"
	"github.com/countersign-escrow/countersign/verifier/attest"
)

// Recover is Prepare, RecoverLog and RecoverRebuilds, for a process that shares its catalog and its log with no other. Call
// it once, before the jobs start.
func (p *Pipeline) Recover(ctx context.Context) error {
	if err := p.Prepare(); err != nil {
		return err
	}
	if err := p.RecoverLog(ctx); err != nil {
		return err
	}
	return p.RecoverRebuilds(ctx)
}

// Prepare makes the work folder ready and removes what a crash left in it. Every process calls it once, before its jobs
// start.
func (p *Pipeline) Prepare() error {
	if err := errors.Join(os.RemoveAll(p.intakeDir()), os.MkdirAll(p.intakeDir(), 0o700)); err != nil {
		return fmt.Errorf("work folder: %w", err)
	}
	return nil
}

// RecoverLog settles what a crash left between the log and the catalog. A process calls it each time it has become the one
// that writes the log, before it begins to publish.
func (p *Pipeline) RecoverLog(ctx context.Context) error {
	if err := p.recoverAttestations(ctx); err != nil {
		return fmt.Errorf("recovering attestations: %w", err)
	}
	return nil
}

// RecoverRebuilds takes the service's own rebuilds from a dead process and makes them due. It is for a process that shares
// its catalog with no other; among several, leases end by themselves.
func (p *Pipeline) RecoverRebuilds(ctx context.Context) error {
	if err := p.recoverRebuilds(ctx); err != nil {
		return fmt.Errorf("recovering rebuilds: %w", err)
	}
	return nil
}

// recoverAttestations marks those as published whose entry is in the log, and makes the others due.
func (p *Pipeline) recoverAttestations(ctx context.Context) error {
	var pending []catalog.Attestation
	err := p.Catalog.View(ctx, func(tx *catalog.Tx) (err error) {
		pending, err = tx.PendingAttestations()
		return err
	})
	if err != nil {
		return err
	}
	for i := range pending {
		if err := p.recoverAttestation(ctx, &pending[i]); err != nil {
			return err
		}
	}
	return nil
}

func (p *Pipeline) recoverAttestation(ctx context.Context, att *catalog.Attestation) error {
	env, err := attest.ParseEnvelope(att.Envelope)
	if err != nil {
		return fmt.Errorf("attestation %s: %w", att.ID, err)
	}
	found, err := p.settle(ctx, att, env)
	if err != nil || found {
		return err
	}
	return p.Catalog.Update(ctx, func(tx *catalog.Tx) error {
		return p.Jobs.InsertTx(ctx, tx.SQL(), jobs.Publish{Attestation: att.ID})
	})
}

// recoverRebuilds makes the service's own rebuilds that are not done due, also those that the dead process had leased.
func (p *Pipeline) recoverRebuilds(ctx context.Context) error {
	const page = 500
	for after := ""; ; {
		var rows []catalog.Rebuild
		err := p.Catalog.Update(ctx, func(tx *catalog.Tx) (err error) {
			if rows, err = tx.Rebuilds(p.Operator, after, page); err != nil {
				return err
			}
			for _, r := range rows {
				if err := p.recoverRebuild(ctx, tx, &r); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil || len(rows) < page {
			return err
		}
		after = rows[len(rows)-1].ID
	}
}

func (p *Pipeline) recoverRebuild(ctx context.Context, tx *catalog.Tx, r *catalog.Rebuild) error {
	if r.State == catalog.RebuildDone {
		return nil
	}
	if r.State == catalog.RebuildLeased {
		err := tx.ReleaseLease(r.ID, r.LeaseToken)
		if err != nil && !fault.Is(err, fault.Aborted) { // aborted: the lease has ended by itself
			return err
		}
	}
	return p.Jobs.InsertTx(ctx, tx.SQL(), jobs.Rebuild{Rebuild: r.ID})
}
