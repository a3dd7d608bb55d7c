package embedded

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/countersign-escrow/countersign/services/internal/lifecycle"
	"github.com/countersign-escrow/countersign/services/internal/pipeline"
	"github.com/countersign-escrow/countersign/services/internal/state"
	"github.com/countersign-escrow/countersign/verifier/attest"
	"github.com/countersign-escrow/countersign/verifier/rebuild/sandbox"
	"github.com/countersign-escrow/countersign/verifier/tlog"
)

// logOrigin is the log's host name. A log keeps its name and its key for life, so that the one is made from the other;
// nobody needs to reach the log under this name to check a proof.
func logOrigin(key ed25519.PublicKey) string {
	const digits = 16
	sum := sha256.Sum256(key)
	return "log-" + hex.EncodeToString(sum[:])[:digits] + ".countersign.invalid"
}

func publicHalf(key ed25519.PrivateKey) ed25519.PublicKey {
	return key.Public().(ed25519.PublicKey) //nolint:forcetypeassert // as crypto/ed25519 documents
}

func (s *Service) logPart() lifecycle.Component {
	return lifecycle.Component{
		Name: "log",
		Start: func(ctx context.Context) (err error) {
			s.log, err = tlog.Open(ctx, tlog.Config{
				Dir:                s.state.LogDir(),
				Origin:             logOrigin(publicHalf(s.state.Log)),
				Key:                s.state.Log,
				CheckpointInterval: s.cfg.CheckpointInterval,
			})
			return err
		},
		Stop: func(ctx context.Context) error { return s.log.Close(ctx) },
	}
}

func (s *Service) proofsPart() lifecycle.Component {
	return lifecycle.Component{
		Name: "attestations",
		Start: func(context.Context) (err error) {
			s.proofs, err = newProofs(s.state, s.log)
			return err
		},
	}
}

func newProofs(st *state.State, log *tlog.Log) (p proofs, err error) {
	if p.signer, err = attest.NewSigner(st.Statement); err != nil {
		return p, err
	}
	authority, err := attest.NewTimestampAuthority(st.Timestamp, st.TSAChain)
	if err != nil {
		return p, err
	}
	p.publisher = attest.NewPublisher(log, authority)
	began := st.TSAChain[0].NotBefore // the first start: both keys were made then
	p.trustedRoot, err = attest.TrustedRoot(attest.Trust{
		Logs:        []attest.TrustedLog{{Origin: log.Origin(), Key: log.PublicKey(), From: began}},
		Authorities: []attest.TrustedAuthority{{Chain: st.TSAChain, From: began}},
	})
	return p, err
}

// sandboxPart looks for the OCI runtime. A service without one serves all the same; its rebuilds wait for a start with
// one.
func (s *Service) sandboxPart() lifecycle.Component {
	return lifecycle.Component{
		Name: "sandbox",
		Start: func(context.Context) error {
			box, err := sandbox.New(sandbox.Config{
				Runtime:  s.cfg.Runtime,
				StateDir: filepath.Join(s.state.Work(), "sandbox"),
				CacheDir: filepath.Join(s.state.Cache(), "images"),
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
		Start: func(ctx context.Context) error {
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
				WorkDir:   filepath.Join(s.state.Work(), "pipeline"),
				Progress:  func(line string) { s.cfg.Logger.Info(line) },
			})
			return s.pipeline.Recover(ctx)
		},
		StartWithin: 10 * time.Minute, // after a crash it may have a long log to look through
	}
}

func (s *Service) jobsPart() lifecycle.Component {
	return lifecycle.Component{
		Name:       "jobs",
		Start:      func(ctx context.Context) error { return s.jobs.Start(ctx, s.pipeline.Handlers()) },
		Stop:       func(ctx context.Context) error { return s.jobs.Stop(ctx, s.cfg.Grace) },
		StopWithin: s.cfg.Grace + lifecycle.DefaultStop,
	}
}
