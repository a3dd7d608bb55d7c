package proof

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/countersign-escrow/countersign/escrow/digest"
)

// Role is what a file is in a release.
type Role string

// The roles.
const (
	Manifest Role = "MANIFEST"
	Source   Role = "SOURCE"
	Artifact Role = "ARTIFACT"
	List     Role = "LIST" // a list of checksums that came along with a signature
)

// File is a file that a signature may be over.
type File struct {
	Role   Role
	Name   string // a source's name, an artifact's path in the release, a list's file name; "manifest" for the manifest
	Digest digest.Digest
	Size   int64
	// Open opens it for reading, any number of times. Its errors are the holder's, not the signer's.
	Open func(context.Context) (Content, error)
}

// Content is an open file.
type Content interface {
	io.ReaderAt
	io.Closer
}

// Bytes makes a File of bytes at hand.
func Bytes(role Role, name string, b []byte) File {
	return File{Role: role, Name: name, Digest: digest.Of(b), Size: int64(len(b)), Open: func(context.Context) (Content, error) {
		return held{bytes.NewReader(b)}, nil
	}}
}

type held struct{ *bytes.Reader }

func (held) Close() error { return nil }

// Read gives the whole of a file to f as a stream. Errors of opening, of reading and of f come back as they are.
func (file File) Read(ctx context.Context, f func(io.Reader) error) error {
	c, err := file.Open(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	return f(&stream{ctx, io.NewSectionReader(c, 0, file.Size)})
}

// stream ends with its context.
type stream struct {
	ctx context.Context
	r   io.Reader
}

func (s *stream) Read(b []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.r.Read(b)
}

// All returns the content of a file that has at most so many bytes.
func (file File) All(ctx context.Context, most int64) (b []byte, err error) {
	if file.Size > most {
		return nil, fmt.Errorf("%s has %d bytes, %d at most", file.Name, file.Size, most)
	}
	err = file.Read(ctx, func(r io.Reader) error {
		b, err = io.ReadAll(r)
		return err
	})
	return b, err
}
