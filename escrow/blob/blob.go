// Package blob says how the bytes in custody are kept and read: content-addressed, per holder, durable before acknowledged.
// It knows nothing of what the bytes mean nor of who may read them.
package blob

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/countersign-escrow/countersign/escrow/blob/object"
	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
)

// Ref names a blob in one holder's custody. The same bytes of two holders are two blobs.
type Ref struct {
	Holder resource.Organization
	Digest digest.Digest
}

// String returns holder and digest, for errors.
func (r Ref) String() string { return r.Holder.String() + "/blobs/" + r.Digest.Hex() }

// Blob is a blob open for reading. ReadAt may be called from several goroutines.
type Blob interface {
	io.ReaderAt
	io.Closer
	// Size returns the size in bytes.
	Size() int64
}

// Store keeps blobs. All methods may be called from several goroutines.
//
// A blob is there wholly or not at all: until Commit has ended without error, Open and Stat answer with fault.NotFound.
// A blob that is there never changes.
type Store interface {
	// Open opens a blob for reading; fault.NotFound if it is not held whole, fault.Corrupt if its size or its start is not
	// what was stored. Reading the rest tells whether that is: ReadAt never returns bytes that were not stored, but
	// fault.Corrupt.
	Open(ctx context.Context, ref Ref) (Blob, error)
	// Stat returns the size in bytes of a blob that is held whole; errors as Open.
	Stat(ctx context.Context, ref Ref) (int64, error)
	// Partial returns how many bytes of an unfinished upload are durable; 0 if there are none.
	Partial(ctx context.Context, ref Ref) (int64, error)
	// Resume begins the upload of a blob of size bytes, or goes on with an unfinished one at its durable offset.
	// A blob has one writer at a time: the second gets fault.Aborted. For a blob that is held already, it returns an
	// upload whose offset is size and whose Commit is harmless. A damaged blob is not held: it is read whole to know, and
	// what is uploaded takes its place. An unfinished upload of another size is dropped.
	Resume(ctx context.Context, ref Ref, size int64) (Upload, error)
	// Keep sees to it that nobody deletes a blob before a lock ends, as object.Store says. fault.NotFound if it is not held.
	Keep(ctx context.Context, ref Ref, lock object.Lock) error
}

// Upload is the one writer of a blob. It is for one goroutine.
type Upload interface {
	// Write appends at Offset. Bytes beyond the announced size are refused with fault.Invalid and nothing is written.
	io.Writer
	// Offset returns how many bytes the upload has, durable or written.
	Offset() int64
	// Commit checks size and digest, makes the blob durable, and then visible. A wrong digest is fault.Invalid, and the
	// upload is dropped; too few bytes are fault.Precondition, and the upload can go on. Commit may be repeated.
	Commit(ctx context.Context) error
	// Close gives up the writer. What was written stays and can be resumed, unless the upload was committed or dropped.
	// Close may be repeated.
	Close() error
}

// Put stores the size bytes of r, which begins at the blob's first byte also where an upload is resumed.
func Put(ctx context.Context, s Store, ref Ref, size int64, r io.Reader) (err error) {
	u, err := s.Resume(ctx, ref, size)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := u.Close(); err == nil {
			err = closeErr
		}
	}()
	if u.Offset() < size {
		if err := fill(ctx, u, r); err != nil {
			return fmt.Errorf("store %s: %w", ref, err)
		}
	}
	return u.Commit(ctx)
}

// fill skips what u has already and writes the rest of r.
func fill(ctx context.Context, u Upload, r io.Reader) error {
	r = contextReader{ctx, r}
	if n, err := io.CopyN(io.Discard, r, u.Offset()); errors.Is(err, io.EOF) {
		return fault.Invalidf("data", "ends after %d bytes, %d have been uploaded before", n, u.Offset())
	} else if err != nil {
		return err
	}
	const bufferBytes = 256 << 10
	// Wrapped, so that no ReadFrom or WriteTo of the two sides goes round the buffer and its bound.
	_, err := io.CopyBuffer(struct{ io.Writer }{u}, r, make([]byte, bufferBytes))
	return err
}

// contextReader ends a copy when its context ends.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
