package seal

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/countersign-escrow/countersign/escrow/blob/object"
	"github.com/countersign-escrow/countersign/escrow/keyring"
)

// docs/sealing.md describes the format of objects and gives test vectors.
const (
	magic     = "CSSEAL1\n"
	sizeBytes = 8
	saltBytes = 32

	headerBytes = len(magic) + sizeBytes + saltBytes
	chunkBytes  = 64 << 10 // of plaintext; the last chunk may be shorter
	nonceBytes  = 12
	tagBytes    = 16
	moreBytes   = nonceBytes + tagBytes // by which a sealed chunk is longer than its plaintext
)

// maxSize is the largest plaintext: 256 TiB in 2^32 chunks, which is how many one key may seal under random nonces.
const maxSize = 1 << 48

// header is the start of every object.
type header struct {
	size int64 // of the plaintext, in bytes
	salt [saltBytes]byte
}

func newHeader(size int64) (h header, err error) {
	h.size = size
	_, err = rand.Read(h.salt[:])
	return h, err
}

func (h header) encode() []byte {
	b := binary.BigEndian.AppendUint64([]byte(magic), uint64(h.size))
	return append(b, h.salt[:]...)
}

// parseHeader reads the header at the start of b.
func parseHeader(b []byte) (h header, err error) {
	if len(b) < headerBytes {
		return h, errors.New("the header is cut off")
	}
	if !bytes.HasPrefix(b, []byte(magic)) {
		return h, errors.New("it does not begin as a sealed object does")
	}
	size := binary.BigEndian.Uint64(b[len(magic):])
	if size > maxSize {
		return h, fmt.Errorf("the header tells a size of %d bytes", size)
	}
	h.size = int64(size)
	copy(h.salt[:], b[len(magic)+sizeBytes:headerBytes])
	return h, nil
}

// chunks returns how many chunks a plaintext has. There is one at least, so that the header is always proved.
func chunks(size int64) int64 { return max(1, (size+chunkBytes-1)/chunkBytes) }

// sealedSize returns the size of the object that holds a plaintext.
func sealedSize(size int64) int64 { return int64(headerBytes) + size + chunks(size)*moreBytes }

// chunkAt returns where a chunk begins in the object.
func chunkAt(index int64) int64 { return int64(headerBytes) + index*(chunkBytes+moreBytes) }

// cipherOf seals and opens the chunks of one object. The key is bound to the object's name and its whole header: under
// another name, or behind a changed header, no chunk opens.
func cipherOf(key *keyring.Key, name [32]byte, h header) (chunkCipher, error) {
	encoded := h.encode()
	return newCipher(key.Derive(keyring.Blobs, h.salt[:], append(name[:], encoded...)))
}

type chunkCipher struct{ aead cipher.AEAD }

func newCipher(key []byte) (chunkCipher, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return chunkCipher{}, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return chunkCipher{aead}, err
}

// seal appends a sealed chunk to dst.
func (c chunkCipher) seal(dst, plain []byte, index int64) []byte {
	var place [8]byte
	binary.BigEndian.PutUint64(place[:], uint64(index))
	return c.aead.Seal(dst, nil, plain, place[:])
}

// open appends the plaintext of a chunk to dst.
func (c chunkCipher) open(dst, sealed []byte, index int64) ([]byte, error) {
	var place [8]byte
	binary.BigEndian.PutUint64(place[:], uint64(index))
	return c.aead.Open(dst, nil, sealed, place[:])
}

// sealedName is an object's name with the bytes that it was made of.
type sealedName struct {
	object.Name
	sum [32]byte
}
