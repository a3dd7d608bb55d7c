package pipeline

import (
	"context"
	"iter"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/scrub"
)

// endScrub looks once more at what may have passed, and ends the scrub.
func (p *Pipeline) endScrub(ctx context.Context, s *catalog.Scrub) error {
	for after := (catalog.Place{}); ; {
		page, err := p.damages(ctx, s.ID, after)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			break
		}
		if err := p.lookAgain(ctx, s, page); err != nil {
			return err
		}
		after = page[len(page)-1].Place
	}
	return p.Catalog.Update(ctx, func(tx *catalog.Tx) error { return tx.EndScrub(s.ID, catalog.ScrubDone, p.Now().UTC()) })
}

func (p *Pipeline) damages(ctx context.Context, id string, after catalog.Place) (page []catalog.Damage, err error) {
	err = p.Catalog.View(ctx, func(tx *catalog.Tx) error {
		page, err = tx.Damages(id, after, scrubPage)
		return err
	})
	return page, err
}

// lookAgain looks at those blobs again whose damage may have passed, and records what they are like now.
func (p *Pipeline) lookAgain(ctx context.Context, s *catalog.Scrub, page []catalog.Damage) error {
	var doubtful []catalog.Place
	for _, d := range page {
		if scrub.Kind(d.Kind).Passing() {
			doubtful = append(doubtful, d.Place)
		}
	}
	still, given, marks := map[catalog.Place]scrub.Damage{}, new(given), []catalog.Mark(nil)
	err := scrub.Run(ctx, p.Blobs, p.holdings(ctx, doubtful, given), scrub.Options{Rate: s.Rate, Parallel: p.Scrubs.Parallel}, func(step scrub.Step) error {
		for _, d := range step.Damages {
			still[placeOf(d.Item.Ref)] = d
		}
		marks = append(marks, given.looked(step, p.Now().UTC())...)
		return nil
	})
	if err != nil || len(doubtful) == 0 {
		return err
	}
	return p.Catalog.Update(ctx, func(tx *catalog.Tx) error {
		for _, place := range doubtful {
			d, is := still[place]
			if err := p.settleDamage(ctx, tx, s.ID, place, d, is); err != nil {
				return err
			}
		}
		return tx.SetMarks(marks, p.Now().UTC())
	})
}

// settleDamage records what a blob is like at the second look. Where the store lost its lock, it is told again.
func (p *Pipeline) settleDamage(ctx context.Context, tx *catalog.Tx, id string, place catalog.Place, d scrub.Damage, is bool) error {
	if !is {
		return tx.DropDamage(id, place)
	}
	if err := tx.PutDamage(id, damageOf(d, p.Now().UTC())); err != nil || d.Kind != scrub.Unprotected {
		return err
	}
	return p.LockAgain(ctx, tx, place)
}

// holdings are blobs as they ought to be held now.
func (p *Pipeline) holdings(ctx context.Context, places []catalog.Place, given *given) iter.Seq2[scrub.Item, error] {
	return func(yield func(scrub.Item, error) bool) {
		for _, place := range places {
			var h *catalog.Holding
			err := p.Catalog.View(ctx, func(tx *catalog.Tx) (err error) {
				h, err = tx.Holding(place)
				return err
			})
			if err != nil {
				yield(scrub.Item{}, err)
				return
			}
			if !yield(given.item(*h), nil) {
				return
			}
		}
	}
}
