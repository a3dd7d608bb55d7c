package pipeline

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/countersign-escrow/countersign/escrow/blob"
	"github.com/countersign-escrow/countersign/escrow/blob/object"
	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/resource"
	"github.com/countersign-escrow/countersign/escrow/retention"
	"github.com/countersign-escrow/countersign/services/internal/jobs"
)

// NoteEvent winds a release's retention clock after an event. Where the end moves, what the store is to be told of it is
// due with the transaction.
func (p *Pipeline) NoteEvent(ctx context.Context, tx *catalog.Tx, release resource.Release, e retention.Event) error {
	_, moved, err := tx.NoteEvent(release, e, p.Now().UTC())
	if err != nil || !moved {
		return err
	}
	return p.RetentionChanged(ctx, tx, release)
}

// RetentionChanged makes due that the store is told of a retention or of a hold that changed.
func (p *Pipeline) RetentionChanged(ctx context.Context, tx *catalog.Tx, release resource.Release) error {
	return p.Jobs.InsertTx(ctx, tx.SQL(), jobs.Retain{Release: release.String()})
}

// LockAgain makes due that the store is told anew of all releases that name a blob: it lost the lock, or the blob with it.
func (p *Pipeline) LockAgain(ctx context.Context, tx *catalog.Tx, place catalog.Place) error {
	releases, err := tx.ReleasesWith(place)
	if err != nil {
		return err
	}
	for _, r := range releases {
		if err := p.RetentionChanged(ctx, tx, r); err != nil {
			return err
		}
	}
	return nil
}

// locks is what the store is to be told of a release's files.
type locks struct {
	release resource.Release
	until   time.Time
	hold    bool // on the release itself
	files   map[digest.Digest]object.Lock
}

func readLocks(tx *catalog.Tx, release resource.Release) (*locks, error) {
	r, err := tx.Retention(release)
	if err != nil {
		return nil, err
	}
	files, err := tx.ReleaseFiles(release)
	if err != nil {
		return nil, err
	}
	held, err := tx.HeldFiles(release)
	if err != nil {
		return nil, err
	}
	l := &locks{release: release, until: r.Clock.Until, hold: r.Held, files: map[digest.Digest]object.Lock{}}
	for _, f := range files {
		l.files[f.Digest] = object.Lock{Until: l.until}
	}
	for _, d := range held {
		l.files[d] = object.Lock{Until: l.until, Hold: true}
	}
	return l, nil
}

func (l *locks) same(m *locks) bool { return l.hold == m.hold && maps.Equal(l.files, m.files) }

// retain tells the store until when the files of a release are to be kept, and whether a hold stands on them. Two of these
// may run at a time, and what they read may have changed when they are done: whoever is done last looks again.
func (p *Pipeline) retain(ctx context.Context, job jobs.Retain) error {
	release, err := resource.ParseRelease(job.Release)
	if err != nil {
		return err
	}
	var told *locks
	err = p.Catalog.View(ctx, func(tx *catalog.Tx) error {
		told, err = readLocks(tx, release)
		return err
	})
	if err != nil {
		return err
	}
	if err := p.tell(ctx, told); err != nil {
		return fmt.Errorf("locks of %s: %w", release, err)
	}
	changed := false
	err = p.Catalog.Update(ctx, func(tx *catalog.Tx) error {
		now, err := readLocks(tx, release)
		if err != nil {
			return err
		}
		if changed = !now.same(told); changed {
			return nil
		}
		return tx.NoteLocked(release, told.until, told.hold)
	})
	if err == nil && changed {
		return jobs.Later(50 * time.Millisecond)
	}
	return err
}

// tell raises the locks of all files. One that fails does not keep the others from being told.
func (p *Pipeline) tell(ctx context.Context, l *locks) error {
	const atATime = 8
	failed := make(chan error, len(l.files))
	var group errgroup.Group
	group.SetLimit(atATime)
	for d, lock := range l.files {
		group.Go(func() error {
			if err := p.Blobs.Keep(ctx, blob.Ref{Holder: l.release.Product.Vendor, Digest: d}, lock); err != nil {
				failed <- err
			}
			return nil
		})
	}
	_ = group.Wait() // what failed comes on the channel
	close(failed)
	var all []error
	for err := range failed {
		all = append(all, err)
	}
	return errors.Join(all...)
}
