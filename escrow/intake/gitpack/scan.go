package gitpack

import (
	"context"
	"encoding/binary"
	"io"
	"math"

	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/intake/gitpack/inflate"
)

const (
	largeObject = 8 << 20   // larger blobs and deltas go through files or piece by piece, and are never whole in memory
	maxTree     = 16 << 20  // of one tree, which is held in memory
	slabBytes   = 256 << 10 // objects that go from one goroutine to another together
	scanBuffer  = 256 << 10
)

// scanner goes through a pack from its start to its end: it finds where objects begin, inflates them, and hands them on in slabs.
type scanner struct {
	in       *inflate.Input
	dec      inflate.Decoder
	x        *index
	lim      Limits
	inflated int64
	slab     *slab
	hash     *hasher
	reg      *registry
	free     chan *slab // to be used again
	full     chan *slab // to be inspected
	done     <-chan struct{}
}

// slab is a number of objects as they are stored, one behind another.
type slab struct {
	buf   []byte
	n     int // bytes used
	items []item
}

type item struct {
	obj   uint32
	adler uint32
	begin int
}

// isLarge says whether an object is too large for memory.
func isLarge(kind code, size int64) bool { return size > largeObject && kind != codeTree }

// fits refuses objects of kinds that are held in memory, if they are too large for that.
func fits(kind code, size int64, at func() string) error {
	most := int64(math.MaxInt64)
	switch kind {
	case codeCommit, codeTag:
		most = largeObject
	case codeTree:
		most = maxTree
	}
	if size > most {
		return fault.Exhaustedf(at(), "is a %s of %d bytes, %d at most", kinds[kind], size, most)
	}
	return nil
}

// readHead checks the pack's header and returns the number of objects, which the pack may be too short for.
func readHead(r io.ReaderAt, size int64, lim Limits) (int, error) {
	const smallest = 9 // bytes of an object: a byte for its type, and the shortest zlib stream
	if size < headerSize+trailerSize {
		return 0, fault.Invalidf("pack", "ends at byte %d", size)
	}
	var b [headerSize]byte
	if n, err := r.ReadAt(b[:], 0); n < len(b) {
		return 0, err
	}
	if string(b[:4]) != "PACK" {
		return 0, fault.Invalidf("pack", "byte 0: is no git pack")
	}
	if v := binary.BigEndian.Uint32(b[4:]); v != 2 {
		return 0, fault.Invalidf("pack", "byte 4: version %d is not supported", v)
	}
	count := int64(binary.BigEndian.Uint32(b[8:]))
	if count > lim.MaxObjects {
		return 0, fault.Exhaustedf("pack", "byte 8: announces %d objects, %d at most", count, lim.MaxObjects)
	}
	if count > (size-headerSize-trailerSize)/smallest {
		return 0, fault.Invalidf("pack", "byte 8: announces %d objects, and has %d bytes", count, size)
	}
	return int(count), nil
}

// scan reads all objects.
func (s *scanner) scan(ctx context.Context, size int64) error {
	end := size - trailerSize
	s.in.Section(headerSize, end)
	for i := range s.x.count() {
		if i%256 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if err := s.object(uint32(i)); err != nil {
			return err
		}
	}
	s.x.off[s.x.count()] = s.in.Offset()
	if s.in.Offset() != end {
		return fault.Invalidf("pack", "byte %d: something follows the last object", s.in.Offset())
	}
	return s.flush()
}

// head is what stands before an object's data.
type head struct {
	kind code
	size int64
	back int64 // of a delta to an object at an offset: how far before this one
	base ID    // of a delta to an object named by its id
}

func readObjectHead(in *inflate.Input, at string) (h head, err error) {
	b, err := in.ReadByte()
	if err != nil {
		return h, undecodable(at, err)
	}
	h.kind, h.size = code(b>>4&7), int64(b&15)
	for shift := 4; b&0x80 != 0; shift += 7 {
		if b, err = in.ReadByte(); err != nil {
			return h, undecodable(at, err)
		}
		if shift > 56 {
			return h, fault.Exhaustedf(at, "announces a size of more than 63 bits")
		}
		h.size |= int64(b&0x7f) << shift
	}
	switch h.kind {
	case codeCommit, codeTree, codeBlob, codeTag:
	case codeOfsDelta:
		h.back, err = readBack(in, at)
	case codeRefDelta:
		err = undecodable(at, in.ReadFull(h.base[:]))
	default:
		err = fault.Invalidf(at, "is of an unknown type, %d", h.kind)
	}
	return h, err
}

// readBack reads how far before a delta its base is.
func readBack(in *inflate.Input, at string) (int64, error) {
	b, err := in.ReadByte()
	n := int64(b & 0x7f)
	for err == nil && b&0x80 != 0 {
		if n >= math.MaxInt64>>8 {
			return 0, fault.Invalidf(at, "is a delta to no object")
		}
		b, err = in.ReadByte()
		n = (n+1)<<7 | int64(b&0x7f)
	}
	return n, undecodable(at, err)
}

