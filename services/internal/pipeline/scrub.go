package pipeline

import (
	"context"
	"iter"
	"time"

	"github.com/countersign-escrow/countersign/escrow/blob"
	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/scrub"
	"github.com/countersign-escrow/countersign/services/internal/jobs"
)

// Scrubs says how the service reads back what it holds.
type Scrubs struct {
	Every    time.Duration // the service starts a scrub by itself so long after the last one started; 30 days if 0, never if negative
	Rate     int64         // bytes per second of those; 32 MiB if 0
	Parallel int           // blobs that any scrub reads at a time; 2 if 0
}

func (s Scrubs) withDefaults() Scrubs {
	if s.Every == 0 {
		s.Every = 30 * 24 * time.Hour
	}
	if s.Rate == 0 {
		s.Rate = 32 << 20
	}
	if s.Parallel == 0 {
		s.Parallel = 2
	}
	return s
}

const (
	// A scrub runs in slices, so that a shutdown need not wait for it and another process can take it over.
	scrubSlice = 5 * time.Second
	scrubPage  = 256
	// When to look whether a scrub that went on elsewhere still does.
	scrubElsewhere = 30 * time.Second
	// A store of which so many blobs cannot be read, and none can, is away: that is no damage, and the scrub waits for it.
	scrubAway = 8
	// After so long it goes on all the same, and says which they are.
	scrubPatience = time.Hour
)

// StartScrub starts a scrub with the transaction.
func (p *Pipeline) StartScrub(ctx context.Context, tx *catalog.Tx, s catalog.Scrub) error {
	if err := tx.InsertScrub(s); err != nil {
		return err
	}
	return p.Jobs.InsertTx(ctx, tx.SQL(), jobs.Scrub{Scrub: s.ID})
}

// scrub goes on with a scrub for one slice.
func (p *Pipeline) scrub(ctx context.Context, job jobs.Scrub) error {
	s, err := p.runningScrub(ctx, job.Scrub)
	if err != nil || s == nil {
		return err
	}
	slice := &slice{Pipeline: p, scrub: s, at: s.Place, end: time.Now().Add(scrubSlice)}
	err = scrub.Run(ctx, p.Blobs, slice.items(ctx), scrub.Options{Rate: s.Rate, Parallel: p.Scrubs.Parallel}, slice.note(ctx))
	switch {
	case fault.Is(err, fault.Aborted): // it was cancelled, or another process goes on with it, and may die
		return jobs.Later(scrubElsewhere)
	case err != nil:
		return err
	case !slice.ended:
		return jobs.Later(0)
	}
	return p.endScrub(ctx, s)
}

// runningScrub returns the scrub if it runs, else nil.
func (p *Pipeline) runningScrub(ctx context.Context, id string) (s *catalog.Scrub, err error) {
	err = p.Catalog.View(ctx, func(tx *catalog.Tx) error {
		s, err = tx.RunningScrub()
		return err
	})
	if err != nil || s == nil || s.ID != id {
		return nil, err
	}
	return s, nil
}

// slice is one run of a scrub.
type slice struct {
	*Pipeline
	scrub *catalog.Scrub
	at    catalog.Place // what was noted last
	end   time.Time     // when it is over
	ended bool          // there was nothing more to look at
	given given

	looked, unreadable int64 // blobs
}

// items are what is to be looked at in this slice.
func (s *slice) items(ctx context.Context) iter.Seq2[scrub.Item, error] {
	return func(yield func(scrub.Item, error) bool) {
		for after := s.scrub.Place; ; {
			page, err := s.page(ctx, after)
			if err != nil {
				yield(scrub.Item{}, err)
				return
			}
			if s.ended = len(page) == 0; s.ended {
				return
			}
			for _, h := range page {
				if time.Now().After(s.end) || !yield(s.given.item(h), nil) {
					return
				}
				after = h.Place
			}
		}
	}
}

func (s *slice) page(ctx context.Context, after catalog.Place) (page []catalog.Holding, err error) {
	err = s.Catalog.View(ctx, func(tx *catalog.Tx) error {
		page, err = tx.Holdings(after, scrubPage)
		return err
	})
	return page, err
}

// note writes steps into the catalog, also when the slice is being stopped.
func (s *slice) note(ctx context.Context) func(scrub.Step) error {
	return func(step scrub.Step) error {
		if err := s.away(step); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		row := s.step(step)
		err := s.Catalog.Update(ctx, func(tx *catalog.Tx) error { return tx.StepScrub(s.scrub.ID, row) })
		if err == nil {
			s.at = row.To
		}
		return err
	}
}

// away is the error of a store that answers nothing.
func (s *slice) away(step scrub.Step) error {
	for _, d := range step.Damages {
		if d.Kind == scrub.Unreadable {
			s.unreadable++
		}
	}
	s.looked += step.Blobs
	if s.unreadable < scrubAway || s.unreadable < s.looked || s.Now().Sub(s.scrub.Updated) > scrubPatience {
		return nil
	}
	return &fault.Error{Kind: fault.Unavailable, Reason: "UNAVAILABLE", Message: "the store does not answer: " + step.Damages[0].Problem}
}

func (s *slice) step(step scrub.Step) catalog.ScrubStep {
	now := s.Now().UTC()
	row := catalog.ScrubStep{From: s.at, To: s.at, Blobs: step.Blobs, Bytes: step.Bytes, Reading: step.Reading, Time: now}
	if step.Last != nil {
		row.To = placeOf(*step.Last)
	}
	for _, d := range step.Damages {
		row.Damages = append(row.Damages, damageOf(d, now))
	}
	row.Marks = s.given.looked(step, now)
	return row
}

func placeOf(r blob.Ref) catalog.Place { return catalog.Place{Holder: r.Holder, Digest: r.Digest} }

func damageOf(d scrub.Damage, now time.Time) catalog.Damage {
	return catalog.Damage{Place: placeOf(d.Item.Ref), Size: d.Item.Size, Kind: catalog.DamageKind(d.Kind), At: d.At, Problem: d.Problem, Found: now}
}
