package inflate

// useFixed makes the tables of the codes that RFC 1951, 3.2.6 fixes.
func (d *Decoder) useFixed() {
	if d.fixed {
		return
	}
	l := d.lengths[:]
	for i := range litSymbols {
		switch {
		case i < 144, i >= 280:
			l[i] = 8
		case i < 256:
			l[i] = 9
		default:
			l[i] = 7
		}
	}
	for i := range dstSymbols {
		l[litSymbols+i] = 5
	}
	d.lit.build(l[:litSymbols], literals[:], mainBits)
	d.dist.build(l[litSymbols:], distances[:], distBits)
	d.fixed = true
}

// readTables reads the code lengths that a dynamic block begins with.
func (d *Decoder) readTables() error {
	d.fixed = false
	hlit, hdist, hclen := int(d.take(5))+257, int(d.take(5))+1, int(d.take(4))+4
	if hlit > 286 || hdist > 30 {
		return ErrFormat
	}
	positions := [19]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}
	var l [19]uint8
	for i := range hclen {
		if i%8 == 0 {
			if err := d.need(); err != nil {
				return err
			}
		}
		l[positions[i]] = uint8(d.take(3))
	}
	if !d.order.build(l[:], orders[:], 7) || d.order.few {
		return ErrFormat
	}
	if err := d.readLengths(hlit + hdist); err != nil {
		return err
	}
	all := d.lengths[:hlit+hdist]
	if all[256] == 0 || !d.lit.build(all[:hlit], literals[:], mainBits) || !d.dist.build(all[hlit:], distances[:], distBits) {
		return ErrFormat
	}
	return nil
}

// readLengths reads n code lengths, which are themselves in a code.
func (d *Decoder) readLengths(n int) error {
	for i := 0; i < n; {
		if err := d.need(); err != nil {
			return err
		}
		e := d.order.e[d.bits&d.order.mask&(tableSize-1)]
		if e&isSpecial != 0 {
			return ErrFormat
		}
		d.take(uint(e & 15))
		sym, value, repeat := e>>16, uint8(0), 1
		switch sym {
		case 16:
			if i == 0 {
				return ErrFormat
			}
			value, repeat = d.lengths[i-1], 3+int(d.take(2))
		case 17:
			repeat = 3 + int(d.take(3))
		case 18:
			repeat = 11 + int(d.take(7))
		default:
			value = uint8(sym)
		}
		if i+repeat > n {
			return ErrFormat
		}
		for range repeat {
			d.lengths[i] = value
			i++
		}
	}
	return nil
}
