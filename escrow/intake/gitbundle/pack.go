package gitbundle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/idxfile"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

// Limits bound a pack. All must be positive.
type Limits struct {
	MaxObjects     int64
	MaxObjectBytes int64 // of one object: objects are held in memory
	MaxInflated    int64 // of all objects together as they are stored, deltas as deltas
}

// ErrMissing says that the pack does not hold an object.
var ErrMissing = errors.New("the bundle does not hold the object")

// Kind is the type of an object.
type Kind string

// The kinds of object.
const (
	Commit Kind = "commit"
	Tree   Kind = "tree"
	Blob   Kind = "blob"
	Tag    Kind = "tag"
)

// Object is one object, whole.
type Object struct {
	Kind    Kind
	Size    int64
	Content io.Reader
}

// Pack gives the objects of a pack by their ids. It is not safe for concurrent use.
type Pack struct {
	file *scratch
	pack *packfile.Packfile
}

// Open copies the pack, which ends where r ends, into a file in scratchDir, checks it against the limits, and computes the id of
// every object in it. SHA-1 is computed with detection of collisions: an object made for a collision gets another id than it claims.
func Open(ctx context.Context, r io.Reader, scratchDir string, lim Limits) (*Pack, error) {
	f, err := os.CreateTemp(scratchDir, "pack-*")
	if err != nil {
		return nil, err
	}
	p := &Pack{file: &scratch{File: f, ctx: ctx}}
	if err := p.load(r, lim); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

func (p *Pack) load(r io.Reader, lim Limits) error {
	size, err := io.Copy(p.file, r)
	if err != nil {
		return err
	}
	if err := p.rewind(); err != nil {
		return err
	}
	if err := survey(p.file, size, lim); err != nil {
		return err
	}
	return p.index()
}

func (p *Pack) rewind() error {
	_, err := p.file.Seek(0, io.SeekStart)
	return err
}

// index lets go-git resolve every delta and compute every id.
func (p *Pack) index() (err error) {
	defer contain(&err)
	if err := p.rewind(); err != nil {
		return err
	}
	ids := new(idxfile.Writer)
	parser, err := packfile.NewParser(packfile.NewScanner(p.file), ids)
	if err != nil {
		return err
	}
	if _, err := parser.Parse(); err != nil {
		return malformed("pack", err)
	}
	index, err := ids.Index()
	if err != nil {
		return err
	}
	p.pack = packfile.NewPackfile(index, nil, p.file, 0)
	return nil
}

// Object returns an object, or ErrMissing. Its id is computed again from what is returned; if it is another one, the error
// is fault.Corrupt.
func (p *Pack) Object(ctx context.Context, id ID) (o Object, err error) {
	defer contain(&err)
	p.file.ctx = ctx
	at := "object " + id.String()
	e, err := p.pack.Get(plumbing.Hash(id))
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		return Object{}, fmt.Errorf("%w %s", ErrMissing, id)
	}
	if err != nil {
		return Object{}, malformed(at, err)
	}
	if err := verify(e, id); err != nil {
		return Object{}, err
	}
	r, err := e.Reader()
	if err != nil {
		return Object{}, malformed(at, err)
	}
	return Object{Kind: Kind(e.Type().String()), Size: e.Size(), Content: r}, nil
}

// verify hashes the object, which lies in memory. go-git did so for its index only.
func verify(e plumbing.EncodedObject, id ID) error {
	r, err := e.Reader()
	if err != nil {
		return err
	}
	h := plumbing.NewHasher(e.Type(), e.Size())
	n, err := io.Copy(h, r)
	if err != nil {
		return err
	}
	if n != e.Size() || ID(h.Sum()) != id {
		bad := fault.Corruptf("", "its content is not what its id says")
		bad.Field = "object " + id.String()
		return bad
	}
	return nil
}

// Close removes the scratch file.
func (p *Pack) Close() error {
	return errors.Join(p.file.Close(), os.Remove(p.file.Name()))
}

// contain turns a panic of go-git, which reads hostile bytes here, into an error.
func contain(err *error) {
	if r := recover(); r != nil {
		*err = malformed("pack", fmt.Errorf("it makes the reader fail: %v", r))
	}
}

// scratch is a file as go-git wants it, with reads that end when the context does.
type scratch struct {
	*os.File
	ctx context.Context
}

// Read reads unless the work was called off.
func (s *scratch) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, &stopped{err}
	}
	return s.File.Read(p)
}

// ReadFrom writes what r yields unless the work is called off.
func (s *scratch) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{s.File}, readFunc(func(p []byte) (int, error) {
		if err := s.ctx.Err(); err != nil {
			return 0, err
		}
		return r.Read(p)
	}))
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// Lock does nothing: nobody else knows the file.
func (s *scratch) Lock() error { return nil }

// Unlock does nothing.
func (s *scratch) Unlock() error { return nil }
