package intake

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"io"
	"slices"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

// zipMember is where a member lies by the central directory, and under what name.
type zipMember struct {
	name   string
	start  int64 // of its local header
	packed int64
	method uint16
	head   [12]byte // check sum and sizes as in the directory's record
}

// The fixed parts of the records of a zip file, as in PKWARE's APPNOTE 6.3, section 4.3. The first four bytes are the signature.
const (
	zipLocalLen     = 30
	zipCentralLen   = 46
	zipEndLen       = 22
	zipEnd64Len     = 56
	zipLocatorLen   = 20
	zipLocalMark    = "PK\x03\x04"
	zipCentralMark  = "PK\x01\x02"
	zipEndMark      = "PK\x05\x06"
	zipEnd64Mark    = "PK\x06\x06"
	zipLocatorMark  = "PK\x06\x07"
	zipMaxComment   = 1<<16 - 1
	zipExtra64      = 0x0001
	zipExtraPath    = 0x7075 // Info-ZIP's other name of a member, which some programs take in place of the first
	zipDescriptor   = 0x0008 // flag: check sum and sizes follow the content
	zipNeeds64      = 1<<32 - 1
	zipNeeds64Count = 1<<16 - 1

	zipMemberMost     = 512     // bytes of the directory for each member, on average: all are held in memory
	zipDirectorySlack = 1 << 20 // and for a few large ones
)

// readZipDirectory reads the central directory before archive/zip does, to cap it and to learn where the members begin, which
// archive/zip does not tell.
func readZipDirectory(src *source, lim Limits) ([]zipMember, error) {
	dir, count, err := findZipDirectory(src)
	if err != nil {
		return nil, err
	}
	if count > lim.MaxFiles {
		return nil, fault.Exhaustedf("zip directory", "lists %d members, %d at most", count, lim.MaxFiles)
	}
	if most := zipDirectorySlack + count*zipMemberMost; dir.Size() > most {
		return nil, fault.Exhaustedf("zip directory", "has %d bytes for %d members, %d at most", dir.Size(), count, most)
	}
	r := bufio.NewReader(dir)
	var members []zipMember
	for {
		m, err := readZipMember(r)
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		if members = append(members, m); int64(len(members)) > count {
			break
		}
	}
	if int64(len(members)) != count {
		return nil, fault.Invalidf("zip directory", "announces %d members and lists others", count)
	}
	return members, nil
}

// findZipDirectory finds the central directory by the record that ends the file. The directory must lie right before that
// record: then everybody finds the same one.
func findZipDirectory(src *source) (*io.SectionReader, int64, error) {
	tail := make([]byte, min(src.size, zipEndLen+zipMaxComment))
	if err := readFull(src, tail, src.size-int64(len(tail))); err != nil {
		return nil, 0, err
	}
	i := bytes.LastIndex(tail, []byte(zipEndMark))
	if i < 0 || len(tail)-i < zipEndLen {
		return nil, 0, fault.Invalidf("zip directory", "is missing")
	}
	end := tail[i:]
	if comment := int(binary.LittleEndian.Uint16(end[20:])); zipEndLen+comment != len(end) {
		return nil, 0, fault.Invalidf("zip directory", "something follows it, or its comment holds a second end")
	}
	count := uint64(binary.LittleEndian.Uint16(end[10:]))
	size, offset := uint64(binary.LittleEndian.Uint32(end[12:])), uint64(binary.LittleEndian.Uint32(end[16:]))
	limit := src.size - int64(len(end))
	if count == zipNeeds64Count || size == zipNeeds64 || offset == zipNeeds64 {
		end64, at, err := readZipEnd64(src, limit)
		if err != nil {
			return nil, 0, err
		}
		limit = at
		count, size, offset = binary.LittleEndian.Uint64(end64[32:]), binary.LittleEndian.Uint64(end64[40:]), binary.LittleEndian.Uint64(end64[48:])
	}
	if size > uint64(limit) || offset != uint64(limit)-size || count > size/zipCentralLen {
		return nil, 0, fault.Invalidf("zip directory", "does not lie where the end of the archive says")
	}
	return io.NewSectionReader(src, int64(offset), int64(size)), int64(count), nil
}

// readZipEnd64 reads the record of large archives and its place; end is where the record of all archives begins.
func readZipEnd64(src *source, end int64) ([]byte, int64, error) {
	locator := make([]byte, zipLocatorLen)
	if err := readFull(src, locator, end-zipLocatorLen); err != nil {
		return nil, 0, err
	}
	at := end - zipLocatorLen - zipEnd64Len
	if string(locator[:4]) != zipLocatorMark || at < 0 || binary.LittleEndian.Uint64(locator[8:]) != uint64(at) {
		return nil, 0, fault.Invalidf("zip directory", "its 64-bit end is not where it should be")
	}
	record := make([]byte, zipEnd64Len)
	if err := readFull(src, record, at); err != nil {
		return nil, 0, err
	}
	if string(record[:4]) != zipEnd64Mark {
		return nil, 0, fault.Invalidf("zip directory", "its 64-bit end is not where it should be")
	}
	return record, at, nil
}

