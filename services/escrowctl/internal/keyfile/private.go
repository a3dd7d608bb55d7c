package keyfile

import (
	"bytes"
	"encoding/base64"
)

// privateMarks are what texts with private keys have in them, whatever program wrote them.
var privateMarks = [][]byte{
	[]byte("PRIVATE KEY"), // PEM of all sorts, OpenSSH, OpenPGP's armour
	[]byte("PuTTY-User-Key-File"),
	[]byte("minisign encrypted secret key"),
	[]byte("minisign secret key"),
	[]byte("signify secret key"),
}

// IsPrivate says whether bytes hold a private key in a form that is known: such bytes go to nobody.
func IsPrivate(b []byte) bool {
	for _, mark := range privateMarks {
		if bytes.Contains(b, mark) {
			return true
		}
	}
	return isOpenPGPSecret(b) || isPlainSecret(b)
}

// isOpenPGPSecret knows the tags of binary OpenPGP packets with secret keys: 5 and 7 (RFC 9580, section 5).
func isOpenPGPSecret(b []byte) bool {
	if len(b) < 2 || b[0]&0x80 == 0 {
		return false
	}
	tag := b[0] >> 2 & 0x0f
	if b[0]&0x40 != 0 {
		tag = b[0] & 0x3f
	}
	return tag == 5 || tag == 7
}

// isPlainSecret knows a secret key of signify or minisign under any comment: it is longer than a public key's 42 bytes and begins with
// algorithm and key-derivation marks.
func isPlainSecret(b []byte) bool {
	for line := range bytes.Lines(b) {
		raw, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(line)))
		if err == nil && len(raw) > 74 && bytes.HasPrefix(raw, []byte("Ed")) && (string(raw[2:4]) == "BK" || string(raw[2:4]) == "Sc" || string(raw[2:4]) == "\x00\x00") {
			return true
		}
	}
	return false
}
