package fs

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/escrow/blob/object"
	"github.com/countersign-escrow/countersign/escrow/blob/object/objecttest"
	"github.com/countersign-escrow/countersign/escrow/fault"
)

func named(s string) object.Name { return object.NameOf(sha256.Sum256([]byte(s))) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// begin begins a draft and writes to it.
func begin(t *testing.T, s *Store, name object.Name, size int64, content []byte) object.Draft {
	t.Helper()
	d, err := s.Draft(t.Context(), name, size)
	must(t, err)
	t.Cleanup(func() { _ = d.Close() })
	_, err = d.Write(content)
	must(t, err)
	return d
}

func put(t *testing.T, s *Store, name object.Name, content []byte) {
	t.Helper()
	d := begin(t, s, name, int64(len(content)), content)
	must(t, d.Commit(t.Context()))
	must(t, d.Close())
}

// files returns the paths of all files below a folder.
func files(t *testing.T, dir string) (paths []string) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			paths = append(paths, path)
		}
		return err
	}))
	return paths
}

func TestObjectsAreReadOnly(t *testing.T) {
	s := open(t, t.TempDir())
	put(t, s, named("a"), []byte("content"))
	info, err := os.Stat(s.objectPath(named("a")))
	if err != nil || info.Mode().Perm() != objectMode {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if all := files(t, s.dir); len(all) != 1 {
		t.Errorf("left over: %q", all)
	}
}

func TestEveryFlippedBitOfALockIsFound(t *testing.T) {
	s, name := open(t, t.TempDir()), named("a")
	put(t, s, name, []byte("content"))
	must(t, s.Keep(t.Context(), name, object.Lock{Until: time.Now().Add(-time.Hour), Hold: true}))
	must(t, s.Keep(t.Context(), name, object.Lock{Until: time.Now().Add(-time.Hour)}))
	path := s.lockPath(name)
	good, err := os.ReadFile(path)
	must(t, err)
	must(t, os.Chmod(path, 0o600))
	for i := range 8 * len(good) {
		bad := bytes.Clone(good)
		bad[i/8] ^= 1 << (i % 8)
		must(t, os.WriteFile(path, bad, 0o600))
		if _, err := s.Kept(t.Context(), name); !fault.Is(err, fault.Corrupt) {
			t.Fatalf("bit %d: Kept: %v", i, err)
		}
		if err := s.Delete(t.Context(), name); !fault.Is(err, fault.Corrupt) {
			t.Fatalf("bit %d: Delete: %v", i, err)
		}
	}
	for n := range good {
		if _, err := decodeLock(name, good[:n]); err == nil {
			t.Errorf("the first %d bytes of a lock are taken for one", n)
		}
	}
	if _, err := decodeLock(named("b"), good); err == nil {
		t.Error("another object's lock is taken for this one's")
	}
	must(t, os.WriteFile(path, good, 0o600))
	must(t, s.Delete(t.Context(), name))
}

func FuzzDecodeLock(f *testing.F) {
	name := named("a")
	f.Add(encodeLock(name, object.Lock{}))
	f.Add(encodeLock(name, object.Lock{Until: time.Unix(1_800_000_000, 0), Hold: true}))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if l, err := decodeLock(name, raw); err == nil && !bytes.Equal(encodeLock(name, l), raw) {
			t.Errorf("%q was read as %+v", raw, l)
		}
	})
}

func FuzzDecodeCheckpoint(f *testing.F) {
	f.Add(encodeCheckpoint(object.Checkpoint{}))
	f.Add(encodeCheckpoint(object.Checkpoint{Offset: 5, Note: []byte("note")}))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if c, ok := decodeCheckpoint(raw); ok && !bytes.Equal(encodeCheckpoint(c), raw) {
			t.Errorf("%q was read as %+v", raw, c)
		}
	})
}

// A draft can be left in any of these states when the machine goes down.
func TestADraftInAnyState(t *testing.T) {
	content := objecttest.Content("a", 1000)
	at := func(offset int64) []byte {
		return encodeCheckpoint(object.Checkpoint{Offset: offset, Note: []byte("note")})
	}
	flipped := at(100)
	flipped[20] ^= 1
	for name, c := range map[string]struct {
		data, note []byte
		offset     int64
	}{
		"data only":       {content[:500], nil, 0},
		"note only":       {nil, at(0), 0},
		"note ahead":      {content[:500], at(501), 0},
		"note behind":     {content[:500], at(300), 300},
		"both whole":      {content, at(1000), 1000},
		"damaged note":    {content[:500], flipped, 0},
		"cut note":        {content[:500], at(300)[:30], 0},
		"empty note":      {content[:500], []byte{}, 0},
		"negative offset": {content[:500], at(-1), 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, t.TempDir())
			for path, raw := range map[string][]byte{s.dataPath(named("a")): c.data, s.notePath(named("a")): c.note} {
				if raw != nil {
					must(t, os.WriteFile(path, raw, objectMode))
				}
			}
			if got, err := s.Unfinished(t.Context(), named("a")); err != nil || got.Offset != c.offset {
				t.Errorf("brought to %d, %v, want %d", got.Offset, err, c.offset)
			}
			d, err := s.Draft(t.Context(), named("a"), 1000)
			must(t, err)
			defer d.Close()
			if got := d.Checkpoint().Offset; got != c.offset {
				t.Fatalf("begins at %d, want %d", got, c.offset)
			}
			_, err = d.Write(content[c.offset:])
			must(t, err)
			must(t, d.Commit(t.Context()))
			objecttest.WantHeld(t, s, named("a"), content)
			if all := files(t, s.dir); len(all) != 1 {
				t.Errorf("left over: %q", all)
			}
		})
	}
}

