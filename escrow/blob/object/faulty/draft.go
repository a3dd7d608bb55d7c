package faulty

import (
	"context"

	"github.com/countersign-escrow/countersign/escrow/blob/object"
)

// Draft begins a draft that may fail; one that is begun though its answer is lost is given up at once, as by a server.
func (s *Store) Draft(ctx context.Context, name object.Name, size int64) (object.Draft, error) {
	var inner object.Draft
	err := s.do(Draft, func() (err error) {
		inner, err = s.inner.Draft(ctx, name, size)
		return err
	})
	if err != nil && inner != nil {
		_ = inner.Close()
	}
	if err != nil {
		return nil, err
	}
	return &draft{Draft: inner, store: s}, nil
}

type draft struct {
	object.Draft
	store *Store
	done  bool // committed, though the answer was lost
}

// Write takes half of the bytes where it is cut, and all of them where its answer is lost.
func (d *draft) Write(p []byte) (int, error) {
	f := d.store.next(Write)
	switch f {
	case Refuse, Break:
		return 0, failure(f, Write)
	case Cut:
		p = p[:len(p)/2]
	}
	n, err := d.Draft.Write(p)
	if err == nil {
		err = failure(f, Write)
	}
	return n, err
}

// Save may fail before or after the fact.
func (d *draft) Save(ctx context.Context, note []byte) error {
	return d.store.do(Save, func() error { return d.Draft.Save(ctx, note) })
}

// Commit may fail before or after the fact.
func (d *draft) Commit(ctx context.Context) error {
	return d.store.do(Commit, func() error { return d.once(ctx, d.Draft.Commit) })
}

// Replace may fail before or after the fact.
func (d *draft) Replace(ctx context.Context) error {
	return d.store.do(Replace, func() error { return d.once(ctx, d.Draft.Replace) })
}

// once commits, unless that was done before and only nobody knows.
func (d *draft) once(ctx context.Context, commit func(context.Context) error) error {
	if d.done {
		return nil
	}
	err := commit(ctx)
	d.done = err == nil
	return err
}

// Drop may fail before or after the fact.
func (d *draft) Drop(ctx context.Context) error {
	return d.store.do(Drop, func() error { return d.Draft.Drop(ctx) })
}
