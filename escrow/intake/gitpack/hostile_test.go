package gitpack

import (
	"bytes"
	"compress/zlib"
	"context"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

var smallLimits = Limits{MaxObjects: 100, MaxObjectBytes: 1 << 20, MaxInflated: 4 << 20}

// packWriter writes packs that no git would write.
type packWriter struct {
	t testing.TB
	b bytes.Buffer
	z *zlib.Writer
}

func newPack(t testing.TB, count uint32) *packWriter {
	w := &packWriter{t: t, z: zlib.NewWriter(nil)}
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
	w.z.Reset(&w.b)
	if _, err := w.z.Write(content); err != nil {
		w.t.Fatal(err)
	}
	if err := w.z.Close(); err != nil {
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

// chain is a pack with a blob of size bytes, and deltas each made from the one before that change the last byte.
func chain(t testing.TB, depth int, size uint64) []byte {
	w := newPack(t, uint32(depth)+1)
	at := w.add(packBlob, size, nil, make([]byte, size))
	for i := range depth {
		next := int64(w.b.Len())
		w.add(packOfsDelta, uint64(len(lastByte(size, byte(i)))), back(next-at), lastByte(size, byte(i)))
		at = next
	}
	return w.bytes()
}

// lastByte is a delta that changes the last of size bytes.
func lastByte(size uint64, to byte) []byte {
	d := binary.AppendUvarint(binary.AppendUvarint(nil, size), size)
	n := size - 1
	return append(d, 0xf0, byte(n), byte(n>>8), byte(n>>16), 1, to)
}

// back is how far before a delta its base is, as packs have it.
func back(n int64) []byte {
	b := []byte{byte(n & 0x7f)}
	for n >>= 7; n > 0; n >>= 7 {
		n--
		b = append([]byte{0x80 | byte(n&0x7f)}, b...)
	}
	return b
}

func idOf(kind Kind, content string) []byte {
	sum := sha1.Sum(fmt.Appendf(nil, "%s %d\x00%s", kind, len(content), content))
	return sum[:]
}

// cycle is a pack with two deltas that each name the other as the base, as far as that can be said of ids nobody can choose.
func cycle(t testing.TB) []byte {
	w := newPack(t, 2)
	w.add(packRefDelta, 4, idOf(Blob, "b"), []byte{1, 1, 1, 'a'})
	w.add(packRefDelta, 4, idOf(Blob, "a"), []byte{1, 1, 1, 'b'})
	return w.bytes()
}

// wide is a pack with many deltas that each make much of little.
func wide(t testing.TB, n int, size uint64) []byte {
	w := newPack(t, uint32(n)+1)
	w.add(packBlob, size, nil, make([]byte, size))
	for i := range n {
		d := lastByte(size, byte(i))
		w.add(packOfsDelta, uint64(len(d)), back(int64(w.b.Len())-12), d)
	}
	return w.bytes()
}

// tree is the content of a tree with one entry.
func treeOf(mode, name string, id []byte) string { return mode + " " + name + "\x00" + string(id) }

const people = "author a <a@b> 1 +0000\ncommitter a <a@b> 1 +0000\n\nmessage"

// objects is a pack with these objects: a type and a content in turn.
func objects(t testing.TB, all ...string) []byte {
	w := newPack(t, uint32(len(all)/2))
	for i := 0; i < len(all); i += 2 {
		w.add(byte(codeOf(all[i])), uint64(len(all[i+1])), nil, []byte(all[i+1]))
	}
	return w.bytes()
}

func openBytes(b []byte, scratch string, bases ...*Pack) (*Pack, error) {
	return Open(context.Background(), bytes.NewReader(b), int64(len(b)), bases, scratch, smallLimits)
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
		"base is nowhere":       {one(t, packRefDelta, 4, make([]byte, 20), blob), fault.Precondition, "byte 12"},
		"cycle":                 {cycle(t), fault.Precondition, "byte 12"},
		"delta to itself":       {one(t, packOfsDelta, 4, []byte{0}, blob), fault.Invalid, "byte 12"},
		"base far away":         {one(t, packOfsDelta, 4, bytes.Repeat([]byte{0xff}, 30), blob), fault.Invalid, "byte 12"},
		"endless size":          {one(t, packBlob, 1<<63, nil, blob), fault.Exhausted, "byte 12"},
		"delta to nothing":      {one(t, packOfsDelta, 4, []byte{5}, blob), fault.Invalid, "byte 12"},
		"huge result":           {deltaTo(t, append(binary.AppendUvarint([]byte{4}, 1<<40), 1, 'x')), fault.Exhausted, "pack object"},
		"delta without sizes":   {deltaTo(t, []byte{0x80, 0x80}), fault.Invalid, "pack object"},
		"wrong base size":       {deltaTo(t, []byte{9, 1, 1, 'x'}), fault.Invalid, "pack"},
		"copy from outside":     {deltaTo(t, []byte{4, 4, 0x91, 3, 4}), fault.Invalid, "pack"},
		"chain of large deltas": {chain(t, 80, 1<<20), fault.Exhausted, "pack object"},
		"many large deltas":     {wide(t, 80, 1<<20), fault.Exhausted, "pack object"},
		"delta without content": {deltaTo(t, []byte{4, 9}), fault.Invalid, "pack object"},
		"instruction zero":      {deltaTo(t, []byte{4, 1, 0, 'x'}), fault.Invalid, "pack object"},
		"cut instruction":       {deltaTo(t, []byte{4, 1, 0x91}), fault.Invalid, "pack object"},
		"makes too much":        {deltaTo(t, []byte{4, 1, 2, 'x', 'y'}), fault.Invalid, "pack object"},
		"makes too little":      {deltaTo(t, []byte{4, 9, 1, 'x'}), fault.Invalid, "pack object"},
		"another checksum":      {flipped(one(t, packBlob, 4, nil, blob), -1), fault.Invalid, "pack"},
		"another Adler-32":      {resealed(flipped(one(t, packBlob, 4, nil, blob), -21)), fault.Invalid, "byte 12"},
		"missing file":          {objects(t, "tree", treeOf("100644", "f", idOf(Blob, "f"))), fault.Precondition, "byte 12"},
		"missing folder":        {objects(t, "blob", "f", "tree", treeOf("40000", "f", idOf(Tree, "f"))), fault.Precondition, "byte 26"},
		"missing parent":        {objects(t, "tree", "", "commit", fmt.Sprintf("tree %x\nparent %x\n%s", idOf(Tree, ""), idOf(Tree, "x"), people)), fault.Precondition, "byte 24"},
		"missing tree":          {objects(t, "commit", fmt.Sprintf("tree %x\n%s", idOf(Tree, ""), people)), fault.Precondition, "byte 12"},
		"missing tagged object": {objects(t, "tag", fmt.Sprintf("object %x\ntype blob\ntag v1\n\n", idOf(Blob, ""))), fault.Precondition, "byte 12"},
		"file that is a folder": {objects(t, "tree", "", "tree", treeOf("100644", "f", idOf(Tree, ""))), fault.Invalid, "pack object"},
		"folder that is a file": {objects(t, "tree", treeOf("40000", "f", idOf(Blob, "f")), "blob", "f"), fault.Invalid, "pack object"},
		"both at the same time": {objects(t, "tree", treeOf("40000", "a", idOf(Blob, "f"))+treeOf("100644", "b", idOf(Blob, "f"))), fault.Invalid, "pack object"},
		"malformed commit":      {objects(t, "commit", "tree\n\n"), fault.Invalid, "byte 12"},
		"malformed tree":        {objects(t, "tree", "100644 f"), fault.Invalid, "byte 12"},
		"malformed tag":         {objects(t, "tag", "tag v1\n\n"), fault.Invalid, "byte 12"},
		"something behind it":   {append(one(t, packBlob, 4, nil, blob), 'x'), fault.Invalid, "pack"},
		"wrong checksum":        {append(one(t, packBlob, 4, nil, blob)[:28], make([]byte, 20)...), fault.Invalid, "pack"},
	} {
		t.Run(name, func(t *testing.T) {
			scratch := t.TempDir()
			_, err := openBytes(c.pack, scratch)
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
	p, err := openBytes(deltaTo(t, []byte{4, 5, 0x90, 4, 1, 'd'}), t.TempDir())
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

// Chains of any length that git makes are resolved and can be read from their ends; longer ones are refused.
func TestLongChains(t *testing.T) {
	lim := smallLimits
	lim.MaxObjects, lim.MaxInflated = 100_000, 1<<30
	for _, size := range []uint64{10, 5_000} {
		b := chain(t, maxDepth, size)
		p, err := Open(context.Background(), bytes.NewReader(b), int64(len(b)), nil, t.TempDir(), lim)
		if err != nil {
			t.Fatal(err)
		}
		want := append(make([]byte, size-1), byte((maxDepth-1)%256))
		o, err := p.Object(context.Background(), ID(idOf(Blob, string(want))))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(o.Content); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		closePack(t, p)
	}
	for name, b := range map[string][]byte{"one too many": chain(t, maxDepth+1, 10), "fifty thousand": chain(t, 50_000, 10)} {
		_, err := Open(context.Background(), bytes.NewReader(b), int64(len(b)), nil, t.TempDir(), lim)
		if !fault.Is(err, fault.Exhausted) || !strings.Contains(err.Error(), "pack object at byte") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// flipped changes one byte, counted from the end.
func flipped(b []byte, i int) []byte {
	b[len(b)+i] ^= 1
	return b
}

// resealed gives a changed pack the right checksum.
func resealed(b []byte) []byte {
	sum := sha1.Sum(b[:len(b)-trailerSize])
	return append(b[:len(b)-trailerSize], sum[:]...)
}

// comb is a pack with a chain of deltas that name their bases by id, and beside each of them another delta to the same base: whoever goes down
// the chain first has to keep all of it.
func comb(t testing.TB, depth int, size uint64) []byte {
	w := newPack(t, uint32(2*depth)+1)
	content := make([]byte, size)
	at := w.add(packBlob, size, nil, content)
	for i := range depth {
		d := lastByte(size, byte(200-i))
		w.add(packOfsDelta, uint64(len(d)), back(int64(w.b.Len())-at), d)
		d = lastByte(size, byte(i+1))
		at = w.add(packRefDelta, uint64(len(d)), idOf(Blob, string(content)), d)
		content[size-1] = byte(i + 1)
	}
	return w.bytes()
}

// What workers hold passes from memory to files, and is bounded there too.
func TestManyBasesAtATime(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // one worker: another would take branches over
	const size = 4 << 20
	lim := Limits{MaxObjects: 100, MaxObjectBytes: size, MaxInflated: 4 * size}
	for depth, fits := range map[int]bool{10: true, 22: false} {
		b, scratch := comb(t, depth, size), t.TempDir()
		p, err := Open(context.Background(), bytes.NewReader(b), int64(len(b)), nil, scratch, lim)
		if fits {
			if err != nil {
				t.Fatal(err)
			}
			if p.x.count() != 2*depth+1 || p.files.held.Load() != 0 {
				t.Errorf("%d objects, %d bytes held", p.x.count(), p.files.held.Load())
			}
			for i := range depth {
				want := append(make([]byte, size-1), byte(200-i))
				if _, err := p.Object(context.Background(), ID(idOf(Blob, string(want)))); err != nil {
					t.Error(err)
				}
			}
			closePack(t, p)
		} else if !fault.Is(err, fault.Exhausted) || !strings.Contains(err.Error(), "at the same time") {
			t.Errorf("depth %d: %v", depth, err)
		}
		if left, err := os.ReadDir(scratch); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	}
}

// What is read counts, so that many objects behind long chains cannot be asked for without end.
func TestReadingIsBounded(t *testing.T) {
	lim := Limits{MaxObjects: 100, MaxObjectBytes: 9 << 20, MaxInflated: 10 << 20}
	b := chain(t, 4, 9<<20) // too large to be kept
	p, err := Open(context.Background(), bytes.NewReader(b), int64(len(b)), nil, t.TempDir(), lim)
	if err != nil {
		t.Fatal(err)
	}
	defer closePack(t, p)
	id := ID(idOf(Blob, string(append(make([]byte, 9<<20-1), 3))))
	for range 20 {
		if _, err = p.Object(context.Background(), id); err != nil {
			break
		}
	}
	if !fault.Is(err, fault.Exhausted) {
		t.Errorf("%v", err)
	}
}

func TestTheSameObjectTwice(t *testing.T) {
	p, err := openBytes(objects(t, "blob", "b", "blob", "b", "tree", treeOf("100644", "b", idOf(Blob, "b"))), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	closePack(t, p)
}

// The blocks of published collisions are found out. They have this effect on raw content only: see testdata/ORIGIN.md.
func TestCollisions(t *testing.T) {
	for _, pair := range []string{"shattered", "sha-mbles"} {
		var sums [2][20]byte
		for i := range sums {
			b, err := os.ReadFile(fmt.Sprintf("testdata/%s-%d.bin", pair, i+1))
			if err != nil {
				t.Fatal(err)
			}
			sums[i] = sha1.Sum(b)
			h := newHasher()
			h.h.Reset()
			if _, err := h.Write(b); err != nil {
				t.Fatal(err)
			}
			id, err := h.end("pack object at byte 12")
			if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "byte 12") || id != (ID{}) {
				t.Errorf("%s-%d: %s, %v", pair, i+1, id, err)
			}
			if id, ok := h.sum(codeBlob, b); !ok || id != ID(idOf(Blob, string(b))) {
				t.Errorf("%s-%d as a blob: %s", pair, i+1, id)
			}
		}
		if sums[0] != sums[1] {
			t.Errorf("%s: %x and %x", pair, sums[0], sums[1])
		}
	}
}

func FuzzPack(f *testing.F) {
	f.Add(one(f, packBlob, 4, nil, []byte("blob")))
	f.Add(deltaTo(f, []byte{4, 5, 0x90, 4, 1, 'd'}))
	f.Add(chain(f, 3, 20))
	f.Add(cycle(f))
	f.Add(objects(f, "blob", "f", "tree", treeOf("100644", "f", idOf(Blob, "f"))))
	scratch := f.TempDir()
	f.Fuzz(func(t *testing.T, b []byte) {
		// Without the right sum at its end no pack gets far.
		sum := sha1.Sum(b)
		p, err := openBytes(append(bytes.Clone(b), sum[:]...), scratch)
		if err == nil {
			err = p.Close()
		}
		var domain *fault.Error
		if err != nil && (!errors.As(err, &domain) || domain.Field == "") {
			t.Errorf("no domain error that names a place: %v", err)
		}
	})
}