// A writer whose disk fails must neither hold the object for ever nor acknowledge anything.
func TestAFailedSync(t *testing.T) {
	s, name := open(t, t.TempDir()), named("a")
	d := begin(t, s, name, 100, []byte("first"))
	must(t, d.Save(t.Context(), []byte("note")))
	_, err := d.Write([]byte("second"))
	must(t, err)
	_, pipe, err := os.Pipe() // a file that cannot be synced
	must(t, err)
	good := d.(*draft).file
	defer good.Close()
	d.(*draft).file = pipe
	if err := d.Save(t.Context(), []byte("later")); err == nil {
		t.Error("a pipe was saved")
	}
	for what, err := range map[string]error{"Save": d.Save(t.Context(), nil), "Commit": d.Commit(t.Context()), "Replace": d.Replace(t.Context())} {
		if err == nil {
			t.Errorf("%s after a failed sync", what)
		}
	}
	if _, err := d.Write([]byte("x")); err == nil {
		t.Error("written after a failed sync")
	}
	must(t, d.Close())
	must(t, good.Close())
	d = begin(t, s, name, 100, []byte(" again"))
	if at := d.Checkpoint(); at.Offset != 5 || string(at.Note) != "note" {
		t.Errorf("goes on at %+v", at)
	}
	must(t, d.Commit(t.Context()))
	objecttest.WantHeld(t, s, name, []byte("first again"))
}

// What gives way under a lock is kept until the lock ends.
func TestWhatGaveWayIsKept(t *testing.T) {
	s := open(t, t.TempDir())
	locked, free := named("locked"), named("free")
	until := time.Now().Add(time.Hour)
	for _, name := range []object.Name{locked, free} {
		put(t, s, name, []byte("damaged"))
		if name == locked {
			must(t, s.Keep(t.Context(), name, object.Lock{Until: until}))
		}
		d := begin(t, s, name, 6, []byte("mended"))
		must(t, d.Replace(t.Context()))
		objecttest.WantHeld(t, s, name, []byte("mended"))
	}
	kept := files(t, filepath.Join(s.dir, replacedFolder))
	if len(kept) != 1 {
		t.Fatalf("set aside: %q", kept)
	}
	if raw, err := os.ReadFile(kept[0]); err != nil || string(raw) != "damaged" {
		t.Errorf("set aside: %q, %v", raw, err)
	}
	for _, c := range []struct {
		now  time.Time
		want int
	}{{until.Add(-time.Minute), 1}, {until.Add(time.Minute), 0}} {
		s.now = func() time.Time { return c.now }
		if _, err := s.Sweep(t.Context(), time.Now()); err != nil {
			t.Fatal(err)
		}
		if kept := files(t, filepath.Join(s.dir, replacedFolder)); len(kept) != c.want {
			t.Errorf("at %s: set aside: %q", c.now, kept)
		}
	}
}

func TestSweepLeavesNothingOfTheDead(t *testing.T) {
	s := open(t, t.TempDir())
	folder := filepath.Join(s.dir, draftsFolder)
	for _, name := range []string{".new-123", named("a").String() + noteSuffix, "README"} {
		must(t, os.WriteFile(filepath.Join(folder, name), nil, 0o600))
	}
	for _, c := range []struct {
		since time.Time
		want  int
	}{{time.Now().Add(-time.Hour), 3}, {time.Now().Add(time.Hour), 1}} {
		if n, err := s.Sweep(t.Context(), c.since); n != 0 || err != nil {
			t.Errorf("%d drafts, %v", n, err)
		}
		if left := files(t, folder); len(left) != c.want {
			t.Errorf("left over: %q", left)
		}
	}
}

// Another process that has a draft open is not swept away.
func TestSweepSparesOtherProcesses(t *testing.T) {
	s := open(t, t.TempDir())
	other := open(t, s.dir)
	d := begin(t, other, named("a"), -1, []byte("content"))
	must(t, d.Save(t.Context(), nil))
	if n, err := s.Sweep(t.Context(), time.Now().Add(time.Hour)); n != 0 || err != nil {
		t.Errorf("%d drafts, %v", n, err)
	}
	must(t, d.Commit(t.Context()))
	objecttest.WantHeld(t, s, named("a"), []byte("content"))
}

func TestNotReady(t *testing.T) {
	s := open(t, t.TempDir())
	must(t, os.RemoveAll(filepath.Join(s.dir, draftsFolder)))
	if err := s.Ready(t.Context()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}
