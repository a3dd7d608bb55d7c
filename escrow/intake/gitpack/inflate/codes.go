package inflate

import "encoding/binary"

// codes decodes a block's symbols until the block ends or more than limit bytes are written. It is where the time goes: its state is in
// local variables, and it looks for the end of the input and of the output once for up to three literals and a match.
func (d *Decoder) codes() error {
	in, out, limit := d.in, d.out, d.limit
	buf, r, o := in.buf, in.r, d.o
	bits, n := d.bits, d.n
	lit, dist := &d.lit, &d.dist
	litMask, distMask := lit.mask&(tableSize-1), dist.mask&(tableSize-1)
	for o <= limit {
		if r > in.safe {
			in.r = r
			if err := in.fill(); err != nil {
				return err
			}
			r = in.r
		}
		bits |= binary.LittleEndian.Uint64(buf[r:]) << (n & 63)
		r += int((63 - n) >> 3)
		n |= 56
		e := lit.e[bits&litMask]
		if e&isLiteral != 0 {
			bits >>= e & 63
			n -= uint(e & 63)
			out[o] = byte(e >> 16)
			o++
			e = lit.e[bits&litMask]
			if e&isLiteral != 0 {
				bits >>= e & 63
				n -= uint(e & 63)
				out[o] = byte(e >> 16)
				o++
				e = lit.e[bits&litMask]
				if e&isLiteral != 0 {
					bits >>= e & 63
					n -= uint(e & 63)
					out[o] = byte(e >> 16)
					o++
					continue
				}
			}
			bits |= binary.LittleEndian.Uint64(buf[r:]) << (n & 63)
			r += int((63 - n) >> 3)
			n |= 56
		}
		if e&isSpecial != 0 {
			if e&isLink != 0 {
				bits >>= e & 63
				n -= uint(e & 63)
				e = lit.e[(uint64(e>>16)+bits&(1<<(e>>8&15)-1))&(tableSize-1)]
			}
			switch {
			case e&isLiteral != 0:
				bits >>= e & 63
				n -= uint(e & 63)
				out[o] = byte(e >> 16)
				o++
				continue
			case e&isEnd != 0:
				d.bits, d.n = bits>>(e&63), n-uint(e&63)
				d.o, in.r, d.state = o, r, atBlock
				return nil
			case e&isSpecial != 0:
				return ErrFormat
			}
		}
		length := int(e>>16) + int(bits&(1<<(e&63)-1)>>(e>>8&15))
		bits >>= e & 63
		n -= uint(e & 63)
		e = dist.e[bits&distMask]
		if e&isLink != 0 && e&isSpecial != 0 {
			bits >>= e & 63
			n -= uint(e & 63)
			e = dist.e[(uint64(e>>16)+bits&(1<<(e>>8&15)-1))&(tableSize-1)]
		}
		if e&isSpecial != 0 {
			return ErrFormat
		}
		distance := int(e>>16) + int(bits&(1<<(e&63)-1)>>(e>>8&15))
		bits >>= e & 63
		n -= uint(e & 63)
		from := o - distance
		if from < 0 {
			return ErrFormat
		}
		switch {
		case distance >= 16 && length <= 32:
			// Not more than the slack is written behind the match.
			src, dst := out[from:from+32], out[o:o+32]
			binary.LittleEndian.PutUint64(dst, binary.LittleEndian.Uint64(src))
			binary.LittleEndian.PutUint64(dst[8:], binary.LittleEndian.Uint64(src[8:]))
			if length > 16 {
				binary.LittleEndian.PutUint64(dst[16:], binary.LittleEndian.Uint64(src[16:]))
				binary.LittleEndian.PutUint64(dst[24:], binary.LittleEndian.Uint64(src[24:]))
			}
		case distance >= length:
			copy(out[o:o+length], out[from:o])
		default:
			repeat(out[:o+length], from, o)
		}
		o += length
	}
	d.bits, d.n, d.o, in.r = bits, n, o, r
	return nil
}

// repeat fills b from o on with what is between from and o, over and over.
func repeat(b []byte, from, o int) {
	for o < len(b) {
		o += copy(b[o:], b[from:o])
	}
}
