package compare

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"
)

// Caps on what is believed of an ELF file's own account of itself.
const (
	maxSections = 1 << 14
	maxNames    = 1 << 20 // bytes of the section name table
	maxName     = 64
)

const sectionHasNoBytes = 8 // SHT_NOBITS

// layout names the parts of a file; it is empty for a file of unknown form.
type layout []part

type part struct {
	name string
	span
}

// place says in words where in the file an offset lies, by the smallest part that holds it.
func (l layout) place(off int64) string {
	best := -1
	for i, p := range l {
		if p.start <= off && off < p.end && (best < 0 || p.end-p.start < l[best].end-l[best].start) {
			best = i
		}
	}
	if best < 0 {
		return fmt.Sprintf("offset 0x%x", off)
	}
	return fmt.Sprintf("%s+0x%x", l[best].name, off-l[best].start)
}

// readLayout reads the section headers of an ELF file. Whatever does not fit gives an empty layout: a place in
// words helps people, and nothing is decided by it.
func readLayout(f File) layout {
	h, ok := readELFHeader(f)
	if !ok {
		return nil
	}
	l := layout{{"ELF header", span{0, h.size}}}
	table := h.sections(f)
	if table == nil {
		return l
	}
	l = append(l, part{"ELF section headers", span{h.shoff, h.shoff + int64(len(table))}})
	names := h.names(f, table)
	for i := 0; i < h.shnum; i++ {
		s := h.section(table, i)
		if s.kind != 0 && s.kind != sectionHasNoBytes && s.holds(f.Size) {
			l = append(l, part{"ELF section " + sectionName(names, s.name), span{s.off, s.off + s.size}})
		}
	}
	return l
}

// elfHeader is what is needed of an ELF file header. The form is that of the System V ABI, chapter 4.
type elfHeader struct {
	order    binary.ByteOrder
	wide     bool  // 64 bits
	size     int64 // of the header
	shoff    int64
	shnum    int
	shstrndx int
}

type elfSection struct {
	name, kind uint32
	off, size  int64
}

func (s elfSection) holds(fileSize int64) bool {
	return s.off >= 0 && s.size > 0 && s.off <= fileSize && s.size <= fileSize-s.off
}

func readELFHeader(f File) (elfHeader, bool) {
	b := make([]byte, 64)
	if f.Size < int64(len(b)) || readFull(f, b, 0) != nil || !bytes.HasPrefix(b, []byte("\x7fELF")) {
		return elfHeader{}, false
	}
	var h elfHeader
	switch b[5] {
	case 1:
		h.order = binary.LittleEndian
	case 2:
		h.order = binary.BigEndian
	default:
		return elfHeader{}, false
	}
	var tail []byte // e_shentsize, e_shnum, e_shstrndx
	switch b[4] {
	case 1:
		h.size, h.shoff, tail = 52, int64(h.order.Uint32(b[32:])), b[46:52]
	case 2:
		h.wide = true
		h.size, h.shoff, tail = 64, int64(h.order.Uint64(b[40:])), b[58:64]
	default:
		return elfHeader{}, false
	}
	h.shnum, h.shstrndx = int(h.order.Uint16(tail[2:])), int(h.order.Uint16(tail[4:]))
	return h, int64(h.order.Uint16(tail)) == h.entrySize()
}

func (h *elfHeader) entrySize() int64 {
	if h.wide {
		return 64
	}
	return 40
}

// sections returns the bytes of the section header table, nil if there is none or it does not fit.
func (h *elfHeader) sections(f File) []byte {
	if h.shnum > maxSections {
		return nil
	}
	return readPart(f, h.shoff, int64(h.shnum)*h.entrySize())
}

func (h *elfHeader) section(table []byte, i int) elfSection {
	b := table[int64(i)*h.entrySize():]
	s := elfSection{name: h.order.Uint32(b), kind: h.order.Uint32(b[4:])}
	if h.wide {
		s.off, s.size = int64(h.order.Uint64(b[24:])), int64(h.order.Uint64(b[32:]))
	} else {
		s.off, s.size = int64(h.order.Uint32(b[16:])), int64(h.order.Uint32(b[20:]))
	}
	return s
}

func (h *elfHeader) names(f File, table []byte) []byte {
	if h.shstrndx >= h.shnum {
		return nil
	}
	s := h.section(table, h.shstrndx)
	return readPart(f, s.off, min(s.size, maxNames))
}

func readPart(f File, off, size int64) []byte {
	if !(elfSection{off: off, size: size}).holds(f.Size) {
		return nil
	}
	b := make([]byte, size)
	if readFull(f, b, off) != nil {
		return nil
	}
	return b
}

// sectionName returns the name at that place of the table, quoted where it could disturb a terminal.
func sectionName(names []byte, at uint32) string {
	if int64(at) >= int64(len(names)) {
		return "?"
	}
	b := names[at:]
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	b = b[:min(len(b), maxName)]
	if q := strconv.QuoteToASCII(string(b)); q[1:len(q)-1] != string(b) {
		return q
	}
	return string(b)
}
