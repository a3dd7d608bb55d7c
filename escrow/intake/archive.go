package intake

import (
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

// openArchive opens a tar archive (plain, or compressed with gzip, bzip2, xz or zstd) or a zip archive, told by its content.
func openArchive(src *source, lim Limits, opts options) (Tree, error) {
	if err := lim.check(); err != nil {
		return nil, err
	}
	head := make([]byte, 8)
	n, err := src.ReadAt(head[:min(src.size, int64(len(head)))], 0)
	if err != nil && err != io.EOF {
		return nil, err
	}
	head = head[:n]
	if bytes.HasPrefix(head, []byte("PK\x03\x04")) || bytes.HasPrefix(head, []byte("PK\x05\x06")) {
		return openZip(src, lim, opts)
	}
	for _, c := range compressions {
		if bytes.HasPrefix(head, []byte(c.magic)) {
			return &tarTree{src: src, lim: lim, opts: opts, open: c.open}, nil
		}
	}
	return &tarTree{src: src, lim: lim, opts: opts, open: plain}, nil
}

// opener returns the tar stream inside the file and how to let go of it.
type opener func(*source, Limits) (stream io.Reader, done func(), err error)

var compressions = []struct {
	magic string
	open  opener
}{
	{"\x1f\x8b", openGzip},
	{"BZh", openBzip2},
	{xzMagic, openXZ},
	{"\x28\xb5\x2f\xfd", openZstd},
}

func plain(src *source, _ Limits) (io.Reader, func(), error) { return src.reader(), func() {}, nil }

func openGzip(src *source, _ Limits) (io.Reader, func(), error) {
	r, err := gzip.NewReader(src.reader())
	return r, func() {}, err
}

func openBzip2(src *source, _ Limits) (io.Reader, func(), error) {
	return bzip2.NewReader(src.reader()), func() {}, nil
}

func openXZ(src *source, lim Limits) (io.Reader, func(), error) {
	r, err := newXZReader(src.reader(), lim.fromRatio(src.size))
	return r, func() {}, err
}

func openZstd(src *source, _ Limits) (io.Reader, func(), error) {
	r, err := zstd.NewReader(src.reader(), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return nil, nil, err
	}
	return r, r.Close, nil
}

// meter counts what a decompressor yields and stops it where it yields more than the source may.
type meter struct {
	r   io.Reader
	n   int64
	at  string // what is being read, for errors
	src *source
	lim Limits
}

func (m *meter) Read(p []byte) (n int, err error) {
	defer func() {
		if r := recover(); r != nil { // in a decompressor, by hostile bytes
			err = fault.Invalidf(m.at, "makes the decompressor fail: %v", r)
		}
	}()
	n, err = m.r.Read(p)
	m.n += int64(n)
	if m.n > m.lim.tarStream() {
		return 0, fault.Exhaustedf(m.at, "the archive unpacks to more than %d bytes", m.lim.tarStream())
	}
	if m.n > m.lim.fromRatio(m.src.size) {
		return 0, overRatio(m.at, m.lim)
	}
	return n, err
}
