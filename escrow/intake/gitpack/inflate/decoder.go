package inflate

import (
	"encoding/binary"
	"errors"
	"hash/adler32"
)

// What can be wrong with a stream.
var (
	ErrFormat   = errors.New("it is no zlib stream, or a damaged one")
	ErrLonger   = errors.New("it inflates to more than announced")
	ErrShorter  = errors.New("it inflates to less than announced")
	ErrChecksum = errors.New("its Adler-32 checksum is wrong")
)

// Slack is how many bytes behind its result the decoder may write to.
const Slack = 288

const window = 32 << 10 // as far as a distance reaches

// Decoder inflates one stream after another. It keeps its tables, about 30 KiB, for reuse; its zero value is ready.
type Decoder struct {
	in     *Input
	bits   uint64 // not yet used, from the lowest
	n      uint   // how many of them, modulo 64
	out    []byte // with Slack bytes behind limit
	o      int    // written so far
	limit  int    // stop once more than this is written
	last   bool   // whether this block is the stream's last
	state  state
	stored int // bytes of a stored block that are still to come

	lit, dist, order table
	fixed            bool // whether lit and dist are the fixed ones
	lengths          [litSymbols + dstSymbols]uint8
}

type state uint8

const (
	atBlock state = iota // a block begins
	inStored
	inCodes
	atEnd
)

// Inflate reads a stream whose result has size bytes into dst, which has Slack bytes more than that, and leaves in behind the stream.
// It returns the stream's checksum as announced, for Check.
func (d *Decoder) Inflate(in *Input, dst []byte, size int) (adler uint32, err error) {
	if err := d.begin(in); err != nil {
		return 0, err
	}
	d.out, d.o, d.limit = dst[:size+Slack], 0, size
	err = d.run()
	d.out = nil
	switch {
	case err != nil:
		return 0, err
	case d.o > size:
		return 0, ErrLonger
	case d.o < size:
		return 0, ErrShorter
	}
	return d.finish()
}

// Check compares content with the checksum that Inflate returned.
func Check(content []byte, adler uint32) error {
	if adler32.Checksum(content) != adler {
		return ErrChecksum
	}
	return nil
}

// Stream reads a stream whose result has size bytes, gives it to emit piece by piece, and checks the checksum. Emit must not keep a piece.
func (d *Decoder) Stream(in *Input, size int64, emit func([]byte) error) error {
	if err := d.begin(in); err != nil {
		return err
	}
	const piece = 128 << 10
	sum := adler32.New()
	d.out, d.o, d.limit = make([]byte, window+piece+Slack), 0, window+piece
	from, total := 0, int64(0)
	for d.state != atEnd {
		if err := d.run(); err != nil {
			return err
		}
		if total += int64(d.o - from); total > size {
			return ErrLonger
		}
		sum.Write(d.out[from:d.o])
		if err := emit(d.out[from:d.o]); err != nil {
			return err
		}
		from = copy(d.out, d.out[max(0, d.o-window):d.o])
		d.o = from
	}
	if total < size {
		return ErrShorter
	}
	want, err := d.finish()
	if err == nil && sum.Sum32() != want {
		err = ErrChecksum
	}
	return err
}

// begin reads the zlib header.
func (d *Decoder) begin(in *Input) error {
	var head [2]byte
	if err := in.ReadFull(head[:]); err != nil {
		return err
	}
	const deflate, largestWindow, dictionary = 8, 7, 0x20
	if head[0]&15 != deflate || head[0]>>4 > largestWindow || head[1]&dictionary != 0 || binary.BigEndian.Uint16(head[:])%31 != 0 {
		return ErrFormat
	}
	d.in, d.bits, d.n, d.last, d.state = in, 0, 0, false, atBlock
	return nil
}

// finish gives back what was loaded and not used, and reads the checksum.
func (d *Decoder) finish() (uint32, error) {
	d.giveBack()
	in := d.in
	d.in = nil
	if in.r > in.w {
		return 0, ErrCut
	}
	var sum [4]byte
	if err := in.ReadFull(sum[:]); err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint32(sum[:]), nil
}

// giveBack returns whole bytes to the input, and drops the rest of the present one.
func (d *Decoder) giveBack() {
	d.in.r -= int(d.n >> 3)
	d.bits, d.n = 0, 0
}

// run goes on until the stream ends or more than limit bytes are written.
func (d *Decoder) run() error {
	for d.o <= d.limit {
		var err error
		switch d.state {
		case atBlock:
			err = d.block()
		case inStored:
			err = d.copyStored()
		case inCodes:
			err = d.codes()
		case atEnd:
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// need makes sure that at least 48 bits are there.
func (d *Decoder) need() error {
	if d.in.r > d.in.safe {
		if err := d.in.fill(); err != nil {
			return err
		}
	}
	d.bits |= binary.LittleEndian.Uint64(d.in.buf[d.in.r:]) << (d.n & 63)
	d.in.r += int((63 - d.n) >> 3)
	d.n |= 56
	return nil
}

// take returns the next n bits, which are there.
func (d *Decoder) take(n uint) uint {
	v := uint(d.bits & (1<<n - 1))
	d.bits >>= n
	d.n -= n
	return v
}

// block reads the header of a block.
func (d *Decoder) block() error {
	if d.last {
		d.state = atEnd
		return nil
	}
	if err := d.need(); err != nil {
		return err
	}
	d.last = d.take(1) == 1
	switch d.take(2) {
	case 0:
		return d.storedHeader()
	case 1:
		d.useFixed()
	case 2:
		if err := d.readTables(); err != nil {
			return err
		}
	default:
		return ErrFormat
	}
	d.state = inCodes
	return nil
}

func (d *Decoder) storedHeader() error {
	d.giveBack()
	if d.in.r > d.in.w {
		return ErrCut
	}
	var head [4]byte
	if err := d.in.ReadFull(head[:]); err != nil {
		return err
	}
	n := binary.LittleEndian.Uint16(head[:])
	if n != ^binary.LittleEndian.Uint16(head[2:]) {
		return ErrFormat
	}
	d.stored, d.state = int(n), inStored
	return nil
}

func (d *Decoder) copyStored() error {
	n := min(d.stored, d.limit+1-d.o)
	if err := d.in.ReadFull(d.out[d.o : d.o+n]); err != nil {
		return err
	}
	d.o += n
	if d.stored -= n; d.stored == 0 {
		d.state = atBlock
	}
	return nil
}
