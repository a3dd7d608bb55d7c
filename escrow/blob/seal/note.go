package seal

import (
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"

	"github.com/countersign-escrow/countersign/escrow/blob/object"
	"github.com/countersign-escrow/countersign/escrow/keyring"
)

// note is what an unfinished upload leaves with its checkpoint, so that it goes on at any offset without reading anything
// back. It is sealed: the tail is plaintext, and the state of a hash tells something of it, too.
type note struct {
	header
	finished bool   // the last chunk is sealed, too
	offset   int64  // bytes of plaintext that the checkpoint stands for
	state    []byte // of SHA-256 over them
	tail     []byte // the last of them, as far as they are in no sealed chunk
}

const (
	noteVersion   = 1
	maxStateBytes = 512
	noteHead      = 2 + 2*8 + saltBytes + 2 // up to the state
)

func (n note) encode() []byte {
	b := []byte{noteVersion, 0}
	if n.finished {
		b[1] = 1
	}
	b = binary.BigEndian.AppendUint64(b, uint64(n.size))
	b = binary.BigEndian.AppendUint64(b, uint64(n.offset))
	b = append(b, n.salt[:]...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(n.state)))
	return append(append(b, n.state...), n.tail...)
}

var errNote = errors.New("not the note of an unfinished upload")

// parseNote reads what encode wrote.
func parseNote(b []byte) (n note, err error) {
	if len(b) < noteHead || b[0] != noteVersion || b[1] > 1 {
		return n, errNote
	}
	size, offset := binary.BigEndian.Uint64(b[2:]), binary.BigEndian.Uint64(b[10:])
	if size > maxSize || offset > size {
		return n, errNote
	}
	n.finished, n.size, n.offset = b[1] == 1, int64(size), int64(offset)
	copy(n.salt[:], b[18:])
	state, rest := int(binary.BigEndian.Uint16(b[noteHead-2:])), b[noteHead:]
	if state > maxStateBytes || state > len(rest) {
		return n, errNote
	}
	n.state, n.tail = rest[:state], rest[state:]
	return n, n.check()
}

func (n note) check() error {
	tail := n.offset % chunkBytes
	if n.finished {
		tail = 0
	}
	if int64(len(n.tail)) != tail || n.finished && n.offset != n.size {
		return errNote
	}
	return nil
}

// drafted returns how many bytes the draft has at the checkpoint.
func (n note) drafted() int64 {
	if n.finished {
		return sealedSize(n.size)
	}
	return chunkAt(n.offset / chunkBytes)
}

// hash returns SHA-256 in the state of the note.
func (n note) hash() (hash.Hash, error) {
	h := sha256.New()
	if err := h.(encoding.BinaryUnmarshaler).UnmarshalBinary(n.state); err != nil {
		return nil, fmt.Errorf("%w: %w", errNote, err)
	}
	return h, nil
}

func stateOf(h hash.Hash) ([]byte, error) { return h.(encoding.BinaryMarshaler).MarshalBinary() }

// noteCipher seals the notes of one object.
func noteCipher(key *keyring.Key, name sealedName) (chunkCipher, error) {
	return newCipher(key.Derive(keyring.Notes, nil, name.sum[:]))
}

// openNote reads the note of a checkpoint, and refuses one that does not belong to so much data.
func openNote(key *keyring.Key, name sealedName, at object.Checkpoint) (n note, err error) {
	c, err := noteCipher(key, name)
	if err != nil {
		return n, err
	}
	plain, err := c.open(nil, at.Note, 0)
	if err != nil {
		return n, err
	}
	if n, err = parseNote(plain); err == nil && n.drafted() != at.Offset {
		err = errNote
	}
	return n, err
}
