package fs

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"

	"github.com/countersign-escrow/countersign/escrow/blob/object"
)

// A checkpoint's file is the offset in eight bytes, most significant first, the note, and the SHA-256 of both.
const offsetBytes = 8

func encodeCheckpoint(c object.Checkpoint) []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(c.Offset))
	b = append(b, c.Note...)
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

// decodeCheckpoint reads what encodeCheckpoint wrote.
func decodeCheckpoint(b []byte) (c object.Checkpoint, ok bool) {
	n := len(b) - sha256.Size
	if n < offsetBytes || n > offsetBytes+object.MaxNoteBytes || sha256.Sum256(b[:n]) != [sha256.Size]byte(b[n:]) {
		return c, false
	}
	c = object.Checkpoint{Offset: int64(binary.BigEndian.Uint64(b)), Note: b[offsetBytes:n]}
	return c, c.Offset >= 0
}

// Unfinished returns how far the draft of a name was brought.
func (s *Store) Unfinished(ctx context.Context, name object.Name) (object.Checkpoint, error) {
	if err := ctx.Err(); err != nil {
		return object.Checkpoint{}, err
	}
	info, err := os.Stat(s.dataPath(name))
	if errors.Is(err, fs.ErrNotExist) {
		return object.Checkpoint{}, nil
	}
	if err != nil {
		return object.Checkpoint{}, err
	}
	c, _, err := s.checkpoint(name, info.Size())
	return c, err
}

// checkpoint reads the checkpoint of a draft that has so many bytes of data, and says whether there is one. A damaged one,
// or one of more data than there is, is none: the draft begins anew.
func (s *Store) checkpoint(name object.Name, data int64) (c object.Checkpoint, ok bool, err error) {
	raw, err := os.ReadFile(s.notePath(name))
	if errors.Is(err, fs.ErrNotExist) {
		return c, false, nil
	}
	if err != nil {
		return c, false, err
	}
	if c, ok = decodeCheckpoint(raw); !ok || c.Offset > data {
		return object.Checkpoint{}, false, nil
	}
	return c, true, nil
}
