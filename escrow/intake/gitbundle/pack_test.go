package gitbundle

import (
	"bytes"
	"compress/zlib"
	"context"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

var smallLimits = Limits{MaxObjects: 100, MaxObjectBytes: 1 << 20, MaxInflated: 4 << 20}

// packWriter writes packs that no git would write.
type packWriter struct {
	t testing.TB
	b bytes.Buffer
}

func newPack(t testing.TB, count uint32) *packWriter {
	w := &packWriter{t: t}
	w.b.WriteString("PACK\x00\x00\x00\x02")
	w.b.Write(binary.BigEndian.AppendUint32(nil, count))
	return w
}

const (
	packBlob     = 3
	packOfsDelta = 6
	packRefDelta = 7
)

// add writes an object that announces size bytes and returns its offset.
func (w *packWriter) add(kind byte, size uint64, base, content []byte) int64 {
	w.t.Helper()
	at := int64(w.b.Len())
	c := kind<<4 | byte(size&0x0f)
	for size >>= 4; size > 0; size >>= 7 {
		w.b.WriteByte(c | 0x80)
		c = byte(size & 0x7f)
	}
	w.b.WriteByte(c)
	w.b.Write(base)
	z := zlib.NewWriter(&w.b)
	if _, err := z.Write(content); err != nil {
		w.t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		w.t.Fatal(err)
	}
	return at
}

func (w *packWriter) bytes() []byte {
	sum := sha1.Sum(w.b.Bytes())
	return append(bytes.Clone(w.b.Bytes()), sum[:]...)
}

// one is a pack with one object.
func one(t testing.TB, kind byte, size uint64, base, content []byte) []byte {
	w := newPack(t, 1)
	w.add(kind, size, base, content)
	return w.bytes()
}

// deltaTo is a pack with a blob of four bytes and a delta to it.
func deltaTo(t testing.TB, delta []byte) []byte {
	w := newPack(t, 2)
	at := w.add(packBlob, 4, nil, []byte("base"))
	w.add(packOfsDelta, uint64(len(delta)), []byte{byte(int64(w.b.Len()) - at)}, delta)
	return w.bytes()
}

// chain is a pack with deltas that each announce a large result.
func chain(t testing.TB, depth int) []byte {
	w := newPack(t, uint32(depth)+1)
	at := w.add(packBlob, 4, nil, []byte("base"))
	size := uint64(4)
	for range depth {
		delta := binary.AppendUvarint(nil, size)
		size = 1 << 20
		delta = append(binary.AppendUvarint(delta, size), 1, 'x')
		next := int64(w.b.Len())
		w.add(packOfsDelta, uint64(len(delta)), []byte{byte(next - at)}, delta)
		at = next
	}
	return w.bytes()
}

func TestHostilePacks(t *testing.T) {
	blob := []byte("blob")
	for name, c := range map[string]struct {
		pack  []byte
		kind  fault.Kind
		place string
	}{
		"empty":                 {nil, fault.Invalid, "pack"},
		"no pack":               {[]byte("not a pack at all, not at all"), fault.Invalid, "pack"},
		"billions of objects":   {newPack(t, 1<<32-1).bytes(), fault.Exhausted, "pack"},
		"fewer objects":         {one(t, packBlob, 4, nil, blob)[:20], fault.Invalid, "pack"},
		"huge object announced": {one(t, packBlob, 1<<40, nil, blob), fault.Exhausted, "byte 12"},
		"more than announced":   {one(t, packBlob, 3, nil, blob), fault.Invalid, "byte 12"},
		"less than announced":   {one(t, packBlob, 5, nil, blob), fault.Invalid, "byte 12"},
		"bomb":                  {one(t, packBlob, 2<<20, nil, make([]byte, 2<<20)), fault.Exhausted, "byte 12"},
		"unknown type":          {one(t, 5, 4, nil, blob), fault.Invalid, "byte 12"},
		"delta by id":           {one(t, packRefDelta, 4, make([]byte, 20), blob), fault.Invalid, "byte 12"},
		"delta to nothing":      {one(t, packOfsDelta, 4, []byte{5}, blob), fault.Invalid, "byte 12"},
		"huge result":           {deltaTo(t, append(binary.AppendUvarint([]byte{4}, 1<<40), 1, 'x')), fault.Exhausted, "pack object"},
		"delta without sizes":   {deltaTo(t, []byte{0x80, 0x80}), fault.Invalid, "pack object"},
		"wrong base size":       {deltaTo(t, []byte{9, 1, 1, 'x'}), fault.Invalid, "pack"},
		"copy from outside":     {deltaTo(t, []byte{4, 4, 0x91, 3, 4}), fault.Invalid, "pack"},
		"chain of large deltas": {chain(t, 20), fault.Exhausted, "pack object"},
		"something behind it":   {append(one(t, packBlob, 4, nil, blob), 'x'), fault.Invalid, "pack"},
		"wrong checksum":        {append(one(t, packBlob, 4, nil, blob)[:28], make([]byte, 20)...), fault.Invalid, "pack"},
	} {
		t.Run(name, func(t *testing.T) {
			scratch := t.TempDir()
			_, err := Open(context.Background(), bytes.NewReader(c.pack), scratch, smallLimits)
			var domain *fault.Error
			if !errors.As(err, &domain) || domain.Kind != c.kind || !strings.Contains(domain.Field, c.place) {
				t.Errorf("%v", err)
			}
			if left, err := os.ReadDir(scratch); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

func closePack(t *testing.T, p *Pack) {
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

func TestObject(t *testing.T) {
	p, err := Open(context.Background(), bytes.NewReader(deltaTo(t, []byte{4, 5, 0x90, 4, 1, 'd'})), t.TempDir(), smallLimits)
	if err != nil {
		t.Fatal(err)
	}
	defer closePack(t, p)
	for content, want := range map[string]bool{"base": true, "based": true, "other": false} {
		id := sha1.Sum([]byte("blob " + string(rune('0'+len(content))) + "\x00" + content))
		o, err := p.Object(context.Background(), id)
		if !want {
			if !errors.Is(err, ErrMissing) {
				t.Errorf("%q: %v", content, err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%q: %v", content, err)
		}
		got, err := io.ReadAll(o.Content)
		if err != nil || string(got) != content || o.Kind != Blob || o.Size != int64(len(content)) {
			t.Errorf("%q: %s %q, %d bytes, %v", content, o.Kind, got, o.Size, err)
		}
	}
}

// go-git takes this one into its index: the delta announces nine bytes and makes one.
func TestObjectOfShortDelta(t *testing.T) {
	p, err := Open(context.Background(), bytes.NewReader(deltaTo(t, []byte{4, 9, 9, 'x'})), t.TempDir(), smallLimits)
	if err != nil {
		t.Fatal(err)
	}
	defer closePack(t, p)
	o, err := p.Object(context.Background(), sha1.Sum([]byte("blob 9\x00x")))
	if !fault.Is(err, fault.Invalid) && !fault.Is(err, fault.Corrupt) {
		t.Errorf("%+v, %v", o, err)
	}
}

func FuzzPack(f *testing.F) {
	f.Add(one(f, packBlob, 4, nil, []byte("blob")))
	f.Add(deltaTo(f, []byte{4, 5, 0x90, 4, 1, 'd'}))
	f.Add(chain(f, 3))
	scratch := f.TempDir()
	f.Fuzz(func(t *testing.T, b []byte) {
		// Without the right sum at its end no pack gets far.
		sum := sha1.Sum(b)
		p, err := Open(context.Background(), bytes.NewReader(append(bytes.Clone(b), sum[:]...)), scratch, smallLimits)
		if err == nil {
			err = p.Close()
		}
		var domain *fault.Error
		if err != nil && (!errors.As(err, &domain) || domain.Field == "") {
			t.Errorf("no domain error that names a place: %v", err)
		}
	})
}
