package seal

import (
	"bytes"
	"crypto/sha256"
	"testing"

	"github.com/countersign-escrow/countersign/escrow/blob/object"
)

func TestSizes(t *testing.T) {
	for _, c := range []struct{ size, chunks, sealed int64 }{
		{0, 1, 48 + 28},
		{1, 1, 48 + 28 + 1},
		{chunkBytes, 1, 48 + 28 + chunkBytes},
		{chunkBytes + 1, 2, 48 + 2*28 + chunkBytes + 1},
		{1 << 30, 1 << 14, 48 + 28<<14 + 1<<30},
	} {
		if got := chunks(c.size); got != c.chunks {
			t.Errorf("%d bytes have %d chunks, want %d", c.size, got, c.chunks)
		}
		if got := sealedSize(c.size); got != c.sealed {
			t.Errorf("%d bytes are sealed in %d, want %d", c.size, got, c.sealed)
		}
	}
}

func FuzzParseHeader(f *testing.F) {
	h, err := newHeader(12345)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(h.encode())
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if h, err := parseHeader(raw); err == nil && !bytes.HasPrefix(raw, h.encode()) {
			t.Errorf("%x was read as %+v", raw, h)
		}
	})
}

func FuzzParseNote(f *testing.F) {
	h, err := newHeader(100_000)
	if err != nil {
		f.Fatal(err)
	}
	state, err := stateOf(sha256.New())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(note{header: h, offset: 5, state: state, tail: []byte("12345")}.encode())
	f.Add(note{header: h, offset: 100_000, finished: true, state: state}.encode())
	f.Fuzz(func(t *testing.T, raw []byte) {
		n, err := parseNote(raw)
		if err != nil {
			return
		}
		if !bytes.Equal(n.encode(), raw) {
			t.Errorf("%x was read as %+v", raw, n)
		}
		if n.offset > n.size || len(n.tail) >= chunkBytes || n.drafted() > sealedSize(n.size) {
			t.Errorf("%+v cannot be", n)
		}
		_, _ = n.hash() // must not panic
	})
}

func FuzzOpenChunk(f *testing.F) {
	vector := readVectors(f).Objects[1]
	c, err := newCipher(vector.Key)
	if err != nil {
		f.Fatal(err)
	}
	good := []byte(vector.Object[headerBytes:])
	f.Add(good, int64(0))
	f.Add(good, int64(1))
	f.Add([]byte("short"), int64(0))
	f.Fuzz(func(t *testing.T, sealed []byte, index int64) {
		_, err := c.open(nil, sealed, index)
		if want := index == 0 && bytes.Equal(sealed, good); (err == nil) != want {
			t.Errorf("chunk %d: %v", index, err)
		}
	})
}

// The longest note fits.
func TestNotesFit(t *testing.T) {
	c, err := newCipher(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	n := note{state: make([]byte, maxStateBytes), tail: make([]byte, chunkBytes-1)}
	if got := len(c.seal(nil, n.encode(), 0)); got > object.MaxNoteBytes {
		t.Errorf("a note of %d bytes, %d may be", got, object.MaxNoteBytes)
	}
	state, err := stateOf(sha256.New())
	if err != nil || len(state) > maxStateBytes {
		t.Errorf("a state of %d bytes, %v", len(state), err)
	}
}
