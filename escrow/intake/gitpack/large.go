package gitpack

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

// applyLarge does what applyDelta does for contents of which some are in files, and computes the id on the way.
func applyLarge(d *files, base, delta content, kind code, full int64, at string) (content, ID, error) {
	a := &largeDelta{base: base, r: bufio.NewReaderSize(delta.reader(), 64<<10), left: full, hash: newHasher()}
	a.hash.begin(kind, full)
	c, err := a.into(d, kind, full, at)
	if err != nil {
		return content{}, ID{}, err
	}
	err = a.run()
	if err == nil {
		err = a.flush()
	}
	var form malformed
	if errors.As(err, &form) {
		err = fault.Invalidf(at, "%s", form)
	}
	var id ID
	if err == nil {
		id, err = a.hash.end(at)
	}
	if err != nil {
		return content{}, ID{}, errors.Join(err, c.remove())
	}
	return c, id, nil
}

type largeDelta struct {
	base  content
	r     *bufio.Reader
	w     io.Writer
	flush func() error
	left  int64 // bytes of the result that are still to be made
	hash  *hasher
}

// into prepares memory or a file for the result.
func (a *largeDelta) into(d *files, kind code, full int64, at string) (content, error) {
	if !isLarge(kind, full) {
		c := inMemory(make([]byte, full))
		a.w, a.flush = &fixed{c.b}, func() error { return nil }
		return c, nil
	}
	c, err := d.create(full, at)
	if err != nil {
		return c, err
	}
	w := bufio.NewWriterSize(c.f, 256<<10)
	a.w, a.flush = io.MultiWriter(w, a.hash), w.Flush
	return c, nil
}

// fixed writes to memory whose size suffices.
type fixed struct{ b []byte }

func (f *fixed) Write(p []byte) (int, error) {
	n := copy(f.b, p)
	f.b = f.b[n:]
	return n, nil
}

func (a *largeDelta) run() error {
	size, err := binary.ReadUvarint(a.r)
	if err != nil {
		return ended(err)
	}
	if size != uint64(a.base.size) {
		return errOtherBase
	}
	if size, err = binary.ReadUvarint(a.r); err != nil {
		return ended(err)
	}
	if size != uint64(a.left) {
		return errDelta
	}
	for {
		op, err := a.r.ReadByte()
		if err == io.EOF && a.left > 0 {
			return errShortDelta
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := a.step(op); err != nil {
			return err
		}
	}
}

// ended takes a delta that ends early for malformed.
func ended(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errDelta
	}
	return err
}

// step follows one instruction.
func (a *largeDelta) step(op byte) error {
	var from io.Reader = a.r
	n := int(op)
	if op&0x80 != 0 {
		var off int
		var err error
		if off, n, err = a.copyOp(op); err != nil {
			return err
		}
		if int64(off) > a.base.size || int64(n) > a.base.size-int64(off) {
			return errDelta
		}
		from = io.NewSectionReader(a.base.at(), int64(off), int64(n))
	}
	if n == 0 || int64(n) > a.left {
		return errDelta
	}
	a.left -= int64(n)
	_, err := io.CopyN(a.w, from, int64(n))
	return ended(err)
}

func (a *largeDelta) copyOp(op byte) (off, n int, err error) {
	const most = 7
	b, err := a.r.Peek(most)
	if err != nil && err != io.EOF {
		return 0, 0, err
	}
	off, n, rest, err := copyOp(op, b)
	if err != nil {
		return 0, 0, err
	}
	_, err = a.r.Discard(len(b) - len(rest))
	return off, n, err
}
