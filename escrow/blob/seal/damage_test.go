package seal_test

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/escrow/blob"
	"github.com/countersign-escrow/countersign/escrow/blob/blobtest"
	folder "github.com/countersign-escrow/countersign/escrow/blob/fs"
	"github.com/countersign-escrow/countersign/escrow/blob/object"
	"github.com/countersign-escrow/countersign/escrow/blob/seal"
	"github.com/countersign-escrow/countersign/escrow/blob/seal/sealtest"
	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
)

const (
	chunkBytes  = 64 << 10
	moreBytes   = 28
	headerBytes = 48
)

var umbrella = resource.Organization{ID: "umbrella"}

// vault is a sealed store with its parts at hand.
type vault struct {
	*seal.Store
	dir     string
	objects *folder.Store
	records *sealtest.Records
}

func newVault(t *testing.T) vault {
	t.Helper()
	v := vault{dir: t.TempDir(), records: &sealtest.Records{}}
	var err error
	v.objects, err = folder.Open(v.dir)
	must(t, err)
	t.Cleanup(func() { _ = v.objects.Close() })
	v.Store = sealtest.Over(v.objects, v.records)
	return v
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// put stores a blob and returns the path of its object.
func (v vault) put(t *testing.T, holder resource.Organization, content []byte) (blob.Ref, string) {
	t.Helper()
	before := map[string]bool{}
	for _, path := range v.files(t) {
		before[path] = true
	}
	ref := blob.Ref{Holder: holder, Digest: digest.Of(content)}
	must(t, blob.Put(t.Context(), v, ref, int64(len(content)), bytes.NewReader(content)))
	for _, path := range v.files(t) {
		if !before[path] {
			return ref, path
		}
	}
	t.Fatal("no object was written")
	return ref, ""
}

func (v vault) files(t *testing.T) (paths []string) {
	t.Helper()
	must(t, filepath.WalkDir(v.dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			paths = append(paths, path)
		}
		return err
	}))
	return paths
}

// overwrite puts other bytes in an object's place.
func overwrite(t *testing.T, path string, raw []byte) {
	t.Helper()
	must(t, os.Chmod(path, 0o600))
	must(t, os.WriteFile(path, raw, 0o600))
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	raw, err := os.ReadFile(path)
	must(t, err)
	return raw
}

// readAll reads a blob, in one go.
func readAll(s blob.Store, t *testing.T, ref blob.Ref) ([]byte, error) {
	t.Helper()
	b, err := s.Open(t.Context(), ref)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	return io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
}

func wantCorrupt(t *testing.T, what string, s blob.Store, ref blob.Ref) {
	t.Helper()
	got, err := readAll(s, t, ref)
	if !fault.Is(err, fault.Corrupt) || !strings.Contains(err.Error(), ref.String()) {
		t.Fatalf("%s: %d bytes, %v, want a fault that names the blob", what, len(got), err)
	}
}

func TestEveryFlippedBitIsFound(t *testing.T) {
	for _, n := range []int{0, 1, 40} {
		v := newVault(t)
		ref, path := v.put(t, acme, blobtest.Content(1, n))
		good := readFile(t, path)
		if len(good) != headerBytes+n+moreBytes {
			t.Errorf("%d bytes are sealed in %d", n, len(good))
		}
		for i := range 8 * len(good) {
			bad := bytes.Clone(good)
			bad[i/8] ^= 1 << (i % 8)
			overwrite(t, path, bad)
			wantCorrupt(t, fmt.Sprintf("%d bytes, bit %d", n, i), v, ref)
		}
		overwrite(t, path, good)
		blobtest.WantHeld(t, v, ref, blobtest.Content(1, n))
	}
}

func TestEveryOtherLengthIsFound(t *testing.T) {
	v := newVault(t)
	ref, path := v.put(t, acme, blobtest.Content(1, 40))
	good := readFile(t, path)
	for n := range good {
		overwrite(t, path, good[:n])
		wantCorrupt(t, fmt.Sprintf("the first %d bytes", n), v, ref)
	}
	overwrite(t, path, append(bytes.Clone(good), 0))
	wantCorrupt(t, "a byte more", v, ref)
}

