package scrub

import (
	"context"
	"iter"
	"sync"
	"time"

	"github.com/countersign-escrow/countersign/escrow/blob"
)

// Run looks at items, which come in a certain order, and tells note how it goes: every now and then, and at the end. What a
// step says of blobs always holds for all items up to its Last, so that a scrub that was stopped goes on after the Last of
// the step that was noted last. An error of items or of note, and the end of the context, end the scrub; what was looked
// at until then is noted first, unless note itself failed.
func Run(ctx context.Context, s Store, items iter.Seq2[Item, error], o Options, note func(Step) error) error {
	o = o.withDefaults()
	outer := ctx
	ctx, cancel := context.WithCancel(outer)
	r := &run{checker: newChecker(s, o.Rate), jobs: make(chan job), done: make(chan looked, o.Parallel), waiting: map[int]looked{}}
	var workers sync.WaitGroup
	for range o.Parallel {
		workers.Go(func() { r.work(ctx) })
	}
	workers.Go(func() { r.feed(ctx, items) })
	go func() {
		workers.Wait()
		close(r.done)
	}()
	err := r.collect(note, o.Every)
	cancel()
	for range r.done { // what is still under way ends with the context
		continue
	}
	if err == nil {
		err = r.fed
	}
	if err == nil {
		err = outer.Err()
	}
	return err
}

// run is a scrub under way. Items get numbers as they come.
type run struct {
	*checker
	jobs chan job
	done chan looked

	fed     error          // how the items ended; set before jobs is closed
	waiting map[int]looked // looked at, while one before them is not
	next    int            // all items before this one were looked at
	step    Step           // what was not noted yet
}

type job struct {
	n    int
	item Item
}

type looked struct {
	job
	damage *Damage
	err    error
}

// feed gives out the items.
func (r *run) feed(ctx context.Context, items iter.Seq2[Item, error]) {
	defer close(r.jobs)
	n := 0
	for it, err := range items {
		if err != nil {
			r.fed = err
			return
		}
		select {
		case r.jobs <- job{n, it}:
			n++
		case <-ctx.Done():
			r.fed = ctx.Err()
			return
		}
	}
}

func (r *run) work(ctx context.Context) {
	buf := make([]byte, bufferBytes)
	for j := range r.jobs {
		damage, err := r.check(ctx, j.item, buf)
		r.done <- looked{j, damage, err}
	}
}

// collect puts what was looked at back into order and notes it.
func (r *run) collect(note func(Step) error, every time.Duration) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case l, more := <-r.done:
			if !more {
				return r.tell(note)
			}
			if l.err != nil {
				continue // the context has ended: the blob counts as not looked at
			}
			r.take(l)
		case <-tick.C:
			if err := r.tell(note); err != nil {
				return err
			}
		}
	}
}

// take adds one that was looked at, and those behind it that waited for it, to the step.
func (r *run) take(l looked) {
	r.waiting[l.n] = l
	for l, there := r.waiting[r.next]; there; l, there = r.waiting[r.next] {
		delete(r.waiting, r.next)
		r.next++
		r.step.add(l)
	}
}

func (s *Step) add(l looked) {
	s.Last = &blob.Ref{Holder: l.item.Ref.Holder, Digest: l.item.Ref.Digest}
	s.Blobs++
	s.Bytes += l.item.Size
	if l.damage != nil {
		s.Damages = append(s.Damages, *l.damage)
	}
}

// tell notes the step and begins the next.
func (r *run) tell(note func(Step) error) error {
	step := r.step
	step.Reading = r.reading.Load()
	r.step = Step{}
	return note(step)
}
