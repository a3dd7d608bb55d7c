package instance

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/countersign-escrow/countersign/escrow/blob/seal"
	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/keyring"
	"github.com/countersign-escrow/countersign/services/internal/jobs"
	"github.com/countersign-escrow/countersign/services/internal/lifecycle"
)

func (s *Service) placesPart() lifecycle.Component {
	return lifecycle.Component{
		Name: "data folder",
		Start: func(context.Context) (err error) {
			s.keys, err = s.places.open()
			return err
		},
		Stop: func(context.Context) error { return s.places.close() },
	}
}

func (s *Service) catalogPart() lifecycle.Component {
	return lifecycle.Component{
		Name: "catalog",
		Start: func(ctx context.Context) (err error) {
			s.catalog, err = s.places.catalog(ctx)
			return err
		},
		Stop: func(context.Context) error { return s.catalog.Close() },
	}
}

// storePart opens the object store, and the queue for inserting: what works on the queue starts later.
func (s *Service) storePart() lifecycle.Component {
	return lifecycle.Component{
		Name: "stores",
		Start: func(ctx context.Context) (err error) {
			if err := s.openBlobs(ctx); err != nil {
				return err
			}
			s.jobs, err = jobs.Open(ctx, s.catalog.DB(), jobs.Config{
				Dialect:        s.catalog.Dialect(),
				Host:           host(),
				Roles:          s.cfg.roles(),
				RebuildWorkers: s.cfg.Workers,
				Logger:         quiet(s.cfg.Logger).With("part", "jobs"),
				Failed: func(kind string, attempt int, err error) {
					s.cfg.Logger.Error("job failed, will be tried again", slog.String("kind", kind), slog.Int("attempt", attempt), slog.Any("error", err))
				},
			})
			return err
		},
	}
}

// openBlobs opens the objects, and the keyring that seals them, whose key-encryption key must be the right one.
func (s *Service) openBlobs(ctx context.Context) error {
	ring, err := openKeyring(ctx, s.places, s.catalog)
	if err != nil {
		return err
	}
	if s.objects, err = s.places.objects(ctx); err != nil {
		return err
	}
	s.blobs = seal.New(s.objects, ring)
	return nil
}

// openKeyring opens the vendors' keys, and makes sure that the key-encryption key is that which wrapped them.
func openKeyring(ctx context.Context, p places, c *catalog.Catalog) (*keyring.Keyring, error) {
	present, former, err := p.keks(ctx)
	if err != nil {
		return nil, err
	}
	ring := keyring.New(catalog.VendorKeys{Catalog: c}, present, former...)
	if err := ring.Check(ctx); err != nil {
		return nil, fmt.Errorf("key-encryption key: %w", err)
	}
	return ring, nil
}

const (
	// draftsAfter is how long an upload that nobody goes on with is kept.
	draftsAfter = 7 * 24 * time.Hour
	sweepEvery  = time.Hour
)

// sweepPart removes abandoned uploads from time to time.
func (s *Service) sweepPart() lifecycle.Component {
	return lifecycle.Periodic("sweep of uploads", sweepEvery, func(ctx context.Context) {
		if _, err := s.objects.Sweep(ctx, time.Now().Add(-draftsAfter)); err != nil && ctx.Err() == nil {
			s.cfg.Logger.Error("cannot remove abandoned uploads, will try again", slog.Any("error", err))
		}
	})
}
