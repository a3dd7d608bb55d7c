package gitpack

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
)

// errOver ends a worker when another one has failed.
var errOver = errors.New("called off")

// schedule gives out whole objects that deltas are made from, and branches that one worker leaves to another.
type schedule struct {
	roots   func() (branch, bool, error) // the next root; called under the lock
	mu      sync.Mutex
	change  sync.Cond
	given   []branch
	workers int
	idle    int
	failed  error
	hungry  atomic.Bool // whether a worker waits for a branch
	over    atomic.Bool // whether one failed
}

func newSchedule(workers int, roots func() (branch, bool, error)) *schedule {
	s := &schedule{roots: roots, workers: workers}
	s.change.L = &s.mu
	return s
}

// take returns a branch to resolve; false at the end, or when another worker failed.
func (s *schedule) take() (branch, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.failed == nil {
		if n := len(s.given); n > 0 {
			b := s.given[n-1]
			s.given = s.given[:n-1]
			return b, true
		}
		b, ok, err := s.roots()
		if err != nil {
			s.fail(err)
			break
		}
		if ok {
			return b, true
		}
		if s.idle++; s.idle == s.workers {
			s.change.Broadcast()
			return branch{}, false
		}
		s.hungry.Store(true)
		s.change.Wait()
		if s.idle == s.workers {
			return branch{}, false
		}
		s.idle--
	}
	return branch{}, false
}

// give leaves a branch to whoever is idle.
func (s *schedule) give(b branch) {
	s.mu.Lock()
	s.given = append(s.given, b)
	s.hungry.Store(s.idle > len(s.given))
	s.mu.Unlock()
	s.change.Signal()
}

// ended returns why not to go on.
func (s *schedule) ended(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.over.Load() {
		return errOver
	}
	return nil
}

// stop makes all workers end. The first reason counts.
func (s *schedule) stop(err error) {
	s.mu.Lock()
	s.fail(err)
	s.mu.Unlock()
}

func (s *schedule) fail(err error) {
	if s.failed == nil {
		s.failed = err
	}
	s.over.Store(true)
	s.change.Broadcast()
}
