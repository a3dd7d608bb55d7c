package openpgp

import (
	"encoding/binary"
	"fmt"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// subpacketEmbedded is the type of a subpacket that holds a signature (RFC 9580, section 5.2.3.34).
const subpacketEmbedded = 32

// embedded says why what a signature packet of version 4 or 6 has inside is not given to the library, which reads signatures inside of
// signatures to any depth, and copies each once for every one around it. Only a subkey's signature back belongs inside of another; in
// that one the library takes none.
func embedded(b []byte) error {
	const areasAt = 4 // after version, type, key algorithm and hash
	lengthSize := 2
	if b[0] == 6 {
		lengthSize = 4
	}
	rest := b[areasAt:]
	for range 2 { // the part that is hashed, and the part that is not
		area, after, ok := cutCounted(rest, lengthSize)
		if !ok {
			return errCutOff
		}
		if err := onlyBack(area); err != nil {
			return err
		}
		rest = after
	}
	return nil
}

var errCutOff = fmt.Errorf("the signature is cut off")

// cutCounted splits off what follows its length.
func cutCounted(b []byte, lengthSize int) (counted, rest []byte, ok bool) {
	if len(b) < lengthSize {
		return nil, nil, false
	}
	n := uint64(binary.BigEndian.Uint16(b))
	if lengthSize == 4 {
		n = uint64(binary.BigEndian.Uint32(b))
	}
	if b = b[lengthSize:]; n > uint64(len(b)) {
		return nil, nil, false
	}
	return b[:n], b[n:], true
}

// onlyBack makes sure that no subpacket holds another signature than one of a subkey back to its primary key.
func onlyBack(area []byte) error {
	for len(area) > 0 {
		one, rest, ok := cutSubpacket(area)
		if !ok || len(one) == 0 {
			return fmt.Errorf("the signature has a subpacket that is cut off")
		}
		if one[0]&0x7f == subpacketEmbedded && signatureType(one[1:]) != packet.SigTypePrimaryKeyBinding {
			return fmt.Errorf("the signature has an embedded signature of type 0x%02x, which has no place there", uint8(signatureType(one[1:])))
		}
		area = rest
	}
	return nil
}

// cutSubpacket splits off a subpacket by its length, which takes one, two or five bytes (RFC 9580, section 5.2.3.7).
func cutSubpacket(b []byte) (one, rest []byte, ok bool) {
	switch {
	case b[0] < 192:
		n := int(b[0])
		b = b[1:]
		return b[:min(n, len(b))], b[min(n, len(b)):], n <= len(b)
	case b[0] == 255:
		return cutCounted(b[1:], 4)
	case len(b) < 2:
		return nil, nil, false
	}
	n := int(b[0]-192)<<8 + int(b[1]) + 192
	b = b[2:]
	return b[:min(n, len(b))], b[min(n, len(b)):], n <= len(b)
}
