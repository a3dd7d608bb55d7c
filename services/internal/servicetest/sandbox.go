package servicetest

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/countersign-escrow/countersign/verifier/finding"
	"github.com/countersign-escrow/countersign/verifier/rebuild"
)

// Sandbox is a fake: a build is a Go function that gets the folder which a build sees as /build. It stands in where the
// runtime is not the point.
type Sandbox struct {
	mu   sync.Mutex
	do   func(ctx context.Context, dir string) error
	runs int
}

// Does sets what a build does. Where it fails, the recipe ended with an error; without a function, every build does.
func (s *Sandbox) Does(do func(ctx context.Context, dir string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.do = do
}

// Makes sets the files that a build leaves in /build/out.
func (s *Sandbox) Makes(files map[string]string) {
	s.Does(func(_ context.Context, dir string) error {
		for name, content := range files {
			if err := os.WriteFile(filepath.Join(dir, "out", name), []byte(content), 0o644); err != nil {
				return err
			}
		}
		return nil
	})
}

// Runs returns how many builds have run.
func (s *Sandbox) Runs() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.runs
}

// Runtime says that this is none.
func (s *Sandbox) Runtime() string { return "fake 1" }

// Run runs the function.
func (s *Sandbox) Run(ctx context.Context, _ *rebuild.Plan, w rebuild.Workspace) (rebuild.Result, error) {
	s.mu.Lock()
	s.runs++
	do := s.do
	s.mu.Unlock()
	r := rebuild.Result{Started: time.Now()}
	if do == nil {
		r.Stopped, r.ExitCode = finding.BuildFailed, 1
		return r, nil
	}
	if err := do(ctx, w.Dir); err != nil {
		if ctx.Err() != nil {
			return r, ctx.Err()
		}
		r.Stopped, r.ExitCode, r.Log = finding.BuildFailed, 1, err.Error()
	}
	return r, nil
}
