package gitpack

import (
	"context"
	"errors"
	"io"
	"math"
	"os"
	"sync"
	"sync/atomic"

	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/intake/gitpack/inflate"
)

// Pack gives the objects of a pack by their ids. It is not safe for concurrent use.
type Pack struct {
	file  *os.File
	files *files
	x     *index
	reg   *registry
	bases []*Pack
	lim   Limits
	read  *reader
}

// Open copies the pack, size bytes, into a file in scratchDir, checks it against the limits, computes the id of every object in it, and
// checks that all commits, trees and tags are well-formed and that all they refer to is there, in the pack or in its bases: packs opened
// before, which stay the caller's and must stay open as long as this one. A part that is missing is an error with ReasonIncomplete;
// an object that is made for a SHA-1 collision is fault.Invalid. Errors name the place in the pack. An error of r is returned as it is.
func Open(ctx context.Context, r io.ReaderAt, size int64, bases []*Pack, scratchDir string, lim Limits) (*Pack, error) {
	if min(lim.MaxObjects, lim.MaxObjectBytes, lim.MaxInflated) < 1 {
		return nil, fault.Invalidf("limits", "must all be positive")
	}
	count, err := readHead(r, size, lim)
	if err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(scratchDir, "pack-*")
	if err != nil {
		return nil, err
	}
	p := &Pack{file: f, bases: bases, lim: lim, files: &files{dir: scratchDir, most: saturate(lim.MaxObjectBytes, wholeObjects)}}
	if err := p.index(ctx, r, size, count); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	p.read = newReader(p)
	return p, nil
}

// saturate returns a*b, or the largest number where that is smaller. Neither may be negative.
func saturate(a, b int64) int64 {
	if b != 0 && a > math.MaxInt64/b {
		return math.MaxInt64
	}
	return a * b
}

// objects returns how many objects the pack and its bases have.
func (p *Pack) objects() int {
	n := p.x.count()
	for _, b := range p.bases {
		n += b.objects()
	}
	return n
}

func (p *Pack) index(ctx context.Context, r io.ReaderAt, size int64, count int) error {
	p.x = newIndex(count)
	p.reg = newRegistry(p.x, p.objects()-count)
	total, most := new(atomic.Int64), saturate(p.lim.MaxInflated, resolvedFactor)
	if err := p.scan(ctx, r, size, total, most); err != nil {
		return err
	}
	if err := newResolver(p, total, most).resolve(ctx); err != nil {
		return err
	}
	return p.connected()
}

// scan reads the pack from its start to its end while it is being copied, and inspects all objects that are no deltas.
func (p *Pack) scan(ctx context.Context, r io.ReaderAt, size int64, total *atomic.Int64, most int64) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	file := newCopying(p.file)
	s := &scanner{
		in: inflate.NewInput(file, scanBuffer), x: p.x, lim: p.lim, reg: p.reg, hash: newHasher(),
		free: make(chan *slab, workers()), full: make(chan *slab, workers()), done: ctx.Done(),
	}
	var all sync.WaitGroup
	all.Go(func() {
		if err := file.copy(ctx, r, size); err != nil {
			cancel(err)
		}
	})
	for range max(1, workers()-1) {
		look := newInspector(p.x, p.reg, total, most)
		all.Go(func() {
			if err := s.inspect(look); err != nil {
				cancel(err)
			}
		})
	}
	if err := s.scan(ctx, size); err != nil {
		cancel(err)
	}
	close(s.full)
	all.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// inspect inspects slabs until there are no more.
func (s *scanner) inspect(look *inspector) error {
	for b := range s.full {
		if err := look.slab(b); err != nil {
			return err
		}
		select {
		case s.free <- b:
		default:
		}
	}
	return nil
}

// connected says whether all that objects refer to is in the pack or in its bases.
func (p *Pack) connected() error {
	var missing *wanted
	err := p.reg.unmet(func(w wanted) error {
		kind, ok := p.kindInBases(&w.id)
		if ok {
			return p.x.wrongKind(w, kind)
		}
		if missing == nil || w.by < missing.by {
			missing = &w
		}
		return nil
	})
	if err != nil || missing == nil {
		return err
	}
	return Incompletef(p.x.place(missing.by), "%s %s refers to a %s that is missing (object %s)",
		kinds[p.x.kind[missing.by]], p.x.id[missing.by], kinds[missing.kind], missing.id).WithAdvice(wholePack)
}

func (p *Pack) kindInBases(id *ID) (code, bool) {
	for _, b := range p.bases {
		if obj, ok := b.reg.find(id); ok {
			return b.x.kind[obj], true
		}
		if kind, ok := b.kindInBases(id); ok {
			return kind, true
		}
	}
	return codeNone, false
}

// Close removes the scratch files.
func (p *Pack) Close() error {
	var err error
	if p.read != nil {
		err = p.read.release()
	}
	return errors.Join(err, p.file.Close(), os.Remove(p.file.Name()))
}
