package rawkey

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// Detect says whether content may be a raw signature: base64 of a signature's length, a DER sequence of two integers as ECDSA makes, or bytes
// that are no text and as many as Ed25519 or RSA make. It is a guess, since nothing marks a raw signature: ask it last.
func Detect(content []byte) bool {
	if len(content) > MaxBytes {
		return false
	}
	if raw, ok := decodeBase64(content); ok {
		return len(raw) >= minRaw && len(raw) <= maxRaw
	}
	switch len(content) {
	case 64, 128, 256, 384, 512, 1024:
		return !utf8.Valid(content)
	}
	return isECDSA(content)
}

// decode reads a signature file, in base64 or binary.
func decode(content []byte) ([]byte, error) {
	if len(content) > MaxBytes {
		return nil, fmt.Errorf("the signature file has %d bytes, %d at most", len(content), MaxBytes)
	}
	raw, ok := decodeBase64(content)
	if !ok {
		raw = content
	}
	if len(raw) == 0 || len(raw) > maxRaw {
		return nil, fmt.Errorf("the signature has %d bytes, 1 to %d are possible: give the signature alone, in base64 or binary", len(raw), maxRaw)
	}
	return raw, nil
}

// decodeBase64 takes line breaks anywhere and blanks around, and not text that is all hexadecimal digits: that is a checksum.
func decodeBase64(content []byte) ([]byte, bool) {
	text := bytes.TrimSpace(content)
	if len(bytes.Trim(text, "0123456789abcdefABCDEF")) == 0 {
		return nil, false
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(string(text))
	return raw, err == nil
}

// isECDSA says whether b is a DER sequence of two integers and nothing else.
func isECDSA(b []byte) bool {
	s, list := cryptobyte.String(b), cryptobyte.String(nil)
	return s.ReadASN1(&list, asn1.SEQUENCE) && s.Empty() && list.SkipASN1(asn1.INTEGER) && list.SkipASN1(asn1.INTEGER) && list.Empty()
}
