// Package compare tells in what two files differ, and where.
// It knows nothing of how either file came to be, and judges neither.
package compare

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/countersign-escrow/countersign/verifier/finding"
)

// Bounds of a comparison.
const (
	MaxCauses  = 16 // listed differences; all are counted
	MaxExcerpt = 32 // bytes shown of each side

	mergeGap = 16 // differing bytes this close belong to one range
	chunk    = 1 << 20
)

// File is one side of a comparison.
type File struct {
	io.ReaderAt
	Size int64 // bytes
}

// Result says in what two files differ.
type Result struct {
	Equal          bool
	DifferingBytes int64 // in the part that both have, and all that one has more
	Ranges         int   // runs of differing bytes, where those closer than 16 bytes count as one
	Causes         []finding.Cause
}

// Compare reads both files once, in chunks, and the places of the listed differences again.
func Compare(ctx context.Context, shipped, rebuilt File) (Result, error) {
	var s scan
	if err := s.run(ctx, shipped, rebuilt); err != nil {
		return Result{}, err
	}
	res := Result{DifferingBytes: s.bytes, Ranges: s.count}
	if len(s.ranges) > 0 {
		layout := readLayout(shipped)
		for _, r := range s.ranges {
			c, err := cause(finding.Content, layout.place(r.start), r, shipped, rebuilt)
			if err != nil {
				return Result{}, err
			}
			res.Causes = append(res.Causes, c)
		}
	}
	if shipped.Size != rebuilt.Size {
		c, err := sizeCause(shipped, rebuilt)
		if err != nil {
			return Result{}, err
		}
		res.Ranges++
		res.DifferingBytes += c.Length
		res.Causes = append(res.Causes, c)
	}
	res.Equal = res.Ranges == 0
	return res, nil
}

// span is the bytes from start up to end.
type span struct{ start, end int64 }

// scan counts differing bytes and keeps the first ranges of them.
type scan struct {
	bytes  int64
	count  int
	ranges []span
	last   span // the range that a further difference may belong to; none while count is 0
}

func (s *scan) run(ctx context.Context, a, b File) error {
	bufA, bufB := make([]byte, chunk), make([]byte, chunk)
	common := min(a.Size, b.Size)
	for off := int64(0); off < common; off += chunk {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(chunk, common-off)
		if err := readFull(a, bufA[:n], off); err != nil {
			return fmt.Errorf("shipped file: %w", err)
		}
		if err := readFull(b, bufB[:n], off); err != nil {
			return fmt.Errorf("rebuilt file: %w", err)
		}
		if !bytes.Equal(bufA[:n], bufB[:n]) {
			s.chunk(off, bufA[:n], bufB[:n])
		}
	}
	s.keep()
	return nil
}

func (s *scan) chunk(off int64, a, b []byte) {
	for i := range a {
		if a[i] != b[i] {
			s.differ(off + int64(i))
		}
	}
}

func (s *scan) differ(at int64) {
	s.bytes++
	if s.count > 0 && at-s.last.end < mergeGap {
		s.last.end = at + 1
		return
	}
	s.keep()
	s.count++
	s.last = span{at, at + 1}
}

// keep lists the range that has come to its end.
func (s *scan) keep() {
	if s.count > 0 && len(s.ranges) < MaxCauses {
		s.ranges = append(s.ranges, s.last)
	}
}

func cause(t finding.CauseType, place string, r span, shipped, rebuilt File) (finding.Cause, error) {
	a, err := excerpt(shipped, r)
	if err != nil {
		return finding.Cause{}, fmt.Errorf("shipped file: %w", err)
	}
	b, err := excerpt(rebuilt, r)
	if err != nil {
		return finding.Cause{}, fmt.Errorf("rebuilt file: %w", err)
	}
	return finding.Cause{Type: t, Place: place, Offset: r.start, Length: r.end - r.start, ShippedExcerpt: a, RebuiltExcerpt: b}, nil
}

func sizeCause(shipped, rebuilt File) (finding.Cause, error) {
	r := span{min(shipped.Size, rebuilt.Size), max(shipped.Size, rebuilt.Size)}
	place := fmt.Sprintf("shipped file has %d bytes, rebuilt file %d", shipped.Size, rebuilt.Size)
	return cause(finding.Size, place, r, shipped, rebuilt)
}

// excerpt returns the beginning of r as hexadecimal digits, as far as the file has it.
func excerpt(f File, r span) (string, error) {
	n := min(r.end-r.start, MaxExcerpt, f.Size-r.start)
	if n <= 0 {
		return "", nil
	}
	b := make([]byte, n)
	if err := readFull(f, b, r.start); err != nil {
		return "", err
	}
	return hex.EncodeToString(b), nil
}

func readFull(f File, b []byte, off int64) error {
	n, err := f.ReadAt(b, off)
	switch {
	case n == len(b):
		return nil
	case err == nil || errors.Is(err, io.EOF):
		return fmt.Errorf("ends at byte %d of %d: %w", off+int64(n), f.Size, io.ErrUnexpectedEOF)
	default:
		return err
	}
}
