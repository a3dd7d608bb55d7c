package gitpack

import (
	"encoding/binary"
)

// What can be wrong with a delta.
const (
	errDelta      = malformed("is a malformed delta")
	errOtherBase  = malformed("is a delta to an object of another size than its base has")
	errShortDelta = malformed("is a delta that makes less than it announces")
)

// deltaSizes reads the sizes of base and result that a delta begins with.
func deltaSizes(delta []byte) (base, result uint64, rest []byte, err error) {
	base, n := binary.Uvarint(delta)
	if n <= 0 {
		return 0, 0, nil, errDelta
	}
	result, m := binary.Uvarint(delta[n:])
	if m <= 0 {
		return 0, 0, nil, errDelta
	}
	return base, result, delta[n+m:], nil
}

// applyDelta makes dst, which has the result's size, from base.
func applyDelta(dst, base, delta []byte) error {
	wantBase, wantResult, delta, err := deltaSizes(delta)
	if err != nil {
		return err
	}
	if wantBase != uint64(len(base)) {
		return errOtherBase
	}
	if wantResult != uint64(len(dst)) {
		return errDelta
	}
	for len(delta) > 0 {
		op := delta[0]
		delta = delta[1:]
		if op&0x80 == 0 {
			n := int(op)
			if n == 0 || n > len(delta) || n > len(dst) {
				return errDelta
			}
			copy(dst, delta[:n])
			dst, delta = dst[n:], delta[n:]
			continue
		}
		var off, n int
		if off, n, delta, err = copyOp(op, delta); err != nil {
			return err
		}
		if off > len(base) || n > len(base)-off || n > len(dst) {
			return errDelta
		}
		copy(dst, base[off:off+n])
		dst = dst[n:]
	}
	if len(dst) > 0 {
		return errShortDelta
	}
	return nil
}

// copyOp reads what an instruction to copy from the base is followed by: the bytes of offset and size that are not zero.
func copyOp(op byte, b []byte) (off, n int, rest []byte, err error) {
	for bit := range 7 {
		if op&(1<<bit) == 0 {
			continue
		}
		if len(b) == 0 {
			return 0, 0, nil, errDelta
		}
		if bit < 4 {
			off |= int(b[0]) << (8 * bit)
		} else {
			n |= int(b[0]) << (8 * (bit - 4))
		}
		b = b[1:]
	}
	if n == 0 {
		n = 0x10000
	}
	return off, n, b, nil
}
