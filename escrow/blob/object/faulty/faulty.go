// Package faulty makes an object store that fails as stores do: it refuses, breaks off in the middle, is slow, and loses answers to
// what it has done. It is for tests of what stands on a store.
// It knows nothing of how the store beneath keeps objects.
package faulty

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/countersign-escrow/countersign/escrow/blob/object"
	"github.com/countersign-escrow/countersign/escrow/fault"
)

// Op is an operation of a store, of an object or of a draft.
type Op string

// The operations.
const (
	Open       Op = "Open"
	ReadAt     Op = "ReadAt"
	Unfinished Op = "Unfinished"
	Draft      Op = "Draft"
	Write      Op = "Write"
	Save       Op = "Save"
	Commit     Op = "Commit"
	Replace    Op = "Replace"
	Drop       Op = "Drop"
	Keep       Op = "Keep"
	Kept       Op = "Kept"
	Delete     Op = "Delete"
	Names      Op = "Names"
	Sweep      Op = "Sweep"
	Ready      Op = "Ready"
)

// Fault is what goes wrong with one operation.
type Fault int

// The faults.
const (
	None   Fault = iota
	Refuse       // nothing is done; the error is fault.Unavailable
	Break        // nothing is done; the error has no kind
	Lose         // all is done; the error is fault.Unavailable all the same
	Cut          // half is done: of ReadAt and Write half of the bytes, of Names some; for others the same as Refuse
)

// Trouble is a fault and how long the operation takes beforehand.
type Trouble struct {
	Fault Fault
	Delay time.Duration
}

// Plan decides what goes wrong with the next operation. It is called for each in turn, never twice at once.
type Plan func(Op) Trouble

// Chances says how likely each fault is, from 0 to 1. Of reads and writes there are many more than of other operations: Bytes is what
// their chances are multiplied by.
type Chances struct {
	Refuse, Break, Lose, Cut float64
	Bytes                    float64
	Slow                     float64
	Longest                  time.Duration // of a delay
}

// Random makes a plan from a seed. The same operations in the same order meet the same troubles.
func Random(seed uint64, c Chances) Plan {
	r := rand.New(rand.NewPCG(seed, 0))
	return func(op Op) (t Trouble) {
		scale := 1.0
		if op == ReadAt || op == Write {
			scale = c.Bytes
		}
		if r.Float64() < c.Slow*scale && c.Longest > 0 {
			t.Delay = time.Duration(r.Int64N(int64(c.Longest)))
		}
		x := r.Float64() / max(scale, 1e-9)
		for _, f := range []struct {
			Fault
			chance float64
		}{{Refuse, c.Refuse}, {Break, c.Break}, {Lose, c.Lose}, {Cut, c.Cut}} {
			if x < f.chance {
				t.Fault = f.Fault
				return t
			}
			x -= f.chance
		}
		return t
	}
}

// Nth makes a plan in which the n-th call of one operation, from 1, meets a fault, and nothing else does.
func Nth(op Op, n int, f Fault) Plan {
	return func(called Op) (t Trouble) {
		if called == op {
			if n--; n == 0 {
				t.Fault = f
			}
		}
		return t
	}
}

// Store is an object store in trouble.
type Store struct {
	inner object.Store

	mu       sync.Mutex
	plan     Plan
	injected map[Fault]int
	delayed  int
}

var _ object.Store = (*Store)(nil)

// New wraps a store.
func New(inner object.Store, plan Plan) *Store {
	return &Store{inner: inner, plan: plan, injected: map[Fault]int{}}
}

// Heal ends all trouble.
func (s *Store) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.plan = func(Op) Trouble { return Trouble{} }
}

// Injected returns how many operations met a fault, and how many only a delay.
func (s *Store) Injected() (faults map[Fault]int, delayed int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	faults = map[Fault]int{}
	for f, n := range s.injected {
		faults[f] = n
	}
	return faults, s.delayed
}

// next waits as long as the plan says, and returns the fault.
func (s *Store) next(op Op) Fault {
	s.mu.Lock()
	t := s.plan(op)
	switch {
	case t.Fault != None:
		s.injected[t.Fault]++
	case t.Delay > 0:
		s.delayed++
	}
	s.mu.Unlock()
	time.Sleep(t.Delay)
	return t.Fault
}

// do runs an operation that is done wholly or not at all.
func (s *Store) do(op Op, run func() error) error {
	f := s.next(op)
	if f != None && f != Lose {
		return failure(f, op)
	}
	if err := run(); err != nil {
		return err
	}
	return failure(f, op)
}

// failure makes the error; nil for None.
func failure(f Fault, op Op) error {
	switch f {
	case None:
		return nil
	case Break:
		return fmt.Errorf("%s: made to break", op)
	case Lose:
		return &fault.Error{Kind: fault.Unavailable, Reason: "UNAVAILABLE", Message: fmt.Sprintf("%s: its answer was made to be lost", op)}
	}
	return &fault.Error{Kind: fault.Unavailable, Reason: "UNAVAILABLE", Message: fmt.Sprintf("%s: made to fail", op)}
}
