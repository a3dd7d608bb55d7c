// Package inflate decompresses zlib streams (RFC 1950, RFC 1951) that lie one behind another in a file and whose inflated sizes are known,
// as in git packs: at each stream's end it knows exactly where the next one begins. It knows nothing of git.
package inflate

import (
	"errors"
	"io"
)

// ErrCut says that the input ends in the middle of a stream.
var ErrCut = errors.New("the data ends early")

const (
	padding = 64 // zeros behind the end of the input, so that the decoder looks for the end rarely
	ahead   = 16 // bytes that the decoder may load between two looks
	keep    = 8  // bytes that it may give back
	minimum = 4 << 10
)

// Input is a range of a file, read through a buffer.
type Input struct {
	src  io.ReaderAt
	off  int64 // of buf[0] in src
	end  int64 // of the range in src
	buf  []byte
	r, w int // read up to, filled up to; behind w are zeros where the range has ended
	safe int // up to where ahead bytes can be loaded
}

// NewInput returns an empty input with a buffer of that many bytes, 4 KiB at least.
func NewInput(src io.ReaderAt, buffer int) *Input {
	in := &Input{src: src, buf: make([]byte, max(buffer, minimum)+padding)}
	in.Section(0, 0)
	return in
}

// Section makes the input begin at off and end before end.
func (in *Input) Section(off, end int64) {
	in.off, in.end, in.r, in.w = off, end, 0, 0
	in.safe = -1
}

// Offset returns where in the file the next byte is.
func (in *Input) Offset() int64 { return in.off + int64(in.r) }

// fill makes room and reads on. Once the range has ended there are zeros behind it; who has used them up gets ErrCut.
func (in *Input) fill() error {
	if in.off+int64(in.w) >= in.end && in.r > in.w {
		return ErrCut
	}
	from := max(0, min(in.r, in.w)-keep)
	in.w = copy(in.buf, in.buf[from:in.w])
	in.r -= from
	in.off += int64(from)
	want := min(int64(len(in.buf)-padding-in.w), in.end-in.off-int64(in.w))
	if want > 0 {
		n, err := in.src.ReadAt(in.buf[in.w:in.w+int(want)], in.off+int64(in.w))
		in.w += n
		switch {
		case n == int(want):
		case err == io.EOF || err == nil:
			in.end = in.off + int64(in.w)
		default:
			return err
		}
	}
	in.safe = in.w - ahead
	if in.off+int64(in.w) >= in.end {
		clear(in.buf[in.w : in.w+padding])
		in.safe = in.w + padding - ahead
	}
	return nil
}

// ReadByte returns the next byte, or ErrCut.
func (in *Input) ReadByte() (byte, error) {
	if in.r >= in.w {
		if err := in.fill(); err != nil {
			return 0, err
		}
		if in.r >= in.w {
			return 0, ErrCut
		}
	}
	b := in.buf[in.r]
	in.r++
	return b, nil
}

// ReadFull fills p, or returns ErrCut.
func (in *Input) ReadFull(p []byte) error {
	for len(p) > 0 {
		n := copy(p, in.buf[min(in.r, in.w):in.w])
		in.r += n
		p = p[n:]
		if len(p) == 0 {
			return nil
		}
		b, err := in.ReadByte()
		if err != nil {
			return err
		}
		p[0] = b
		p = p[1:]
	}
	return nil
}