func TestDamageToALargeObject(t *testing.T) {
	const n = 5*chunkBytes + 1000
	content := blobtest.Content(1, n)
	chunk := func(raw []byte, i int) []byte {
		at := headerBytes + i*(chunkBytes+moreBytes)
		return raw[at : at+chunkBytes+moreBytes]
	}
	for name, c := range map[string]struct {
		damage func(t *testing.T, v vault, raw []byte) []byte
		from   int64 // offset of the first chunk that is damaged
	}{
		"one bit in the middle": {func(_ *testing.T, _ vault, raw []byte) []byte {
			chunk(raw, 3)[5000] ^= 1
			return raw
		}, 3 * chunkBytes},
		"two chunks swapped": {func(_ *testing.T, _ vault, raw []byte) []byte {
			first := bytes.Clone(chunk(raw, 1))
			copy(chunk(raw, 1), chunk(raw, 2))
			copy(chunk(raw, 2), first)
			return raw
		}, chunkBytes},
		"a chunk twice": {func(_ *testing.T, _ vault, raw []byte) []byte {
			copy(chunk(raw, 4), chunk(raw, 3))
			return raw
		}, 4 * chunkBytes},
		"a chunk cut out": {func(_ *testing.T, _ vault, raw []byte) []byte {
			return append(raw[:len(raw)-1000-moreBytes-chunkBytes-moreBytes], raw[len(raw)-1000-moreBytes:]...)
		}, 0},
		"the last chunk lost": {func(_ *testing.T, _ vault, raw []byte) []byte { return raw[:len(raw)-1000-moreBytes] }, 0},
		"the last chunk lost and the size changed": {func(_ *testing.T, _ vault, raw []byte) []byte {
			raw = raw[:len(raw)-1000-moreBytes]
			copy(raw[8:16], []byte{0, 0, 0, 0, 0, 5, 0, 0})
			return raw
		}, 0},
		"a chunk of another blob": {func(t *testing.T, v vault, raw []byte) []byte {
			_, path := v.put(t, acme, blobtest.Content(2, n))
			copy(chunk(raw, 2), chunk(readFile(t, path), 2))
			return raw
		}, 2 * chunkBytes},
		"another blob of the same holder": {func(t *testing.T, v vault, _ []byte) []byte {
			_, path := v.put(t, acme, blobtest.Content(2, n))
			return readFile(t, path)
		}, 0},
		"the same blob of another holder": {func(t *testing.T, v vault, _ []byte) []byte {
			_, path := v.put(t, umbrella, content)
			return readFile(t, path)
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVault(t)
			ref, path := v.put(t, acme, content)
			overwrite(t, path, c.damage(t, v, readFile(t, path)))
			wantCorrupt(t, "read", v, ref)
			got, err := readAll(v, t, ref)
			if int64(len(got)) > c.from || !bytes.Equal(got, content[:len(got)]) {
				t.Errorf("%d bytes were read of %d that are good", len(got), c.from)
			}
			if want := fmt.Sprintf("at byte %d", c.from); !strings.Contains(err.Error(), want) {
				t.Errorf("%v does not say %q", err, want)
			}
			if _, err := v.Stat(t.Context(), ref); (err == nil) != (c.from > 0) {
				t.Errorf("Stat: %v", err)
			}
			mend(t, v, ref, content)
		})
	}
}

// mend uploads a damaged blob again, which takes its place and its lock.
func mend(t *testing.T, v vault, ref blob.Ref, content []byte) {
	t.Helper()
	lock := object.Lock{Until: time.Now().Add(time.Hour).Truncate(time.Second), Hold: true}
	must(t, v.Keep(t.Context(), ref, lock))
	must(t, blob.Put(t.Context(), v, ref, int64(len(content)), bytes.NewReader(content)))
	blobtest.WantHeld(t, v, ref, content)
	kept := 0
	must(t, v.objects.Names(t.Context(), func(name object.Name) error {
		if l, err := v.objects.Kept(t.Context(), name); err == nil && l.Hold && l.Until.Equal(lock.Until) {
			kept++
		}
		return nil
	}))
	if kept != 1 {
		t.Errorf("%d objects are kept, want 1", kept)
	}
}

func TestKeep(t *testing.T) {
	v := newVault(t)
	ref := blob.Ref{Holder: acme, Digest: digest.Of([]byte("x"))}
	if err := v.Keep(t.Context(), ref, object.Lock{}); !fault.Is(err, fault.NotFound) || !strings.Contains(err.Error(), ref.String()) {
		t.Errorf("of a holder that has nothing: %v", err)
	}
	held, _ := v.put(t, acme, []byte("y"))
	lock := object.Lock{Until: time.Now().UTC().Add(time.Hour).Truncate(time.Second), Hold: true}
	must(t, v.Keep(t.Context(), held, lock))
	if got, err := v.Kept(t.Context(), held); err != nil || got != lock {
		t.Errorf("kept %+v, %v", got, err)
	}
	if err := v.Keep(t.Context(), ref, object.Lock{}); !fault.Is(err, fault.NotFound) || !strings.Contains(err.Error(), ref.String()) {
		t.Errorf("of a blob that is not held: %v", err)
	}
}

// What lies in the folder tells neither what it holds nor whose it is, also while an upload is unfinished.
func TestTheFolderTellsNothing(t *testing.T) {
	v := newVault(t)
	content := bytes.Repeat([]byte("a telling sentence. "), 10_000)
	ref, first := v.put(t, acme, content)
	_, second := v.put(t, umbrella, content)
	if filepath.Base(first) == filepath.Base(second) || bytes.Equal(readFile(t, first)[headerBytes:], readFile(t, second)[headerBytes:]) {
		t.Error("two holders of the same bytes are seen to be")
	}
	other := append(content, "and a half"...)
	u, err := v.Resume(t.Context(), blob.Ref{Holder: acme, Digest: digest.Of(other)}, int64(len(other)))
	must(t, err)
	_, err = u.Write(other[:150_000])
	must(t, err)
	must(t, u.Close())
	paths := v.files(t)
	if len(paths) != 4 {
		t.Errorf("%d files: %q", len(paths), paths)
	}
	for _, path := range paths {
		raw := append(readFile(t, path), path...)
		for _, tell := range []string{"telling", "acme", "umbrella", ref.Digest.Hex()[:16], string(ref.Digest.Bytes()), digest.Of(other).Hex()[:16], string(digest.Of(other).Bytes())} {
			if bytes.Contains(raw, []byte(tell)) {
				t.Errorf("%s holds %q", path, tell)
			}
		}
	}
}
