package authenticode

import (
	"context"
	"crypto"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

// layout is where the parts of a PE file lie that the hash of its image leaves out (Windows Authenticode Portable Executable Signature
// Format, "Calculating the PE Image Hash").
type layout struct {
	size     int64
	checksum int64 // 4 bytes
	entry    int64 // of the certificate table in the optional header, 8 bytes
	table    span
}

type span struct{ offset, size int64 }

// readError is a failure to read the file, which says nothing about its signatures.
type readError struct{ err error }

func (e *readError) Error() string { return e.err.Error() }
func (e *readError) Unwrap() error { return e.err }

func broken(err error) error {
	var failure *readError
	if errors.As(err, &failure) {
		return failure.err
	}
	return nil
}

const (
	peOffset      = 0x3c // of the place of the PE header, in the DOS header
	coffHeader    = 24   // with its signature "PE\0\0"
	checksumAt    = 64   // in the optional header
	directories32 = 96
	directories64 = 112
	sectionHeader = 40
	certificates  = 4 // number of the directory
)

// readLayout reads headers. Where a file has a certificate table, that is in the layout, also beside an error.
func readLayout(r io.ReaderAt, size int64) (*layout, error) {
	dos, err := readAt(r, size, 0, 64)
	if err != nil {
		return nil, err
	}
	if string(dos[:2]) != "MZ" {
		return nil, errors.New("does not begin with MZ")
	}
	at := int64(binary.LittleEndian.Uint32(dos[peOffset:]))
	if at > maxHeader {
		return nil, fmt.Errorf("its PE header begins at byte %d, %d at most", at, maxHeader)
	}
	coff, err := readAt(r, size, at, coffHeader)
	if err != nil {
		return nil, err
	}
	if string(coff[:4]) != "PE\x00\x00" {
		return nil, fmt.Errorf("byte %d: there is no PE header", at)
	}
	optional, err := readAt(r, size, at+coffHeader, int64(binary.LittleEndian.Uint16(coff[20:])))
	if err != nil {
		return nil, err
	}
	l, err := locate(optional, at+coffHeader, size)
	if err != nil || l.table.size == 0 {
		return l, err
	}
	return l, l.checkSections(r, at+coffHeader+int64(len(optional)), int64(binary.LittleEndian.Uint16(coff[6:])))
}

// checkSections makes sure that nothing that is loaded lies in the certificate table, which the hash leaves out.
func (l *layout) checkSections(r io.ReaderAt, at, n int64) error {
	b, err := readAt(r, l.size, at, n*sectionHeader)
	if err != nil {
		return err
	}
	for ; len(b) > 0; b = b[sectionHeader:] {
		size, offset := int64(binary.LittleEndian.Uint32(b[16:])), int64(binary.LittleEndian.Uint32(b[20:]))
		if size > 0 && offset+size > l.table.offset {
			return fmt.Errorf("its section %.20q is bytes %d to %d, and its certificate table begins at %d", b[:8], offset, offset+size, l.table.offset)
		}
	}
	return nil
}

func locate(optional []byte, at, size int64) (*layout, error) {
	if len(optional) < 2 {
		return nil, errors.New("has no optional header")
	}
	directories := 0
	switch binary.LittleEndian.Uint16(optional) {
	case 0x10b:
		directories = directories32
	case 0x20b:
		directories = directories64
	default:
		return nil, fmt.Errorf("byte %d: its optional header is neither PE32 nor PE32+", at)
	}
	l := &layout{size: size, checksum: at + checksumAt}
	place := directories + 8*certificates
	if len(optional) < place+8 || binary.LittleEndian.Uint32(optional[directories-4:]) <= certificates {
		return l, nil // no room for a certificate table
	}
	l.entry = at + int64(place)
	l.table = span{int64(binary.LittleEndian.Uint32(optional[place:])), int64(binary.LittleEndian.Uint32(optional[place+4:]))}
	if l.table.size == 0 {
		return l, nil
	}
	return l, l.checkTable()
}

// checkTable makes sure that nothing but the table escapes the hash: it lies behind the headers and ends with the file.
func (l *layout) checkTable() error {
	t := l.table
	switch {
	case t.size > maxTable:
		return fmt.Errorf("its certificate table has %d bytes, %d at most", t.size, maxTable)
	case t.offset%8 != 0:
		return fmt.Errorf("its certificate table begins at byte %d, which is no multiple of 8", t.offset)
	case t.offset < l.entry+8:
		return fmt.Errorf("its certificate table begins at byte %d, inside its headers", t.offset)
	case t.offset+t.size != l.size:
		return fmt.Errorf("its certificate table is bytes %d to %d, and the file has %d: what lies behind the table would be signed by nobody",
			t.offset, t.offset+t.size, l.size)
	}
	return nil
}

func readAt(r io.ReaderAt, size, at, n int64) ([]byte, error) {
	if at < 0 || at+n > size {
		return nil, fmt.Errorf("ends at byte %d, inside its headers", size)
	}
	b := make([]byte, n)
	if got, err := r.ReadAt(b, at); int64(got) < n {
		return nil, &readError{err}
	}
	return b, nil
}

func (l *layout) readTable(r io.ReaderAt) ([]byte, error) {
	if l.table.size == 0 {
		return nil, errors.New("has no certificate table: it is not signed")
	}
	return readAt(r, l.size, l.table.offset, l.table.size)
}

func (l *layout) scope() string {
	return fmt.Sprintf("the PE image less its signature (%d of %d bytes)", l.size-l.table.size-4-8, l.size)
}

// digests hashes the image once by every algorithm that signatures use.
func (l *layout) digests(ctx context.Context, of proof.File, signatures []*signature) (map[crypto.Hash][]byte, error) {
	hashes := map[crypto.Hash]hash.Hash{}
	var all []io.Writer
	for _, s := range signatures {
		if s.problem == "" && hashes[s.hash] == nil {
			hashes[s.hash] = s.hash.New()
			all = append(all, hashes[s.hash])
		}
	}
	if len(all) > 0 {
		if err := of.Read(ctx, func(r io.Reader) error { return l.image(r, io.MultiWriter(all...)) }); err != nil {
			return nil, &readError{err}
		}
	}
	sums := map[crypto.Hash][]byte{}
	for h, w := range hashes {
		sums[h] = w.Sum(nil)
	}
	return sums, nil
}

// image copies what the hash covers, in its order.
func (l *layout) image(r io.Reader, w io.Writer) error {
	parts := []struct {
		to   io.Writer
		upTo int64
	}{{w, l.checksum}, {io.Discard, l.checksum + 4}, {w, l.entry}, {io.Discard, l.entry + 8}, {w, l.table.offset}}
	at := int64(0)
	for _, p := range parts {
		n, err := io.CopyN(p.to, r, p.upTo-at)
		if err != nil {
			return err
		}
		at += n
	}
	return nil
}
