package intake

import (
	"bufio"
	"context"
	"errors"
	"io"
	"io/fs"

	"github.com/klauspost/compress/zstd"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

// source is the deposited file. It remembers a failure to read it, so that this is never taken for
// the vendor's fault.
type source struct {
	r      io.ReaderAt
	size   int64
	failed error
}

// ReadAt reads from the file as io.ReaderAt says.
func (s *source) ReadAt(p []byte, off int64) (int, error) {
	n, err := s.r.ReadAt(p, off)
	if err != nil && err != io.EOF {
		s.failed = err
	}
	return n, err
}

// reader reads the file from its start to its end.
func (s *source) reader() io.Reader {
	return bufio.NewReaderSize(io.NewSectionReader(s, 0, s.size), 64<<10)
}

// unreadable turns an error of a format's reader into a domain error that names the place. A domain error, a walk
// called off, and a failure of our own stay what they are.
func (s *source) unreadable(at string, err error) error {
	var domain *fault.Error
	var own *fs.PathError
	switch {
	case err == nil:
		return nil
	case s.failed != nil:
		return s.failed
	case errors.As(err, &domain), errors.As(err, &own), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, zstd.ErrWindowSizeExceeded):
		return fault.Exhaustedf(at, "needs a zstd window of more than %d bytes", maxWindow).WithAdvice("pack without --long or with --long=27")
	}
	e := fault.Invalidf(at, "cannot be read")
	e.Err = err
	return e
}
