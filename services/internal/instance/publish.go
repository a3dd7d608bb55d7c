package instance

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/services/internal/lifecycle"
	"github.com/countersign-escrow/countersign/verifier/tlog"
)

// recoverWithin is how long settling the log may take: after a crash there may be a long log to look through.
const recoverWithin = 10 * time.Minute

// retryAfter is how long a process that could not write the log waits before it tries again.
const retryAfter = time.Second

// publishPart writes the log. The whole service in one process does so from its start on, or does not start; one process
// of many does so from when the others have let go of the log.
func (s *Service) publishPart() lifecycle.Component {
	w := &writer{service: s, ended: make(chan struct{})}
	if s.folder != nil {
		return lifecycle.Component{
			Name:  "log writer",
			Start: func(ctx context.Context) error { return w.take(ctx, tlog.Open) },
			Stop:  w.leave, StartWithin: recoverWithin, StopWithin: s.cfg.Grace + lifecycle.DefaultStop,
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	return lifecycle.Component{
		Name: "log writer",
		Start: func(context.Context) error {
			go w.contend(ctx)
			return nil
		},
		Stop: func(stop context.Context) error {
			cancel()
			<-w.ended
			return w.leave(stop)
		},
		StopWithin: s.cfg.Grace + lifecycle.DefaultStop,
	}
}

// writer is this process's part as the one that writes the log.
type writer struct {
	service *Service
	ended   chan struct{} // closed when contend has returned
	log     *tlog.Log     // nil while another process writes
}

// contend waits for its turn to write the log, however long that takes, and returns when it writes or ctx ends.
func (w *writer) contend(ctx context.Context) {
	defer close(w.ended)
	for ctx.Err() == nil {
		err := w.take(ctx, tlog.OpenWhenFree)
		if err == nil {
			w.service.cfg.Logger.Info("this process writes the log")
			return
		}
		if ctx.Err() == nil {
			w.service.cfg.Logger.Error("this process cannot write the log, will try again", slog.Any("error", err))
		}
		select {
		case <-ctx.Done():
		case <-time.After(retryAfter):
		}
	}
}

// take opens the log for writing, settles what the last writer left, and begins to publish.
func (w *writer) take(ctx context.Context, open func(context.Context, tlog.Config) (*tlog.Log, error)) error {
	s := w.service
	log, err := open(ctx, tlog.Config{
		Dir:                s.places.log(),
		Origin:             s.log.Origin(),
		Key:                s.keys.Log,
		CheckpointInterval: s.cfg.CheckpointInterval,
		Least:              s.leastLog,
	})
	if err != nil {
		return err
	}
	w.log = log
	s.log.set(log)
	err = s.pipeline.RecoverLog(ctx)
	if err == nil {
		err = s.jobs.StartPublishing(ctx, s.pipeline.Handlers().Publish)
	}
	if err != nil {
		return errors.Join(err, w.leave(context.WithoutCancel(ctx)))
	}
	return nil
}

// leave ends publishing and lets go of the log, so that another process can write it.
func (w *writer) leave(ctx context.Context) error {
	if w.log == nil {
		return nil
	}
	s := w.service
	err := s.jobs.StopPublishing(ctx, s.cfg.Grace)
	s.log.set(nil)
	err = errors.Join(err, w.log.Close(ctx))
	w.log = nil
	return err
}

// leastLog is how many entries the catalog knows the log to have.
func (s *Service) leastLog(ctx context.Context) (least uint64, err error) {
	err = s.catalog.View(ctx, func(tx *catalog.Tx) error {
		n, err := tx.FirstFreeLogIndex()
		least = uint64(n)
		return err
	})
	return least, err
}