func (s *scanner) object(obj uint32) error {
	off := s.in.Offset()
	s.x.off[obj] = off
	at := func() string { return place(off) }
	h, err := readObjectHead(s.in, "")
	if err != nil {
		return located(err, at())
	}
	if h.size < 0 || h.size > min(s.lim.MaxObjectBytes, math.MaxUint32) {
		return fault.Exhaustedf(at(), "has %d bytes, %d at most", h.size, s.lim.MaxObjectBytes)
	}
	if s.inflated += h.size; s.inflated > s.lim.MaxInflated {
		return fault.Exhaustedf(at(), "the objects inflate to more than %d bytes", s.lim.MaxInflated)
	}
	s.x.stored[obj], s.x.size[obj], s.x.base[obj] = h.kind, uint32(h.size), none
	switch h.kind {
	case codeOfsDelta:
		base, ok := s.x.at(off-h.back, int(obj))
		if !ok {
			return fault.Invalidf(at(), "is a delta to no object")
		}
		s.x.base[obj] = base
	case codeRefDelta:
		s.x.refs = append(s.x.refs, reference{h.base, obj})
	default:
		s.x.kind[obj], s.x.full[obj] = h.kind, uint32(h.size)
	}
	if err := fits(h.kind, h.size, at); err != nil {
		return err
	}
	if isLarge(h.kind, h.size) {
		return s.large(obj, h)
	}
	return s.small(obj, int(h.size), at)
}

// located gives an error of a parser its place.
func located(err error, at string) error {
	if e, ok := err.(*fault.Error); ok {
		e.Field = at
	}
	return err
}

// small inflates an object into the slab.
func (s *scanner) small(obj uint32, size int, at func() string) error {
	if s.slab != nil && s.slab.n+size+inflate.Slack > len(s.slab.buf) {
		if err := s.flush(); err != nil {
			return err
		}
	}
	if s.slab == nil {
		s.slab = s.newSlab(size + inflate.Slack)
	}
	adler, err := s.dec.Inflate(s.in, s.slab.buf[s.slab.n:], size)
	if err != nil {
		return undecodable(at(), err)
	}
	if s.x.stored[obj].delta() {
		if s.x.full[obj], err = s.resultSize(s.slab.buf[s.slab.n:s.slab.n+size], at); err != nil {
			return err
		}
	}
	s.slab.items = append(s.slab.items, item{obj: obj, adler: adler, begin: s.slab.n})
	s.slab.n += size
	return nil
}

// resultSize checks the sizes that a delta begins with.
func (s *scanner) resultSize(delta []byte, at func() string) (uint32, error) {
	_, n := binary.Uvarint(delta)
	if n <= 0 {
		return 0, fault.Invalidf(at(), "is a malformed delta")
	}
	size, m := binary.Uvarint(delta[n:])
	if m <= 0 {
		return 0, fault.Invalidf(at(), "is a malformed delta")
	}
	if size > uint64(min(s.lim.MaxObjectBytes, math.MaxUint32)) {
		return 0, fault.Exhaustedf(at(), "has %d bytes, %d at most", size, s.lim.MaxObjectBytes)
	}
	return uint32(size), nil
}

// newSlab returns a slab that so many bytes fit in.
func (s *scanner) newSlab(size int) *slab {
	select {
	case b := <-s.free:
		if len(b.buf) >= size {
			b.n, b.items = 0, b.items[:0]
			return b
		}
	default:
	}
	return &slab{buf: make([]byte, max(size, slabBytes))}
}

// flush hands the slab on.
func (s *scanner) flush() error {
	if s.slab == nil {
		return nil
	}
	select {
	case s.full <- s.slab:
		s.slab = nil
		return nil
	case <-s.done:
		return context.Canceled
	}
}

// large goes through a blob or a delta piece by piece.
func (s *scanner) large(obj uint32, h head) error {
	at := func() string { return s.x.place(obj) }
	if h.kind.delta() {
		return s.largeDelta(obj, h, at)
	}
	s.hash.begin(h.kind, h.size)
	err := s.dec.Stream(s.in, h.size, func(b []byte) error {
		_, err := s.hash.Write(b)
		return err
	})
	if err != nil {
		return undecodable(at(), err)
	}
	if s.x.id[obj], err = s.hash.end(at()); err != nil {
		return err
	}
	return s.reg.add(obj)
}

func (s *scanner) largeDelta(obj uint32, h head, at func() string) error {
	var sizes []byte
	err := s.dec.Stream(s.in, h.size, func(b []byte) error {
		sizes = append(sizes, b[:min(len(b), 2*binary.MaxVarintLen64-len(sizes))]...)
		return nil
	})
	if err != nil {
		return undecodable(at(), err)
	}
	s.x.full[obj], err = s.resultSize(sizes, at)
	return err
}
