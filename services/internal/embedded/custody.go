package embedded

import (
	"context"
	"log/slog"

	"github.com/countersign-escrow/countersign/escrow/blob/fs"
	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/services/internal/jobs"
	"github.com/countersign-escrow/countersign/services/internal/lifecycle"
	"github.com/countersign-escrow/countersign/services/internal/state"
)

func (s *Service) folderPart() lifecycle.Component {
	return lifecycle.Component{
		Name: "data folder",
		Start: func(context.Context) (err error) {
			s.state, err = state.Open(s.cfg.Data)
			return err
		},
		Stop: func(context.Context) error { return s.state.Close() },
	}
}

func (s *Service) catalogPart() lifecycle.Component {
	return lifecycle.Component{
		Name: "catalog",
		Start: func(ctx context.Context) (err error) {
			s.catalog, err = catalog.Open(ctx, s.state.Catalog())
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
			if s.blobs, err = fs.Open(s.state.Objects(), s.state.ObjectNames); err != nil {
				return err
			}
			s.jobs, err = jobs.Open(ctx, s.catalog.DB(), jobs.Config{
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
