package instance

import (
	"context"
	"log/slog"
	"path/filepath"

	"github.com/countersign-escrow/countersign/escrow/durable"
	"github.com/countersign-escrow/countersign/services/internal/jobs"
	"github.com/countersign-escrow/countersign/services/internal/lifecycle"
	"github.com/countersign-escrow/countersign/services/internal/pipeline"
	"github.com/countersign-escrow/countersign/services/internal/state"
	"github.com/countersign-escrow/countersign/verifier/attest"
	"github.com/countersign-escrow/countersign/verifier/rebuild/sandbox"
)

// logPart opens the log for reading; who writes it is decided later.
func (s *Service) logPart() lifecycle.Component {
	return lifecycle.Component{
		Name: "log",
		Start: func(context.Context) error {
			if err := durable.MkdirAll(s.places.log(), privateMode); err != nil {
				return err
			}
			reader, err := openReader(s.places.log(), s.keys.Log)
			s.log = &sharedLog{Reader: reader}
			return err
		},
	}
}

func (s *Service) proofsPart() lifecycle.Component {
	return lifecycle.Component{
		Name: "attestations",
		Start: func(context.Context) (err error) {
			s.proofs, err = newProofs(s.keys, s.log)
			return err
		},
	}
}

func newProofs(k *state.Keys, log *sharedLog) (p proofs, err error) {
	if p.signer, err = attest.NewSigner(k.Statement); err != nil {
		return p, err
	}
	authority, err := attest.NewTimestampAuthority(k.Timestamp, k.TSAChain)
	if err != nil {
		return p, err
	}
	p.publisher = attest.NewPublisher(log, authority)
	began := k.TSAChain[0].NotBefore // the first start: both keys were made then
	p.trustedRoot, err = attest.TrustedRoot(attest.Trust{
		Logs:        []attest.TrustedLog{{Origin: log.Origin(), Key: log.PublicKey(), From: began}},
		Authorities: []attest.TrustedAuthority{{Chain: k.TSAChain, From: began}},
	})
	return p, err
}

// sandboxPart looks for the OCI runtime. A process without one works all the same; it leaves rebuilds to others, or to a
// start with one.
func (s *Service) sandboxPart() lifecycle.Component {
	return lifecycle.Component{
		Name: "sandbox",
		Start: func(context.Context) error {
			box, err := sandbox.New(sandbox.Config{
				Runtime:  s.cfg.Runtime,
				StateDir: filepath.Join(s.places.work(), "sandbox"),
				CacheDir: filepath.Join(s.places.cache(), "images"),
			})
			if err != nil {
				s.cfg.Logger.Warn("this service does not rebuild: its own rebuilds wait", slog.Any("error", err))
				return nil
			}
			s.sandbox = box
			s.cfg.Logger.Info("rebuilds run in a sandbox", slog.String("runtime", box.Runtime()))
			return nil
		},
	}
}

func (s *Service) pipelinePart() lifecycle.Component {
	return lifecycle.Component{
		Name: "pipeline",
		Start: func(context.Context) error {
			s.pipeline = pipeline.New(pipeline.Config{
				Catalog:   s.catalog,
				Blobs:     s.blobs,
				Jobs:      s.jobs,
				Hub:       s.hub,
				Log:       s.log,
				Signer:    s.proofs.signer,
				Publisher: s.proofs.publisher,
				Operator:  s.operator.Name,
				Country:   s.operator.Country,
				Sandbox:   s.sandbox,
				WorkDir:   filepath.Join(s.places.work(), "pipeline"),
				Progress:  func(line string) { s.cfg.Logger.Info(line) },
			})
			return nil
		},
	}
}

// recover settles what this process's former self left behind. The whole service in one process has no others that could
// have its rebuilds.
func (s *Service) recover(ctx context.Context) error {
	if err := s.pipeline.Prepare(); err != nil || s.folder == nil {
		return err
	}
	return s.pipeline.RecoverRebuilds(ctx)
}

// jobsPart works on what is due, but for publishing. A process of many without an OCI runtime leaves rebuilds to those
// that have one.
func (s *Service) jobsPart() lifecycle.Component {
	return lifecycle.Component{
		Name: "jobs",
		Start: func(ctx context.Context) error {
			queues := []jobs.QueueName{jobs.Quick, jobs.Checks, jobs.Scrubs}
			if s.sandbox != nil {
				queues = append(queues, jobs.Rebuilds)
			}
			if err := s.recover(ctx); err != nil {
				return err
			}
			return s.jobs.Start(ctx, s.pipeline.Handlers(), queues...)
		},
		Stop:       func(ctx context.Context) error { return s.jobs.Stop(ctx, s.cfg.Grace) },
		StopWithin: s.cfg.Grace + lifecycle.DefaultStop,
	}
}
