package cms_test

import (
	"bytes"
	"encoding/pem"
	"testing"
)

// alterEntry flips a bit of the time in the log entry of a gitsign signature.
func alterEntry(t *testing.T, signature []byte) []byte {
	t.Helper()
	block, _ := pem.Decode(signature)
	entry := []byte{0x06, 0x0a, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x83, 0xbf, 0x30, 0x03, 0x01} // its object identifier
	at := bytes.Index(block.Bytes, entry)
	if at < 0 {
		t.Fatal("there is no log entry")
	}
	integrated := bytes.Index(block.Bytes[at:], []byte("hashedrekord"))
	if integrated < 0 {
		t.Fatal("the log entry names no kind")
	}
	after := at + integrated + len("hashedrekord") + 2 + len("0.0.1")
	if block.Bytes[after] != 0x20 { // field 4, varint: integratedTime
		t.Fatalf("byte %d is %#x", after, block.Bytes[after])
	}
	block.Bytes[after+1] ^= 1
	return pem.EncodeToMemory(block)
}
