package gitbundle

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

// chainObjects is how many of the largest objects the ancestors of a delta may amount to: go-git holds them all while
// it resolves a delta whose base it has forgotten.
const chainObjects = 8

// survey inflates every object once and checks what go-git would believe: how many there are, how large each one is and becomes, and
// that the pack ends where the file does. Without it a few bytes could make go-git reserve all memory.
func survey(r io.ReadSeeker, size int64, lim Limits) (err error) {
	defer contain(&err)
	s := &surveyor{scan: packfile.NewScanner(r), lim: lim, chain: make(map[int64]int64)}
	_, count, err := s.scan.Header()
	if err != nil {
		return malformed("pack", err)
	}
	if int64(count) > lim.MaxObjects {
		return fault.Exhaustedf("pack", "announces %d objects, %d at most", count, lim.MaxObjects)
	}
	for range count {
		if err := s.object(); err != nil {
			return err
		}
	}
	if _, err := s.scan.Checksum(); err != nil {
		return malformed("pack", err)
	}
	end, err := s.scan.SeekFromStart(0)
	if err != nil {
		return err
	}
	if end != size {
		return fault.Invalidf("pack", "something follows its end at byte %d", end)
	}
	return nil
}

type surveyor struct {
	scan     *packfile.Scanner
	lim      Limits
	inflated int64
	chain    map[int64]int64 // by offset: the bytes of an object and of those that it is a delta to
}

func (s *surveyor) object() error {
	h, err := s.scan.NextObjectHeader()
	if err != nil {
		return malformed("pack", err)
	}
	at := fmt.Sprintf("pack object at byte %d", h.Offset)
	if h.Length < 0 || h.Length > s.lim.MaxObjectBytes {
		return fault.Exhaustedf(at, "has %d bytes, %d at most", h.Length, s.lim.MaxObjectBytes)
	}
	if s.inflated += h.Length; s.inflated > s.lim.MaxInflated {
		return fault.Exhaustedf(at, "the objects inflate to more than %d bytes", s.lim.MaxInflated)
	}
	var head headWriter
	n, _, err := s.scan.NextObject(&head)
	if err != nil {
		return malformed(at, err)
	}
	if n != h.Length {
		return fault.Invalidf(at, "inflates to %d bytes and announces %d", n, h.Length)
	}
	switch h.Type {
	case plumbing.CommitObject, plumbing.TreeObject, plumbing.BlobObject, plumbing.TagObject:
		s.chain[h.Offset] = h.Length
		return nil
	case plumbing.OFSDeltaObject:
		return s.delta(h, head, at)
	case plumbing.REFDeltaObject:
		return fault.Invalidf(at, "is a delta to an object named by its id").WithAdvice("make the bundle with stock git, which names bases by offset")
	default:
		return fault.Invalidf(at, "is of an unknown type")
	}
}

// delta checks the size that a delta's result announces.
func (s *surveyor) delta(h *packfile.ObjectHeader, head headWriter, at string) error {
	base, ok := s.chain[h.OffsetReference]
	if !ok {
		return fault.Invalidf(at, "is a delta to no object")
	}
	_, n := binary.Uvarint(head.b)
	if n <= 0 {
		return fault.Invalidf(at, "is a malformed delta")
	}
	result, n := binary.Uvarint(head.b[n:])
	if n <= 0 {
		return fault.Invalidf(at, "is a malformed delta")
	}
	if result > uint64(s.lim.MaxObjectBytes) {
		return fault.Exhaustedf(at, "has %d bytes, %d at most", result, s.lim.MaxObjectBytes)
	}
	s.chain[h.Offset] = base + int64(result)
	if s.chain[h.Offset]/chainObjects > s.lim.MaxObjectBytes {
		return fault.Exhaustedf(at, "is a delta to too many large objects").WithAdvice("repack with a smaller --depth")
	}
	return nil
}

// headWriter keeps the first bytes that it is given: enough for the two sizes that a delta begins with.
type headWriter struct{ b []byte }

func (w *headWriter) Write(p []byte) (int, error) {
	const most = 2 * binary.MaxVarintLen64
	w.b = append(w.b, p[:min(len(p), most-len(w.b))]...)
	return len(p), nil
}
