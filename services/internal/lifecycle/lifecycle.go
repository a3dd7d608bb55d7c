// Package lifecycle starts the parts of a program in order and stops them in reverse order, each within its time.
// It knows nothing of what the parts do.
package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// The times that a part has where it names none.
const (
	DefaultStart = 30 * time.Second
	DefaultStop  = 15 * time.Second
)

// Component is a part of a program. Start and Stop may be nil. Both must return soon after their context ends; one that
// does not is left behind, and the next one's turn comes.
type Component struct {
	Name  string
	Start func(context.Context) error // returns when the part works; what goes on in the background outlives the context
	Stop  func(context.Context) error // called once, and only if Start returned nil

	StartWithin time.Duration // DefaultStart if 0
	StopWithin  time.Duration // DefaultStop if 0
}

// Group is a program's parts in their order. The zero value is ready.
type Group struct {
	mu      sync.Mutex
	parts   []Component
	started int
	failed  chan error
}

// Add puts a part behind those there are.
func (g *Group) Add(c Component) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.parts = append(g.parts, c)
}

// Fail tells Run that a part has failed in the background. Only the first failure counts.
func (g *Group) Fail(name string, err error) {
	select {
	case g.failures() <- fmt.Errorf("%s: %w", name, err):
	default:
	}
}

// Start starts the parts in order. When one fails, those already started are stopped, and its error is returned.
func (g *Group) Start(ctx context.Context) error {
	for {
		g.mu.Lock()
		if g.started == len(g.parts) {
			g.mu.Unlock()
			return nil
		}
		c := g.parts[g.started]
		g.mu.Unlock()

		if err := within(ctx, orDefault(c.StartWithin, DefaultStart), c.Start); err != nil {
			return errors.Join(fmt.Errorf("start %s: %w", c.Name, err), g.Stop(context.WithoutCancel(ctx)))
		}
		g.mu.Lock()
		g.started++
		g.mu.Unlock()
	}
}

// Stop stops what was started, the last first. Every part's turn comes, whatever the others return.
func (g *Group) Stop(ctx context.Context) error {
	var errs []error
	for {
		c, ok := g.pop()
		if !ok {
			return errors.Join(errs...)
		}
		if err := within(ctx, orDefault(c.StopWithin, DefaultStop), c.Stop); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", c.Name, err))
		}
	}
}

// Run starts the parts, waits until ctx ends or a part fails, and stops them.
func (g *Group) Run(ctx context.Context, ready func()) error {
	if err := g.Start(ctx); err != nil {
		return err
	}
	ready()
	var failure error
	select {
	case <-ctx.Done():
	case failure = <-g.failures():
	}
	return errors.Join(failure, g.Stop(context.WithoutCancel(ctx)))
}

func (g *Group) pop() (Component, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.started == 0 {
		return Component{}, false
	}
	g.started--
	return g.parts[g.started], true
}

func (g *Group) failures() chan error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.failed == nil {
		g.failed = make(chan error, 1)
	}
	return g.failed
}

// within calls f with a limit, and stops waiting for it when the limit is past.
func within(ctx context.Context, limit time.Duration, f func(context.Context) error) error {
	if f == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	select { // f may be on its way out
	case err := <-done:
		return err
	case <-time.After(time.Second):
		return fmt.Errorf("does not end within %s: %w", limit, ctx.Err())
	}
}

func orDefault(d, fallback time.Duration) time.Duration {
	if d == 0 {
		return fallback
	}
	return d
}
