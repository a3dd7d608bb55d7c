package inflate

import "math/bits"

// An entry of a decoding table says what the bits at hand mean.
//
//	bits 0–7    bits to take: the code and, of a length or a distance, the bits that follow it
//	bits 8–11   of a length or a distance: the bits of the code; of a link: the bits that index the second table
//	bit  13     end of the block
//	bit  14     link to a second table
//	bit  15     none of: literal, length, distance. Without bits 13 and 14: an invalid code
//	bits 16–30  the literal, the smallest length or distance, or where the second table begins
//	bit  31     literal
type entry = uint32

const (
	isLiteral entry = 1 << 31
	isSpecial entry = 1 << 15
	isLink    entry = 1 << 14
	isEnd     entry = 1 << 13
	invalid         = isSpecial
)

const (
	maxCode    = 15 // bits of a code
	mainBits   = 10 // bits that index the table of literals and lengths; longer codes go on in second tables
	distBits   = 8
	tableSize  = 2048 // more than the 1334 entries that 288 symbols need with mainBits, and the 402 that 32 need with distBits
	litSymbols = 288
	dstSymbols = 32
)

// table is a decoding table with its second tables behind it.
type table struct {
	e    [tableSize]entry
	mask uint64 // of the first table's index
	few  bool   // whether there are invalid codes, because there is one symbol or none
}

func lengthEntry(sym int) entry {
	switch {
	case sym < 256:
		return isLiteral | entry(sym)<<16
	case sym == 256:
		return isSpecial | isEnd
	case sym < 265:
		return entry(sym-254) << 16
	case sym < 285:
		extra := (sym - 261) / 4
		return entry(3+(4+(sym-265)%4)<<extra)<<16 | entry(extra)
	case sym == 285:
		return 258 << 16
	default:
		return invalid
	}
}

func distanceEntry(sym int) entry {
	switch {
	case sym < 4:
		return entry(sym+1) << 16
	case sym < 30:
		extra := (sym - 2) / 2
		return entry(1+(2+sym%2)<<extra)<<16 | entry(extra)
	default:
		return invalid
	}
}

func orderEntry(sym int) entry { return entry(sym) << 16 }

// symbols holds what the symbols of the three alphabets mean; the code's bits are added when a table is made.
var literals, distances, orders = func() (l [litSymbols]entry, d [dstSymbols]entry, o [19]entry) {
	for i := range l {
		l[i] = lengthEntry(i)
	}
	for i := range d {
		d[i] = distanceEntry(i)
	}
	for i := range o {
		o[i] = orderEntry(i)
	}
	return l, d, o
}()

// build makes the table for codes of these lengths, 0 for symbols without one, in canonical order. It returns false if they make
// no prefix code that uses all codes. Two exceptions are what zlib allows: no code at all, and a single one of one bit.
func (t *table) build(lengths []uint8, symbols []entry, most int) bool {
	var count, first [maxCode + 2]int
	for _, n := range lengths {
		count[n]++
	}
	longest := maxCode
	for longest > 0 && count[longest] == 0 {
		longest--
	}
	used := len(lengths) - count[0]
	if longest <= 1 && used < 2 {
		return t.buildFew(lengths, symbols)
	}
	left := 1
	for n := 1; n <= maxCode; n++ {
		left = left<<1 - count[n]
		if left < 0 {
			return false
		}
		first[n+1] = first[n] + count[n]
	}
	if left > 0 {
		return false
	}
	var sorted [litSymbols]uint16
	for sym, n := range lengths {
		if n != 0 {
			sorted[first[n]] = uint16(sym)
			first[n]++
		}
	}
	t.fill(sorted[:used], lengths, symbols, min(longest, most), &count)
	return true
}

// buildFew makes a table for no code or one code of one bit; all else is invalid.
func (t *table) buildFew(lengths []uint8, symbols []entry) bool {
	t.mask, t.few = 1, true
	t.e[0], t.e[1] = invalid|1, invalid|1
	for sym, n := range lengths {
		if n == 1 {
			t.e[0] = withCode(symbols[sym], 1)
		}
	}
	return true
}

// withCode adds a code of n bits to what a symbol means.
func withCode(e entry, n int) entry {
	if e&isLiteral != 0 {
		return e | entry(n)
	}
	return e + entry(n) | entry(n)<<8
}

// fill goes through the codes in order, as they lie in the stream: with their first bit lowest. Places that no code has taken yet belong
// to longer ones, so what is copied there meanwhile does not matter.
func (t *table) fill(sorted []uint16, lengths []uint8, symbols []entry, width int, count *[maxCode + 2]int) {
	t.mask, t.few = 1<<width-1, false
	size, code := 1, 0 // size is what is filled so far: for codes up to the present length
	second := secondTable{prefix: -1, next: 1 << width}
	for i, sym := range sorted {
		n := int(lengths[sym])
		for ; size < 1<<min(n, width); size *= 2 {
			copy(t.e[size:2*size], t.e[:size])
		}
		if n <= width {
			t.e[code&(tableSize-1)] = withCode(symbols[sym], n)
		} else {
			if prefix := code & (1<<width - 1); prefix != second.prefix {
				second.begin(prefix, subBits(n, width, count, lengths, sorted[i:]))
				t.e[prefix] = isSpecial | isLink | entry(second.start)<<16 | entry(second.bits)<<8 | entry(width)
			}
			e := withCode(symbols[sym], n-width)
			for j := code >> width; j < 1<<second.bits; j += 1 << (n - width) {
				t.e[second.start+j] = e
			}
		}
		code = nextCode(code, n)
	}
}

// secondTable is the second table that is being filled.
type secondTable struct{ prefix, start, bits, next int }

func (s *secondTable) begin(prefix, bits int) {
	s.prefix, s.start, s.bits = prefix, s.next, bits
	s.next += 1 << bits
}

// nextCode adds one to a code of n bits whose first bit is lowest.
func nextCode(code, n int) int {
	free := ^code & (1<<n - 1)
	if free == 0 {
		return 0
	}
	bit := 1 << (bits.Len(uint(free)) - 1)
	return code&(bit-1) | bit
}

// subBits returns how wide the second table is that begins with a code of n bits.
func subBits(n, width int, count *[maxCode + 2]int, lengths []uint8, rest []uint16) int {
	same := 0
	for _, sym := range rest {
		if int(lengths[sym]) != n {
			break
		}
		same++
	}
	sub := n - width
	for space := same; space < 1<<sub; {
		sub++
		space = space<<1 + count[sub+width]
	}
	return sub
}
