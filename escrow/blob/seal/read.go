package seal

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/countersign-escrow/countersign/escrow/blob"
	"github.com/countersign-escrow/countersign/escrow/blob/object"
	"github.com/countersign-escrow/countersign/escrow/keyring"
)

// aheadBytes is how much is read at once at most, also ahead of one who reads on and on.
const aheadBytes = 1 << 20

// keptWindows is how many readers of one blob find again what was read ahead for them.
const keptWindows = 4

// sealed is a blob open for reading.
type sealed struct {
	ref    blob.Ref
	object object.Object
	size   int64
	cipher chunkCipher

	mu   sync.Mutex
	idle []*window // the latest used last
}

// window is a piece of the plaintext, for one goroutine at a time.
type window struct {
	at     int64 // offset of its first byte, at the start of a chunk
	plain  []byte
	sealed []byte // room for the chunks before they are opened
	ahead  int64  // chunks to read at once
}

func (w *window) end() int64 { return w.at + int64(len(w.plain)) }

func (w *window) holds(offset int64) bool { return w.at <= offset && offset < w.end() }

// newSealed checks the size, the header and the first chunk, which proves the header.
func newSealed(ref blob.Ref, o object.Object, key *keyring.Key, name sealedName) (*sealed, error) {
	first := make([]byte, min(o.Size(), chunkAt(1)))
	if err := readFull(o, first, 0); err != nil {
		return nil, lost(ref, 0, err)
	}
	h, err := parseHeader(first)
	if err != nil {
		return nil, damaged(ref, 0, err)
	}
	if want := sealedSize(h.size); o.Size() != want {
		return nil, damaged(ref, 0, fmt.Errorf("the object has %d bytes, not %d", o.Size(), want))
	}
	c, err := cipherOf(key, name.sum, h)
	if err != nil {
		return nil, err
	}
	plain, err := c.open(make([]byte, 0, chunkBytes), first[headerBytes:], 0)
	if err != nil {
		return nil, damaged(ref, 0, err)
	}
	return &sealed{ref: ref, object: o, size: h.size, cipher: c, idle: []*window{{plain: plain, ahead: 1}}}, nil
}

// readFull fills p from an offset on; io.ErrUnexpectedEOF if there is less.
func readFull(r io.ReaderAt, p []byte, offset int64) error {
	n, err := r.ReadAt(p, offset)
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// lost tells bytes that are gone from bytes that cannot be had now.
func lost(ref blob.Ref, offset int64, err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return damaged(ref, offset, err)
	}
	return fmt.Errorf("read %s at byte %d: %w", ref, offset, named(ref, err))
}

// Size returns the size of the plaintext.
func (b *sealed) Size() int64 { return b.size }

// Close lets go of the object.
func (b *sealed) Close() error { return b.object.Close() }

// ReadAt reads plaintext, and of the object only the chunks that hold it; more where it is read on and on.
func (b *sealed) ReadAt(p []byte, offset int64) (n int, err error) {
	if offset < 0 {
		return 0, fmt.Errorf("read %s: the offset %d is negative", b.ref, offset)
	}
	if offset >= b.size {
		return 0, io.EOF
	}
	want := p[:min(int64(len(p)), b.size-offset)]
	w := b.take(offset)
	defer b.put(w)
	for n < len(want) {
		at := offset + int64(n)
		if !w.holds(at) {
			if err := b.fill(w, at, int64(len(want)-n)); err != nil {
				return n, err
			}
		}
		n += copy(want[n:], w.plain[at-w.at:])
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// take returns the window that fits an offset best, for the caller alone.
func (b *sealed) take(offset int64) *window {
	b.mu.Lock()
	defer b.mu.Unlock()
	pick := -1
	for i, w := range b.idle {
		if w.holds(offset) || w.end() == offset {
			pick = i
		}
	}
	if pick < 0 && len(b.idle) == keptWindows {
		pick = 0 // the one that waited longest
	}
	if pick < 0 {
		return &window{}
	}
	w := b.idle[pick]
	b.idle = append(b.idle[:pick], b.idle[pick+1:]...)
	return w
}

func (b *sealed) put(w *window) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.idle) < keptWindows {
		b.idle = append(b.idle, w)
	}
}

// fill reads the chunks that hold an offset and, within bounds, the length behind it.
func (b *sealed) fill(w *window, offset, length int64) error {
	if w.end() == offset && len(w.plain) > 0 {
		w.ahead = min(2*w.ahead, aheadBytes/chunkBytes)
	} else {
		w.ahead = 1
	}
	first := offset / chunkBytes
	last := (offset + length - 1) / chunkBytes
	count := min(max(last-first+1, w.ahead), aheadBytes/chunkBytes, chunks(b.size)-first)
	w.at, w.plain = first*chunkBytes, w.plain[:0]
	return b.decrypt(w, first, count)
}

func (b *sealed) decrypt(w *window, first, count int64) error {
	length := min(chunkAt(first+count), sealedSize(b.size)) - chunkAt(first)
	if int64(cap(w.sealed)) < length {
		w.sealed = make([]byte, length)
	}
	text := w.sealed[:length]
	if err := readFull(b.object, text, chunkAt(first)); err != nil {
		return lost(b.ref, first*chunkBytes, err)
	}
	if need := int(count * chunkBytes); cap(w.plain) < need {
		w.plain = make([]byte, 0, need)
	}
	for i := first; i < first+count; i++ {
		n := min(len(text), chunkBytes+moreBytes)
		plain, err := b.cipher.open(w.plain, text[:n], i)
		if err != nil {
			w.plain = w.plain[:0] // what a failed open leaves is not to be shown
			return damaged(b.ref, i*chunkBytes, err)
		}
		w.plain, text = plain, text[n:]
	}
	return nil
}
