package gitpack

import (
	"context"
	"errors"

	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/intake/gitpack/inflate"
)

// heldBytes is what the branches of a worker may hold in memory; what is more goes to files.
const heldBytes = 24 << 20

// worker resolves deltas, depth first. Each goroutine has its own.
type worker struct {
	*resolver
	in    *inflate.Input
	dec   inflate.Decoder
	look  *inspector
	pool  pool
	stack []branch
	held  int64 // bytes in memory in stack
}

// run resolves what the schedule gives until there is no more.
func (w *worker) run(ctx context.Context, s *schedule) {
	for {
		b, ok := s.take()
		if !ok {
			return
		}
		if err := w.resolve(ctx, s, b); err != nil {
			s.stop(errors.Join(err, w.drop()))
			return
		}
	}
}

// drop removes what is left after a failure.
func (w *worker) drop() (err error) {
	for _, b := range w.stack {
		err = errors.Join(err, b.whole.remove())
	}
	w.stack = nil
	return err
}

// resolve resolves all descendants of b.
func (w *worker) resolve(ctx context.Context, s *schedule, b branch) error {
	if b.whole.size < 0 {
		whole, err := w.stored(b.obj)
		if err != nil {
			return err
		}
		b.whole = whole
	}
	w.push(b)
	for n := 0; len(w.stack) > 0; n++ {
		if n%64 == 0 {
			if err := s.ended(ctx); err != nil {
				return err
			}
		}
		if s.hungry.Load() {
			w.share(s)
		}
		if err := w.step(); err != nil {
			return err
		}
	}
	return nil
}

// push puts a branch on the stack.
func (w *worker) push(b branch) {
	w.stack = append(w.stack, b)
	if b.whole.f == nil {
		w.held += b.whole.size
	}
}

// pop takes the last branch off the stack.
func (w *worker) pop() branch {
	b := w.stack[len(w.stack)-1]
	w.stack = w.stack[:len(w.stack)-1]
	if b.whole.f == nil {
		w.held -= b.whole.size
	}
	return b
}

// release drops the content of a branch or a leaf.
func (w *worker) release(c content) error {
	w.pool.put(c.b)
	return c.remove()
}

// step resolves one child of the last branch.
func (w *worker) step() error {
	top := &w.stack[len(w.stack)-1]
	child := w.forest.child(top, w.x.refs)
	depth, kind := top.depth+1, top.kind
	if depth > maxDepth {
		return fault.Exhaustedf(w.x.place(child), "stands behind more than %d deltas", maxDepth).WithAdvice("repack with a smaller --depth")
	}
	if top.obj != none {
		w.x.base[child] = top.obj
	}
	whole, err := w.apply(top.whole, child, kind)
	if err != nil {
		return err
	}
	if top.bare() {
		if err := w.release(w.pop().whole); err != nil {
			return err
		}
	}
	b := w.branchOf(child, kind, depth, whole)
	if b.bare() {
		return w.release(whole)
	}
	w.push(b)
	return w.spill()
}

// spill moves branches to files, those first that are needed last, until memory holds no more than it may.
func (w *worker) spill() error {
	for i := 0; w.held > heldBytes && i < len(w.stack)-1; i++ {
		b := &w.stack[i]
		if b.whole.f != nil || b.whole.size < heldBytes/256 {
			continue
		}
		f, err := w.files.create(b.whole.size, w.where(b))
		if err != nil {
			return err
		}
		if _, err := f.f.WriteAt(b.whole.b, 0); err != nil {
			return errors.Join(err, f.remove())
		}
		w.held -= b.whole.size
		w.pool.put(b.whole.b)
		b.whole = f
	}
	return nil
}

func (w *worker) where(b *branch) string {
	if b.obj == none {
		return "pack"
	}
	return w.x.place(b.obj)
}

// share leaves some work to an idle worker: the branch that is needed last, or else half of the only one's children.
func (w *worker) share(s *schedule) {
	if len(w.stack) > 1 {
		b := w.stack[0]
		w.stack = w.stack[:copy(w.stack, w.stack[1:])]
		if b.whole.f == nil {
			w.held -= b.whole.size
		}
		s.give(b)
		return
	}
	b := &w.stack[0]
	if b.whole.f != nil || len(b.whole.b) > heldBytes/8 {
		return
	}
	if other, ok := w.forest.split(b); ok {
		other.whole = inMemory(append([]byte(nil), b.whole.b...))
		s.give(other)
	}
}

// stored inflates an object as it is stored.
func (w *worker) stored(obj uint32) (content, error) {
	return readStored(w.in, &w.dec, w.x, w.files, obj, w.pool.get)
}

// readStored inflates an object as it is stored, into memory that get gives, or a file where it is large.
func readStored(in *inflate.Input, dec *inflate.Decoder, x *index, d *files, obj uint32, get func(int) []byte) (content, error) {
	at := x.place
	in.Section(x.off[obj], x.off[obj+1])
	h, err := readObjectHead(in, "")
	if err != nil {
		return content{}, located(err, at(obj))
	}
	if isLarge(h.kind, h.size) {
		return largeStored(in, dec, d, h.size, at(obj))
	}
	b := get(int(h.size) + inflate.Slack)
	if _, err := dec.Inflate(in, b, int(h.size)); err != nil {
		return content{}, undecodable(at(obj), err)
	}
	return inMemory(b[:h.size]), nil
}

func largeStored(in *inflate.Input, dec *inflate.Decoder, d *files, size int64, at string) (content, error) {
	c, err := d.create(size, at)
	if err != nil {
		return c, err
	}
	err = dec.Stream(in, size, func(b []byte) error {
		_, err := c.f.Write(b)
		return err
	})
	if err != nil {
		return content{}, errors.Join(undecodable(at, err), c.remove())
	}
	return c, nil
}

// apply makes a child from its base, and inspects it.
func (w *worker) apply(base content, child uint32, kind code) (content, error) {
	at := func() string { return w.x.place(child) }
	full := int64(w.x.full[child])
	if err := fits(kind, full, at); err != nil {
		return content{}, err
	}
	delta, err := w.stored(child)
	if err != nil {
		return content{}, err
	}
	if base.f != nil || delta.f != nil || isLarge(kind, full) {
		c, err := w.applyLarge(base, delta, child, kind)
		return c, errors.Join(err, w.release(delta))
	}
	b := w.pool.get(int(full))
	err = applyDelta(b, base.b, delta.b)
	w.pool.put(delta.b)
	if err != nil {
		return content{}, fault.Invalidf(at(), "%v", err)
	}
	return inMemory(b), w.look.object(child, kind, b)
}

// applyLarge is for objects that are not all in memory.
func (w *worker) applyLarge(base, delta content, child uint32, kind code) (content, error) {
	c, id, err := applyLarge(w.files, base, delta, kind, int64(w.x.full[child]), w.x.place(child))
	if err != nil {
		return content{}, err
	}
	if c.f == nil {
		return c, w.look.object(child, kind, c.b)
	}
	w.x.id[child] = id
	if err := w.look.known(child, kind, c.size); err != nil {
		return content{}, errors.Join(err, c.remove())
	}
	return c, nil
}
