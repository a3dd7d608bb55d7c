package pipeline

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/services/internal/jobs"
)

// upkeep makes due what nothing else makes due.
func (p *Pipeline) upkeep(ctx context.Context, _ jobs.Upkeep) error {
	return errors.Join(p.retainLagging(ctx), p.scrubIfDue(ctx))
}

// retainLagging makes due that the store is told what it was not: of releases from before there was retention, and where a
// job was given up.
func (p *Pipeline) retainLagging(ctx context.Context) error {
	const page = 500
	for after := ""; ; {
		var rows []catalog.Retention
		err := p.Catalog.Update(ctx, func(tx *catalog.Tx) (err error) {
			if rows, err = tx.Retentions(catalog.RetentionFilter{Lagging: true, After: after, Limit: page}); err != nil {
				return err
			}
			for _, r := range rows {
				if err := p.RetentionChanged(ctx, tx, r.Release); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil || len(rows) < page {
			return err
		}
		after = rows[len(rows)-1].Release.String()
	}
}

// scrubIfDue starts the periodic scrub. Where there was none yet, the first is due when the first blob was held for so long.
func (p *Pipeline) scrubIfDue(ctx context.Context) error {
	if p.Scrubs.Every < 0 {
		return nil
	}
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	err = p.Catalog.Update(ctx, func(tx *catalog.Tx) error {
		last, err := lastScrub(tx)
		now := p.Now().UTC().Truncate(time.Microsecond)
		if err != nil || last.IsZero() || now.Before(last.Add(p.Scrubs.Every)) {
			return err
		}
		return p.StartScrub(ctx, tx, catalog.Scrub{ID: id.String(), StartedBy: p.Operator, Rate: p.Scrubs.Rate, Created: now})
	})
	if fault.Is(err, fault.Precondition) { // one is running
		return nil
	}
	return err
}

// lastScrub returns when the last scrub started, or else when the first blob was deposited; zero if none was.
func lastScrub(tx *catalog.Tx) (time.Time, error) {
	newest, err := tx.NewestScrub()
	if err != nil {
		return time.Time{}, err
	}
	if newest != nil {
		return newest.Created, nil
	}
	return tx.OldestBlob()
}
