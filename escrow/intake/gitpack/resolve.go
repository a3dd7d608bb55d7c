package gitpack

import (
	"bytes"
	"context"
	"errors"
	"os"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/countersign-escrow/countersign/escrow/intake/gitpack/inflate"
)

// mostWorkers bounds the goroutines that resolve deltas, since each holds objects in memory.
const mostWorkers = 4

func workers() int { return min(runtime.GOMAXPROCS(0), mostWorkers) }

// resolver resolves all deltas of a pack.
type resolver struct {
	x      *index
	reg    *registry
	file   *os.File
	files  *files
	forest *forest
	taken  []atomic.Bool // of x.refs: whether a worker has taken the deltas to that id
	bases  []*Pack
	ws     []*worker
}

func newResolver(p *Pack, total *atomic.Int64, most int64) *resolver {
	p.x.sortRefs()
	r := &resolver{x: p.x, reg: p.reg, file: p.file, files: p.files, bases: p.bases, forest: newForest(p.x.base), taken: make([]atomic.Bool, len(p.x.refs))}
	for range workers() {
		r.ws = append(r.ws, &worker{resolver: r, in: inflate.NewInput(p.file, 64<<10), look: newInspector(p.x, p.reg, total, most)})
	}
	return r
}

// resolve goes through what is in the pack, and then through deltas to objects in the bases.
func (r *resolver) resolve(ctx context.Context) error {
	next := uint32(0)
	err := r.work(ctx, func() (branch, bool, error) {
		for ; int(next) < r.x.count(); next++ {
			if r.x.stored[next].delta() {
				continue
			}
			b := r.branchOf(next, r.x.kind[next], 0, content{size: -1}) // inflated by who takes it
			if !b.bare() {
				next++
				return b, true, nil
			}
		}
		return branch{}, false, nil
	})
	if err != nil {
		return err
	}
	ref := 0
	err = r.work(ctx, func() (branch, bool, error) { return r.outside(ctx, &ref) })
	if err != nil {
		return err
	}
	return r.unresolved()
}

// work lets all workers resolve what descends from the roots.
func (r *resolver) work(ctx context.Context, roots func() (branch, bool, error)) error {
	s := newSchedule(len(r.ws), roots)
	var all sync.WaitGroup
	for _, w := range r.ws {
		all.Go(func() { w.run(ctx, s) })
	}
	all.Wait()
	for _, b := range s.given {
		s.failed = errors.Join(s.failed, b.whole.remove())
	}
	return s.failed
}

// branchOf returns an object with all its children, those among them that name it by its id.
func (r *resolver) branchOf(obj uint32, kind code, depth int, whole content) branch {
	b := r.forest.grow(obj, kind, depth, whole)
	if len(r.x.refs) > 0 {
		if from, to := r.x.deltasTo(r.x.id[obj]); from < to && r.taken[from].CompareAndSwap(false, true) {
			b.refs, b.refEnd = from, to
		}
	}
	return b
}

// outside returns the next object of the bases that deltas are made from.
func (r *resolver) outside(ctx context.Context, ref *int) (branch, bool, error) {
	for *ref < len(r.x.refs) {
		id := r.x.refs[*ref].base
		from, to := r.x.deltasTo(id)
		*ref = to
		if r.taken[from].Load() {
			continue
		}
		for _, base := range r.bases {
			whole, kind, err := base.whole(ctx, id)
			if errors.Is(err, ErrMissing) {
				continue
			}
			if err != nil {
				return branch{}, false, err
			}
			r.taken[from].Store(true)
			whole.b = bytes.Clone(whole.b) // its owner keeps it; ours is used again
			return branch{obj: none, kind: kind, whole: whole, light: none, heavy: none, refs: from, refEnd: to}, true, nil
		}
	}
	return branch{}, false, nil
}

// unresolved names the first delta that nothing was found to make it from.
func (r *resolver) unresolved() error {
	first := none
	var base ID
	for i := 0; i < len(r.x.refs); {
		from, to := r.x.deltasTo(r.x.refs[i].base)
		for _, ref := range r.x.refs[from:to] {
			if !r.taken[from].Load() && ref.obj < first {
				first, base = ref.obj, ref.base
			}
		}
		i = to
	}
	if first == none {
		return nil
	}
	return Incompletef(r.x.place(first), "is a delta to object %s, which neither this pack nor one before it holds", base).WithAdvice(wholePack)
}
