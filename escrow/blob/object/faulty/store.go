package faulty

import (
	"context"
	"time"

	"github.com/countersign-escrow/countersign/escrow/blob/object"
)

// Open opens an object whose reads may fail.
func (s *Store) Open(ctx context.Context, name object.Name) (object.Object, error) {
	var inner object.Object
	err := s.do(Open, func() (err error) {
		inner, err = s.inner.Open(ctx, name)
		return err
	})
	if err != nil && inner != nil {
		_ = inner.Close()
	}
	if err != nil {
		return nil, err
	}
	return &reader{Object: inner, store: s}, nil
}

type reader struct {
	object.Object
	store *Store
}

// ReadAt reads half of the bytes where it is cut, and none where its answer is lost.
func (r *reader) ReadAt(p []byte, offset int64) (int, error) {
	switch f := r.store.next(ReadAt); f {
	case None:
		return r.Object.ReadAt(p, offset)
	case Cut:
		n, err := r.Object.ReadAt(p[:len(p)/2], offset)
		if err == nil {
			err = failure(Cut, ReadAt)
		}
		return n, err
	default:
		return 0, failure(f, ReadAt)
	}
}

// Unfinished may fail.
func (s *Store) Unfinished(ctx context.Context, name object.Name) (at object.Checkpoint, err error) {
	err = s.do(Unfinished, func() (err error) {
		at, err = s.inner.Unfinished(ctx, name)
		return err
	})
	if err != nil {
		return object.Checkpoint{}, err
	}
	return at, nil
}

// Keep may fail before or after the fact.
func (s *Store) Keep(ctx context.Context, name object.Name, lock object.Lock) error {
	return s.do(Keep, func() error { return s.inner.Keep(ctx, name, lock) })
}

// Kept may fail.
func (s *Store) Kept(ctx context.Context, name object.Name) (lock object.Lock, err error) {
	err = s.do(Kept, func() (err error) {
		lock, err = s.inner.Kept(ctx, name)
		return err
	})
	if err != nil {
		return object.Lock{}, err
	}
	return lock, nil
}

// Delete may fail before or after the fact.
func (s *Store) Delete(ctx context.Context, name object.Name) error {
	return s.do(Delete, func() error { return s.inner.Delete(ctx, name) })
}

// Names ends after some names where it is cut.
func (s *Store) Names(ctx context.Context, each func(object.Name) error) error {
	f := s.next(Names)
	if f == Refuse || f == Break {
		return failure(f, Names)
	}
	named := 0
	err := s.inner.Names(ctx, func(n object.Name) error {
		if named++; f == Cut && named%4 == 0 {
			return failure(Cut, Names)
		}
		return each(n)
	})
	if err != nil {
		return err
	}
	return failure(f, Names)
}

// Sweep may fail before or after the fact.
func (s *Store) Sweep(ctx context.Context, since time.Time) (swept int, err error) {
	err = s.do(Sweep, func() (err error) {
		swept, err = s.inner.Sweep(ctx, since)
		return err
	})
	return swept, err
}

// Ready may fail.
func (s *Store) Ready(ctx context.Context) error {
	return s.do(Ready, func() error { return s.inner.Ready(ctx) })
}
