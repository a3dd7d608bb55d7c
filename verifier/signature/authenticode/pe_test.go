package authenticode_test

import (
	"bytes"
	"encoding/binary"
)

// program makes a PE file that does nothing: headers, and one section of so many bytes.
func program(wide bool, size int) []byte {
	const peAt, raw = 0x80, 0x200
	optional := 96 + 16*8
	machine, magic := uint16(0x14c), uint16(0x10b)
	if wide {
		optional, machine, magic = 112+16*8, 0x8664, 0x20b
	}
	size = (size + 511) &^ 511
	b := make([]byte, raw+size)
	copy(b, "MZ")
	put32 := func(at int, v uint32) { binary.LittleEndian.PutUint32(b[at:], v) }
	put16 := func(at int, v uint16) { binary.LittleEndian.PutUint16(b[at:], v) }
	put32(0x3c, peAt)
	copy(b[peAt:], "PE\x00\x00")
	put16(peAt+4, machine)
	put16(peAt+6, 1) // sections
	put16(peAt+20, uint16(optional))
	put16(peAt+22, 0x0102)
	at := peAt + 24
	put16(at, magic)
	put32(at+16, 0x1000)
	put32(at+32, 0x1000) // section alignment
	put32(at+36, 0x200)  // file alignment
	put32(at+56, 0x1000+uint32(size))
	put32(at+60, raw)
	put16(at+68, 3)               // console
	put32(at+optional-16*8-4, 16) // directories
	section := at + optional
	copy(b[section:], ".text")
	put32(section+8, uint32(size))
	put32(section+12, 0x1000)
	put32(section+16, uint32(size))
	put32(section+20, raw)
	copy(b[raw:], bytes.Repeat([]byte("countersign "), size/12))
	return b
}

// tableAt returns where a file says that its certificate table is.
func tableAt(b []byte) (directory, offset, size int) {
	at := int(binary.LittleEndian.Uint32(b[0x3c:])) + 24
	directory = at + 96 + 32
	if binary.LittleEndian.Uint16(b[at:]) == 0x20b {
		directory = at + 112 + 32
	}
	return directory, int(binary.LittleEndian.Uint32(b[directory:])), int(binary.LittleEndian.Uint32(b[directory+4:]))
}
