package tlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/transparency-dev/tessera/client"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

// copyOf copies a log to a new folder.
func copyOf(t *testing.T, r *Reader) (string, Copied) {
	t.Helper()
	dir := t.TempDir()
	last := ""
	got, err := r.Files(t.Context(), func(path string, content []byte) error {
		last = path
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		return os.WriteFile(path, content, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	if got.Size > 0 && last != "checkpoint" {
		t.Errorf("%s comes last", last)
	}
	return dir, got
}

func TestACopyGoesOnWhereItWasMade(t *testing.T) {
	dir, key := t.TempDir(), newKey(t)
	l := open(t, dir, key)
	stop := make(chan struct{})
	var appending sync.WaitGroup
	for w := range 40 { // the tile that is copied fills up meanwhile
		appending.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := l.Append(context.Background(), fmt.Appendf(nil, "%d-%d", w, i)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for n := uint64(0); n < 600; {
		made, copied := copyOf(t, l.Reader)
		n = copied.Size
		checkCopy(t, made, copied)
		goOn(t, Config{Dir: made, Origin: origin, Key: key}, copied)
	}
	close(stop)
	appending.Wait()
}

// checkCopy reads every entry of a copy and proves it.
func checkCopy(t *testing.T, dir string, copied Copied) {
	t.Helper()
	files := client.FileFetcher{Root: dir}
	for at := uint64(0); at < copied.Size; at += 256 {
		width := min(copied.Size-at, 256)
		b, err := client.GetEntryBundle(t.Context(), files.ReadEntryBundle, at/256, copied.Size)
		if err != nil || uint64(len(b.Entries)) != width {
			t.Fatalf("entries from %d: %d, %v", at, len(b.Entries), err)
		}
		hashes, err := client.FetchLeafHashes(t.Context(), files.ReadTile, at, width, copied.Size)
		if err != nil {
			t.Fatal(err)
		}
		for i, e := range b.Entries {
			if leaf := LeafHash(e); !bytes.Equal(hashes[i], leaf.Bytes()) {
				t.Fatalf("entry %d is not that of its tile", at+uint64(i))
			}
		}
	}
}

func goOn(t *testing.T, cfg Config, copied Copied) {
	t.Helper()
	l, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer shut(t, l)
	if at := mustAppend(t, l, "the next"); at != copied.Size {
		t.Errorf("the copy of %d entries goes on at %d", copied.Size, at)
	}
	checkProof(t, l, copied.Size, []byte("the next"))
	p, err := l.Proof(t.Context(), 0)
	if err != nil || p.TreeSize != copied.Size+1 {
		t.Errorf("proof of the first entry: %+v, %v", p, err)
	}
}

// Where the partial tiles of a checkpoint have given way to full ones, the copy has what the checkpoint covers and no more.
func TestACopyOfAPartOfATile(t *testing.T) {
	dir, key := t.TempDir(), newKey(t)
	l := open(t, dir, key)
	for i := range 3 {
		mustAppend(t, l, fmt.Sprint(i))
	}
	early, err := l.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var appending sync.WaitGroup
	for i := range 260 {
		appending.Go(func() {
			if _, err := l.Append(t.Context(), fmt.Append(nil, i)); err != nil {
				t.Error(err)
			}
		})
	}
	appending.Wait()
	shut(t, l)
	err = errors.Join(os.WriteFile(filepath.Join(dir, "checkpoint"), early, 0o600),
		os.Remove(filepath.Join(dir, "tile/0/000.p/3")), os.Remove(filepath.Join(dir, "tile/entries/000.p/3")))
	if err != nil {
		t.Fatal(err)
	}
	made, copied := copyOf(t, openReader(t, dir, key))
	if copied.Size != 3 {
		t.Errorf("%d entries", copied.Size)
	}
	for name, size := range map[string]int64{"tile/0/000.p/3": 3 * 32, "tile/entries/000.p/3": 3 * 3} {
		if info, err := os.Stat(filepath.Join(made, name)); err != nil || info.Size() != size {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	checkCopy(t, made, copied)
	goOn(t, Config{Dir: made, Origin: origin, Key: key}, copied)
}

// A log without its private state must not begin anew under the same name.
func TestLostStateIsMended(t *testing.T) {
	dir, key := t.TempDir(), newKey(t)
	l := open(t, dir, key)
	for i := range 3 {
		mustAppend(t, l, fmt.Sprint(i))
	}
	shut(t, l)
	if err := os.RemoveAll(filepath.Join(dir, ".state")); err != nil {
		t.Fatal(err)
	}
	l = open(t, dir, key)
	if at := mustAppend(t, l, "next"); at != 3 {
		t.Errorf("goes on at %d, want 3", at)
	}
	checkProof(t, l, 1, []byte("1"))
}

// A folder with less than the log is known to have is left as it is.
func TestAShorterLogIsNotGoneOnWith(t *testing.T) {
	dir, key := t.TempDir(), newKey(t)
	l := open(t, dir, key)
	mustAppend(t, l, "0")
	shut(t, l)
	for _, folder := range []string{dir, t.TempDir()} {
		cfg := Config{Dir: folder, Origin: origin, Key: key, Least: func(context.Context) (uint64, error) { return 2, nil }}
		if _, err := Open(t.Context(), cfg); !fault.Is(err, fault.Precondition) {
			t.Errorf("%v", err)
		}
	}
	cfg := Config{Dir: dir, Origin: origin, Key: key, Least: func(context.Context) (uint64, error) { return 1, nil }}
	l, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	shut(t, l)
	cfg.Least = func(context.Context) (uint64, error) { return 0, errors.New("the database is away") }
	if _, err := Open(t.Context(), cfg); err == nil {
		t.Error("opened without knowing how long the log must be")
	}
}

func TestDamageIsNotCopied(t *testing.T) {
	for _, damaged := range []string{"tile/0/000.p/3", "tile/entries/000.p/3"} {
		dir := t.TempDir()
		l := open(t, dir, newKey(t))
		for i := range 3 {
			mustAppend(t, l, fmt.Sprint(i))
		}
		if err := os.WriteFile(filepath.Join(dir, damaged), []byte("short"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Files(t.Context(), func(string, []byte) error { return nil }); !fault.Is(err, fault.Corrupt) {
			t.Errorf("%s: %v", damaged, err)
		}
	}
	r := openReader(t, t.TempDir(), newKey(t))
	if n, err := r.Files(t.Context(), func(string, []byte) error { return nil }); n.Size != 0 || err != nil {
		t.Errorf("a log that has not begun: %v, %v", n, err)
	}
}

func FuzzEntriesEnd(f *testing.F) {
	f.Add([]byte{0, 1, 'a', 0, 0}, 2)
	f.Fuzz(func(t *testing.T, b []byte, n int) {
		if end, ok := entriesEnd(b, n); ok && (end > len(b) || end < 2*max(n, 0)) {
			t.Errorf("%d entries end at %d of %d", n, end, len(b))
		}
	})
}
