package fs

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
)

// A file, unfinished or whole, is a header and the blob's bytes. The header is the magic and the announced size in eight
// bytes, most significant first: so a file that lost its end is told from a shorter blob.
const magic = "CSBLOB1\n"

const headerBytes = int64(len(magic)) + 8

func header(size int64) []byte {
	return binary.BigEndian.AppendUint64([]byte(magic), uint64(size))
}

// readHeader returns the announced size.
func readHeader(r io.ReaderAt) (int64, error) {
	b := make([]byte, headerBytes)
	if _, err := r.ReadAt(b, 0); err != nil {
		return 0, fmt.Errorf("header: %w", err)
	}
	head, size := b[:len(magic)], int64(binary.BigEndian.Uint64(b[len(magic):]))
	if !bytes.Equal(head, []byte(magic)) || size < 0 {
		return 0, fmt.Errorf("header: not that of a blob")
	}
	return size, nil
}

// object is a blob open for reading.
type object struct {
	*io.SectionReader
	file *os.File
}

// newObject checks that a file has as many bytes as its header says.
func newObject(f *os.File) (*object, error) {
	size, err := readHeader(f)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if have := info.Size() - headerBytes; have != size {
		return nil, fmt.Errorf("%d bytes are there of %d", have, size)
	}
	return &object{SectionReader: io.NewSectionReader(f, headerBytes, size), file: f}, nil
}

func (o *object) Close() error { return o.file.Close() }

// durableBytes syncs an unfinished upload that a crash may have left behind, and returns how many bytes of the blob it
// has and how many were announced. A file without a good header has none of -1: its writer was cut off at once.
func durableBytes(f *os.File) (have, announced int64, err error) {
	if err := f.Sync(); err != nil {
		return 0, 0, err
	}
	announced, err = readHeader(f)
	if err != nil {
		return 0, -1, nil
	}
	info, err := f.Stat()
	if err != nil {
		return 0, 0, err
	}
	return min(info.Size()-headerBytes, announced), announced, nil
}
