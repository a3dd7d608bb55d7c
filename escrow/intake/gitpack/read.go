package gitpack

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/intake/gitpack/inflate"
)

// cacheBytes is how much of objects is kept in memory that deltas are made from.
const cacheBytes = 32 << 20

// reader gives whole objects. What it reads was inspected before; the scratch file is the program's own, so ids are not computed again.
type reader struct {
	p     *Pack
	in    *inflate.Input
	dec   inflate.Decoder
	cache cache
	spent int64   // bytes inflated and copied so far
	last  content // what was given last, if that is in a file
	delta []byte  // a buffer
}

func newReader(p *Pack) *reader {
	p.x.refs = slices.Clip(p.x.refs)
	slices.SortFunc(p.x.refs, func(a, b reference) int { return int(int64(a.obj) - int64(b.obj)) })
	return &reader{p: p, in: inflate.NewInput(p.file, 64<<10), cache: newCache(cacheBytes)}
}

// Object returns an object of this pack or of its bases, or ErrMissing.
func (p *Pack) Object(ctx context.Context, id ID) (Object, error) {
	if err := p.read.release(); err != nil {
		return Object{}, err
	}
	c, kind, err := p.whole(ctx, id)
	if err != nil {
		return Object{}, err
	}
	p.read.last = c
	return Object{Kind: kinds[kind], Size: c.size, Content: c.reader()}, nil
}

// whole returns an object of this pack or of its bases, for the caller to remove. What is in memory must not be changed.
func (p *Pack) whole(ctx context.Context, id ID) (content, code, error) {
	if obj, ok := p.reg.find(&id); ok {
		c, err := p.read.object(ctx, obj)
		return c, p.x.kind[obj], err
	}
	for _, b := range p.bases {
		if c, kind, err := b.whole(ctx, id); !errors.Is(err, ErrMissing) {
			return c, kind, err
		}
	}
	return content{}, codeNone, fmt.Errorf("%w %s", ErrMissing, id)
}

// release removes the file of what was given last.
func (r *reader) release() error {
	c := r.last
	r.last = content{}
	return c.remove()
}

// object returns an object, whole.
func (r *reader) object(ctx context.Context, obj uint32) (content, error) {
	x := r.p.x
	var deltas []uint32
	base := content{size: -1}
	for base.size < 0 {
		var err error
		switch b, ok := r.cache.get(obj); {
		case ok:
			base = inMemory(b)
		case !x.stored[obj].delta():
			if base, err = r.stored(obj, func(n int) []byte { return make([]byte, n) }); err == nil {
				r.keep(obj, base, len(deltas) > 0)
			}
		case x.base[obj] != none:
			deltas, obj = append(deltas, obj), x.base[obj]
		default:
			deltas = append(deltas, obj)
			base, err = r.outside(ctx, obj)
		}
		if err != nil {
			return content{}, err
		}
	}
	for i := len(deltas) - 1; i >= 0; i-- {
		next, err := r.apply(ctx, base, deltas[i])
		if err = errors.Join(err, base.remove()); err != nil {
			return content{}, err
		}
		base = next
		r.keep(deltas[i], base, i > 0)
	}
	return base, nil
}

// keep puts what deltas are made from into the cache.
func (r *reader) keep(obj uint32, c content, isBase bool) {
	if c.f == nil && isBase {
		r.cache.put(obj, c.b)
	}
}

// outside returns the object of the bases that a delta is made from.
func (r *reader) outside(ctx context.Context, obj uint32) (content, error) {
	refs := r.p.x.refs
	i, ok := slices.BinarySearchFunc(refs, obj, func(a reference, obj uint32) int { return int(int64(a.obj) - int64(obj)) })
	if !ok {
		return content{}, fmt.Errorf("object %d has no base", obj)
	}
	for _, b := range r.p.bases {
		if c, _, err := b.whole(ctx, refs[i].base); !errors.Is(err, ErrMissing) {
			return c, err
		}
	}
	return content{}, fmt.Errorf("%w %s", ErrMissing, refs[i].base)
}

// spend counts work, so that many objects behind long chains of deltas do not take for ever.
func (r *reader) spend(ctx context.Context, obj uint32, n int64) error {
	if r.spent += n; r.spent > saturate(r.p.lim.MaxInflated, readFactor) {
		return fault.Exhaustedf(r.p.x.place(obj), "the objects that are read stand behind too many deltas").WithAdvice("repack with a smaller --depth")
	}
	return ctx.Err()
}

func (r *reader) stored(obj uint32, get func(int) []byte) (content, error) {
	r.spent += int64(r.p.x.size[obj])
	return readStored(r.in, &r.dec, r.p.x, r.p.files, obj, get)
}

// apply makes an object from its base.
func (r *reader) apply(ctx context.Context, base content, obj uint32) (content, error) {
	x := r.p.x
	if err := r.spend(ctx, obj, int64(x.full[obj])+base.size); err != nil {
		return content{}, err
	}
	delta, err := r.stored(obj, func(n int) []byte {
		r.delta = slices.Grow(r.delta[:0], n)
		return r.delta[:n]
	})
	if err != nil {
		return content{}, err
	}
	if base.f != nil || delta.f != nil || isLarge(x.kind[obj], int64(x.full[obj])) {
		c, _, err := applyLarge(r.p.files, base, delta, x.kind[obj], int64(x.full[obj]), x.place(obj))
		return c, errors.Join(err, delta.remove())
	}
	b := make([]byte, x.full[obj])
	if err := applyDelta(b, base.b, delta.b); err != nil {
		return content{}, fault.Corruptf("", "%s: %v", x.place(obj), err)
	}
	return inMemory(b), nil
}
