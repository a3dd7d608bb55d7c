// Package pipeline is what happens to a release after it was sealed: its checks, its rebuilds, the evaluators' reports,
// and the attestations of all of them on their way into the log. It knows nothing of gRPC.
package pipeline

import (
	"context"
	"path/filepath"
	"time"

	"github.com/countersign-escrow/countersign/escrow/blob"
	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/resource"
	"github.com/countersign-escrow/countersign/services/internal/jobs"
	"github.com/countersign-escrow/countersign/services/internal/notify"
	"github.com/countersign-escrow/countersign/verifier/attest"
	"github.com/countersign-escrow/countersign/verifier/rebuild"
)

// Log finds an entry that a crash left unrecorded.
type Log interface {
	// Find returns the index of the entry with that leaf hash, looking at everything the log holds from index from on.
	Find(ctx context.Context, leaf digest.Digest, from uint64) (index uint64, found bool, err error)
}

// Config is what a pipeline works with. All fields are needed unless they say otherwise.
type Config struct {
	Catalog   *catalog.Catalog
	Blobs     blob.Store
	Jobs      *jobs.Queue
	Hub       *notify.Hub
	Log       Log
	Signer    *attest.Signer // the service's own statement key
	Publisher *attest.Publisher
	Operator  resource.Organization // whose workers the service's own are
	Country   string                // the operator's
	Sandbox   rebuild.Sandbox       // nil: the service does not rebuild itself; its rebuilds wait
	WorkDir   string                // scratch of this process alone, on a disk with room for sources and rebuilds
	LeaseTTL  time.Duration         // how long a rebuild stays with who took it without a heartbeat; 1 minute if 0
	Scrubs    Scrubs                // how the service reads back by itself what it holds
	Now       func() time.Time      // time.Now if nil
	Progress  func(string)          // lines about rebuilds; optional
}

// Pipeline does the work of the jobs.
type Pipeline struct {
	Config
	attestor *Attestor
	begun    begun
	policies policies
}

// New returns a pipeline. It does nothing until its handlers are given to the queue.
func New(cfg Config) *Pipeline {
	if cfg.LeaseTTL == 0 {
		cfg.LeaseTTL = time.Minute
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Progress == nil {
		cfg.Progress = func(string) {}
	}
	cfg.Scrubs = cfg.Scrubs.withDefaults()
	a := &Attestor{signer: cfg.Signer, publisher: cfg.Publisher, self: cfg.Operator, jobs: cfg.Jobs, now: cfg.Now}
	return &Pipeline{Config: cfg, attestor: a}
}

// Handlers returns what the queue calls.
func (p *Pipeline) Handlers() jobs.Handlers {
	return jobs.Handlers{Publish: p.publish, Check: p.check, Rebuild: p.rebuild, Evaluate: p.evaluate, Grant: p.grantTurns,
		Rejudge: p.rejudge, Retain: p.retain, Scrub: p.scrub, Upkeep: p.upkeep}
}

// What sources are unpacked into while they are looked at belongs to this process alone; rebuilds keep their own order.
func (p *Pipeline) intakeDir() string  { return filepath.Join(p.WorkDir, "intake") }
func (p *Pipeline) rebuildDir() string { return filepath.Join(p.WorkDir, "rebuild") }

// Attestor returns the pipeline's own.
func (p *Pipeline) Attestor() *Attestor { return p.attestor }
