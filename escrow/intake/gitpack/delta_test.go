package gitpack

import (
	"bytes"
	"os"
	"testing"
)

// The two ways to apply a delta, in memory and through files, agree on every input.
func FuzzDelta(f *testing.F) {
	f.Add([]byte("base"), []byte{4, 5, 0x90, 4, 1, 'd'}, 5)
	f.Add([]byte("base"), []byte{4, 4, 0x91, 3, 4}, 4)
	f.Add(make([]byte, 70_000), append(lastByte(70_000, 'x'), 1), 70_000)
	f.Add([]byte("base"), []byte{4, 1, 0}, 1)
	scratch := &files{dir: f.TempDir(), most: 1 << 30}
	f.Fuzz(func(t *testing.T, base, delta []byte, size int) {
		if size < 0 || size > 1<<20 {
			return
		}
		small := make([]byte, size)
		err := applyDelta(small, base, delta)
		in, createErr := scratch.create(int64(len(base)), "base")
		if createErr != nil {
			t.Fatal(createErr)
		}
		defer in.remove()
		if _, err := in.f.Write(base); err != nil {
			t.Fatal(err)
		}
		large, _, largeErr := applyLarge(scratch, in, inMemory(delta), codeBlob, int64(size), "pack object at byte 12")
		if (err == nil) != (largeErr == nil) {
			t.Fatalf("in memory: %v, through files: %v", err, largeErr)
		}
		if err == nil && !bytes.Equal(small, large.b) {
			t.Error("the results differ")
		}
	})
}

func TestLargeResultGoesToAFile(t *testing.T) {
	d := &files{dir: t.TempDir(), most: 3 * largeObject}
	base := bytes.Repeat([]byte("0123456789"), largeObject/8)
	size := uint64(len(base))
	c, id, err := applyLarge(d, inMemory(base), inMemory(lastByte(size, 'x')), codeBlob, int64(size), "pack object at byte 12")
	if err != nil {
		t.Fatal(err)
	}
	base[size-1] = 'x'
	got := make([]byte, size)
	if _, err := c.at().ReadAt(got, 0); err != nil || !bytes.Equal(got, base) || id != ID(idOf(Blob, string(base))) || c.f == nil {
		t.Errorf("%s, %v", id, err)
	}
	if _, _, err := applyLarge(d, c, inMemory([]byte{1, 1, 0}), codeBlob, 1, "pack object at byte 12"); err == nil {
		t.Error("a delta to a base of another size is taken")
	}
	if _, err := d.create(3*largeObject, "pack object at byte 12"); err == nil {
		t.Error("more scratch space than there may be")
	}
	if err := c.remove(); err != nil || d.held.Load() != 0 {
		t.Errorf("%d bytes are held, %v", d.held.Load(), err)
	}
	if left, err := os.ReadDir(d.dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
