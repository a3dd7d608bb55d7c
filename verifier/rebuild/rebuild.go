// Package rebuild rebuilds a release by its recipe and says for each artifact whether the same bytes came out.
// It knows nothing of where source, artifacts and image are held, of how a build is confined, or of who is told the result.
package rebuild

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/manifest"
	"github.com/countersign-escrow/countersign/verifier/finding"
	"github.com/countersign-escrow/countersign/verifier/rebuild/scratch"
)

// Materials gives a rebuild what its plan names. Faults of kind NotFound, Invalid and Exhausted mean that what the
// vendor deposited cannot be used, and become findings; every other error is a failure of this side.
// Implementations are safe for concurrent use.
type Materials interface {
	// Source unpacks s into the existing folder dir and never outside of it. Modification times, where the source
	// has a time, are set to it: the newest one becomes SOURCE_DATE_EPOCH.
	Source(ctx context.Context, s manifest.Source, dir string) error
	// Artifact opens the shipped file and says its size. The caller closes it.
	Artifact(ctx context.Context, a manifest.Artifact) (io.ReaderAt, int64, io.Closer, error)
	// Blob opens a blob of the environment's image. The reader of it checks its digest.
	Blob(ctx context.Context, d digest.Digest) (io.ReadCloser, error)
}

// Sandbox runs a plan where it can reach nothing but its workspace. An implementation leaves no process, mount or
// control group behind, however the run ends; it is safe for concurrent use. The error is for failures of this side
// and, as a fault of kind NotFound, Invalid or Exhausted, for an image that cannot be used; what the build did is
// in the Result.
type Sandbox interface {
	Run(ctx context.Context, p *Plan, w Workspace) (Result, error)
	Runtime() string // name and version
}

// Workspace is what one run may touch.
type Workspace struct {
	Dir  string // holds source, home and out; the run sees it as /build and may write there
	Blob func(ctx context.Context, d digest.Digest) (io.ReadCloser, error)
}

// Result is what a build did.
type Result struct {
	Stopped    finding.Verdict // "" if it ended with exit code 0, else BUILD_FAILED, TIMED_OUT or RESOURCE_EXCEEDED
	ExitCode   int             // 128 and the signal's number for a process that a signal ended
	Reached    string          // the figure reached when a limit stopped it, for people
	Started    time.Time
	Wall, CPU  time.Duration // CPU is of all processes together
	PeakMemory int64         // bytes
	Log        string        // what it printed, valid UTF-8, the middle cut out where there is too much
}

// Config is what a Rebuilder works with.
type Config struct {
	Sandbox   Sandbox
	Materials Materials
	WorkDir   string       // run folders are made here, and those of dead processes removed
	Bounds    Bounds       // zero: DefaultBounds
	Progress  func(string) // is told each step in a line; nil for none
}

// Rebuilder rebuilds releases, any number at a time.
type Rebuilder struct {
	cfg Config
}

// New makes a Rebuilder and removes what dead processes left in the work folder.
func New(cfg Config) (*Rebuilder, error) {
	if cfg.Bounds == (Bounds{}) {
		cfg.Bounds = DefaultBounds()
	}
	if cfg.Progress == nil {
		cfg.Progress = func(string) {}
	}
	if err := scratch.Sweep(cfg.WorkDir, runPrefix, nil); err != nil {
		return nil, fmt.Errorf("work folder: %w", err)
	}
	return &Rebuilder{cfg: cfg}, nil
}

// Rebuild returns one REBUILD finding, then one COMPARISON finding for each artifact in the manifest's order.
// A build that fails is a finding; an error is a failure of this side, or ctx's end.
func (r *Rebuilder) Rebuild(ctx context.Context, m *manifest.Manifest) ([]finding.Finding, error) {
	if err := m.Check(); err != nil {
		return nil, err
	}
	j := &job{Rebuilder: r, manifest: m}
	defer j.close()
	found, err := j.rebuild(ctx)
	if reason, unusable := deposited(err); unusable && ctx.Err() == nil {
		return j.stopped(finding.Incomplete, reason), nil
	}
	if err != nil {
		return nil, err
	}
	return found, nil
}

// deposited says whether an error means that what the vendor deposited cannot be used, and why.
func deposited(err error) (reason string, unusable bool) {
	switch fault.KindOf(err) {
	case fault.NotFound, fault.Invalid, fault.Exhausted:
		return err.Error(), true
	}
	return "", false
}