func readZipMember(r io.Reader) (zipMember, error) {
	var h [zipCentralLen]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return zipMember{}, err
	}
	if string(h[:4]) != zipCentralMark {
		return zipMember{}, fault.Invalidf("zip directory", "holds something else than members")
	}
	n, extra, comment := int(binary.LittleEndian.Uint16(h[28:])), int(binary.LittleEndian.Uint16(h[30:])), int(binary.LittleEndian.Uint16(h[32:]))
	rest := make([]byte, n+extra+comment)
	if _, err := io.ReadFull(r, rest); err != nil {
		return zipMember{}, noEOF(err)
	}
	m := zipMember{name: string(rest[:n]), method: binary.LittleEndian.Uint16(h[10:]), head: [12]byte(h[16:28])}
	if other := zipExtra(rest[n:n+extra], zipExtraPath); len(other) > 5 && string(other[5:]) != m.name {
		return zipMember{}, fault.Invalidf(member(m.name, -1), "has %.200q as a second name", other[5:])
	}
	packed, unpacked, start := binary.LittleEndian.Uint32(h[20:]), binary.LittleEndian.Uint32(h[24:]), binary.LittleEndian.Uint32(h[42:])
	m.packed, m.start = int64(packed), int64(start)
	wide := zipExtra(rest[n:n+extra], zipExtra64)
	if unpacked == zipNeeds64 {
		_, wide = takeUint64(wide)
	}
	if packed == zipNeeds64 {
		m.packed, wide = takeUint64(wide)
	}
	if start == zipNeeds64 {
		m.start, _ = takeUint64(wide)
	}
	if m.packed < 0 || m.start < 0 {
		return zipMember{}, fault.Invalidf(member(m.name, -1), "has a malformed 64-bit field")
	}
	return m, nil
}

// zipExtra returns the body of the first extra field with that tag.
func zipExtra(b []byte, tag uint16) []byte {
	for len(b) >= 4 {
		n := int(binary.LittleEndian.Uint16(b[2:]))
		if n > len(b)-4 {
			return nil
		}
		if binary.LittleEndian.Uint16(b) == tag {
			return b[4 : 4+n]
		}
		b = b[4+n:]
	}
	return nil
}

// takeUint64 returns the number at the start of b and the rest, -1 where b is too short.
func takeUint64(b []byte) (int64, []byte) {
	if len(b) < 8 {
		return -1, nil
	}
	return int64(binary.LittleEndian.Uint64(b)), b[8:]
}

// checkZipLayout refuses members that share bytes and members whose own header tells another name than the directory:
// either means that two programs may read two different trees.
func checkZipLayout(src *source, members []zipMember, at []string) error {
	order := make([]int, len(members))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(members[a].start, members[b].start) })
	var end int64
	for _, i := range order {
		m := members[i]
		if m.start < end {
			return fault.Invalidf(at[i], "shares bytes with another member")
		}
		headLen, err := checkZipLocal(src, m, at[i])
		if err != nil {
			return err
		}
		if m.packed > src.size-m.start-headLen {
			return fault.Invalidf(at[i], "ends behind the archive's end")
		}
		end = m.start + headLen + m.packed
	}
	return nil
}

// checkZipLocal reads the header that stands before a member's content and returns its length.
func checkZipLocal(src *source, m zipMember, at string) (int64, error) {
	h := make([]byte, zipLocalLen+len(m.name))
	if m.start > src.size-int64(len(h)) {
		return 0, fault.Invalidf(at, "begins behind the archive's end")
	}
	if err := readFull(src, h, m.start); err != nil {
		return 0, err
	}
	n, extra := int(binary.LittleEndian.Uint16(h[26:])), int64(binary.LittleEndian.Uint16(h[28:]))
	if string(h[:4]) != zipLocalMark || n != len(m.name) || string(h[zipLocalLen:]) != m.name {
		return 0, fault.Invalidf(at, "its own header does not have the name that the directory gives")
	}
	if !m.agrees(h) {
		return 0, fault.Invalidf(at, "its own header tells another method, check sum or size than the directory")
	}
	return int64(len(h)) + extra, nil
}

// agrees says whether a member's own header has what the directory says of its content. Sizes of 4 GiB and more stand elsewhere
// in the two.
func (m zipMember) agrees(h []byte) bool {
	if binary.LittleEndian.Uint16(h[8:]) != m.method {
		return false
	}
	if binary.LittleEndian.Uint16(h[6:])&zipDescriptor != 0 {
		return true
	}
	for i := 0; i < len(m.head); i += 4 {
		here, there := binary.LittleEndian.Uint32(h[14+i:]), binary.LittleEndian.Uint32(m.head[i:])
		if here != there && here != zipNeeds64 && there != zipNeeds64 {
			return false
		}
	}
	return true
}

// readFull reads all of p at off.
func readFull(r io.ReaderAt, p []byte, off int64) error {
	if off < 0 {
		return io.ErrUnexpectedEOF
	}
	n, err := r.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	return noEOF(err)
}
