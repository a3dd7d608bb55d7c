package gitpack

import (
	"bytes"
	"context"
	"crypto/sha1"
	"errors"
	"io"
	"os"
	"sync"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

// copying is a file that is being written: what reads from it waits for what is not there yet.
type copying struct {
	file *os.File
	mu   sync.Mutex
	more sync.Cond
	n    int64 // bytes written
	err  error // why there will be no more
}

func newCopying(f *os.File) *copying {
	c := &copying{file: f}
	c.more.L = &c.mu
	return c
}

// ReadAt reads what was written, and waits for what was not. It fails as the writer did.
func (c *copying) ReadAt(p []byte, off int64) (int, error) {
	c.mu.Lock()
	for c.err == nil && off+int64(len(p)) > c.n {
		c.more.Wait()
	}
	err := c.err
	c.mu.Unlock()
	if err != nil && err != io.EOF {
		return 0, err
	}
	return c.file.ReadAt(p, off)
}

// advance says how much was written, and with an error that no more will be.
func (c *copying) advance(n int64, err error) {
	c.mu.Lock()
	c.n += n
	if c.err == nil {
		c.err = err
	}
	c.mu.Unlock()
	c.more.Broadcast()
}

// copy writes size bytes from r and compares the checksum at their end, which guards against damage on the way and not against
// anybody: that is what the ids are for.
func (c *copying) copy(ctx context.Context, r io.ReaderAt, size int64) error {
	err := c.copyAll(ctx, r, size)
	if err == nil {
		c.advance(0, io.EOF)
	} else {
		c.advance(0, err)
	}
	return err
}

func (c *copying) copyAll(ctx context.Context, r io.ReaderAt, size int64) error {
	const piece = 512 << 10
	sum := sha1.New()
	buf := make([]byte, min(size, piece))
	for off := int64(0); off < size-trailerSize; {
		if err := ctx.Err(); err != nil {
			return err
		}
		b := buf[:min(piece, size-trailerSize-off)]
		if err := c.move(r, b, off); err != nil {
			return err
		}
		sum.Write(b)
		off += int64(len(b))
	}
	trailer := buf[:trailerSize]
	if err := c.move(r, trailer, size-trailerSize); err != nil {
		return err
	}
	if !bytes.Equal(trailer, sum.Sum(nil)) {
		return fault.Invalidf("pack", "the checksum at byte %d is not that of what is before it", size-trailerSize)
	}
	return nil
}

// move copies what fills b.
func (c *copying) move(r io.ReaderAt, b []byte, off int64) error {
	if n, err := r.ReadAt(b, off); n < len(b) {
		return errors.Join(io.ErrUnexpectedEOF, err)
	}
	if _, err := c.file.WriteAt(b, off); err != nil {
		return err
	}
	c.advance(int64(len(b)), nil)
	return nil
}
