package intake

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"

	"github.com/ulikunitz/xz/lzma"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

// xzReader unpacks an xz file of one stream, in the form of "The .xz File Format", version 1.2.0. The container is read
// here and only the LZMA2 data by the library, because the library's own container reader reserves whatever window a block
// asks for, up to 4 GiB.
type xzReader struct {
	r      *bufio.Reader
	most   int64 // what the file may unpack to
	n      int64 // bytes read of the file
	newSum func() hash.Hash
	block  io.Reader // nil between blocks
	start  int64     // of the block
	sum    hash.Hash // of the block's content
	err    error
}

var xzChecks = map[byte]func() hash.Hash{
	0x01: func() hash.Hash { return crc32.NewIEEE() },
	0x04: func() hash.Hash { return crc64.New(crc64.MakeTable(crc64.ECMA)) },
	0x0a: sha256.New,
}

var errXZ = errors.New("malformed xz data")

const xzMagic = "\xfd7zXZ\x00"

func newXZReader(r io.Reader, most int64) (*xzReader, error) {
	x := &xzReader{most: most, r: bufio.NewReader(r)} // of the default size: a block's header has 1 KiB at most
	head, err := x.next(12)                           // magic, flags (2), CRC of the flags (4)
	if err != nil {
		return nil, err
	}
	flags := head[6:8]
	if string(head[:6]) != xzMagic || flags[0] != 0 || binary.LittleEndian.Uint32(head[8:]) != crc32.ChecksumIEEE(flags) {
		return nil, errXZ
	}
	x.newSum = xzChecks[flags[1]]
	if x.newSum == nil {
		return nil, fault.Invalidf("archive", "its xz data has no check, or one unknown").WithAdvice("pack with --check=crc64")
	}
	return x, nil
}

// Read unpacks block after block.
func (x *xzReader) Read(p []byte) (int, error) {
	for x.err == nil {
		if x.block == nil {
			x.err = x.openBlock()
			continue
		}
		n, err := x.block.Read(p)
		x.sum.Write(p[:n])
		if err == io.EOF {
			err = x.closeBlock()
		}
		x.err = err
		if n > 0 {
			return n, nil
		}
	}
	return 0, x.err
}

// openBlock reads the header of the next block; after the last one it returns io.EOF.
func (x *xzReader) openBlock() error {
	x.start = x.n
	first, err := x.r.Peek(1)
	if err != nil {
		return noEOF(err)
	}
	if first[0] == 0 {
		return x.tail()
	}
	h, err := x.next(4 * (int(first[0]) + 1))
	if err != nil {
		return err
	}
	body, sum := h[:len(h)-4], h[len(h)-4:]
	if binary.LittleEndian.Uint32(sum) != crc32.ChecksumIEEE(body) {
		return errXZ
	}
	window, err := x.window(body[1], body[2:])
	if err != nil {
		return err
	}
	x.sum = x.newSum()
	window = max(min(window, x.most), lzma.MinDictCap) // a window larger than the content is a waste
	x.block, err = lzma.Reader2Config{DictCap: int(window)}.NewReader2(readFunc(x.read))
	return err
}

const (
	xzFilterCount = 0x03 // how many filters there are beside the first
	xzHasPacked   = 0x40
	xzHasUnpacked = 0x80
	xzLZMA2       = 0x21
)

// window reads the rest of a block's header and returns the window that the block needs.
func (x *xzReader) window(flags byte, h []byte) (int64, error) {
	at := member("xz block", x.start)
	for _, has := range []byte{xzHasPacked, xzHasUnpacked} {
		if flags&has == 0 {
			continue
		}
		_, n := binary.Uvarint(h)
		if n <= 0 {
			return 0, errXZ
		}
		h = h[n:]
	}
	if flags&xzFilterCount != 0 || len(h) < 3 || h[0] != xzLZMA2 || h[1] != 1 {
		return 0, fault.Invalidf(at, "uses other filters than LZMA2 alone").WithAdvice("pack without filters for machine code")
	}
	window, err := lzma.DecodeDictCap(h[2])
	if err != nil {
		return 0, err
	}
	if window > maxWindow {
		return 0, fault.Exhaustedf(at, "needs a window of %d bytes, %d at most", window, maxWindow)
	}
	return window, nil
}

// closeBlock reads what follows a block's data, padding and check.
func (x *xzReader) closeBlock() error {
	pad, err := x.next(int(-(x.n - x.start) & 3))
	if err != nil {
		return err
	}
	if len(bytes.Trim(pad, "\x00")) != 0 {
		return errXZ
	}
	sum, err := x.next(x.sum.Size())
	if err != nil {
		return err
	}
	want := x.sum.Sum(nil)
	if x.sum.Size() < sha256.Size { // CRCs are stored with the low byte first
		for i, j := 0, len(want)-1; i < j; i, j = i+1, j-1 {
			want[i], want[j] = want[j], want[i]
		}
	}
	if !bytes.Equal(sum, want) {
		return errXZ
	}
	x.block = nil
	return nil
}

// tail reads the index and the footer, whose content says nothing new, and makes sure that they end the file.
func (x *xzReader) tail() error {
	if _, err := x.next(1); err != nil {
		return err
	}
	records, err := binary.ReadUvarint(readFunc(x.read))
	if err != nil {
		return noEOF(err)
	}
	for range records {
		for range 2 { // packed and unpacked size
			if _, err := binary.ReadUvarint(readFunc(x.read)); err != nil {
				return noEOF(err)
			}
		}
	}
	if _, err := x.next(int(-(x.n-x.start)&3) + 4 + 12); err != nil { // padding, CRC, footer
		return err
	}
	if _, err := x.r.Peek(1); err != io.EOF {
		return fault.Invalidf("archive", "something follows the xz stream at byte %d", x.n)
	}
	return io.EOF
}

// next returns the next n bytes, good until the next read.
func (x *xzReader) next(n int) ([]byte, error) {
	b, err := x.r.Peek(n)
	if err != nil {
		return nil, noEOF(err)
	}
	x.n += int64(n)
	_, err = x.r.Discard(n)
	return b, err
}

func (x *xzReader) read(p []byte) (int, error) {
	n, err := x.r.Read(p)
	x.n += int64(n)
	return n, err
}

// readFunc makes a reader of a function. It reads no byte ahead.
type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// ReadByte reads one byte.
func (f readFunc) ReadByte() (byte, error) {
	var b [1]byte
	_, err := io.ReadFull(f, b[:])
	return b[0], err
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
