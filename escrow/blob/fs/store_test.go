package fs

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/escrow/blob"
	"github.com/countersign-escrow/countersign/escrow/blob/blobtest"
	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
)

var (
	key  = bytes.Repeat([]byte{7}, MinKeyBytes)
	acme = resource.Organization{ID: "acme"}
)

func open(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir, key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestConformance(t *testing.T) {
	blobtest.Run(t, blobtest.Backend{
		New:    func(t *testing.T) blob.Store { return open(t, filepath.Join(t.TempDir(), "a", "b")) },
		Reopen: func(t *testing.T, former blob.Store) blob.Store { return open(t, former.(*Store).dir) },
	})
}

// files returns the paths of all files below a store's folder, except the key check.
func files(t *testing.T, s *Store) (paths []string) {
	t.Helper()
	err := filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && d.Name() != keyCheckFile {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

func put(t *testing.T, s *Store, holder resource.Organization, content []byte) blob.Ref {
	t.Helper()
	ref := blob.Ref{Holder: holder, Digest: digest.Of(content)}
	if err := blob.Put(context.Background(), s, ref, int64(len(content)), bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	return ref
}

func TestFolderTellsNothing(t *testing.T) {
	s := open(t, t.TempDir())
	content := []byte("the same bytes")
	put(t, s, acme, content)
	put(t, s, resource.Organization{ID: "umbrella"}, content)
	paths := files(t, s)
	if len(paths) != 2 || filepath.Base(paths[0]) == filepath.Base(paths[1]) {
		t.Fatalf("two holders of the same bytes: %q", paths)
	}
	for _, p := range paths {
		if strings.Contains(p, digest.Of(content).Hex()[:8]) || strings.Contains(p, "acme") {
			t.Errorf("%s tells what it holds", p)
		}
		if info, err := os.Stat(p); err != nil || info.Mode().Perm() != objectMode {
			t.Errorf("%s: %v, %v", p, info.Mode(), err)
		}
		if dir := filepath.Base(filepath.Dir(p)); dir != filepath.Base(p)[:2] {
			t.Errorf("%s lies in %s", p, dir)
		}
	}
}

func TestWrongKey(t *testing.T) {
	s := open(t, t.TempDir())
	if _, err := Open(s.dir, bytes.Repeat([]byte{8}, MinKeyBytes)); !fault.Is(err, fault.Precondition) {
		t.Errorf("another key: %v", err)
	}
	if _, err := Open(t.TempDir(), key[:MinKeyBytes-1]); !fault.Is(err, fault.Invalid) {
		t.Errorf("short key: %v", err)
	}
}

func TestDamage(t *testing.T) {
	content := []byte("some content")
	for name, damage := range map[string]func(path string) error{
		"end lost":     func(p string) error { return os.Truncate(p, headerBytes+3) },
		"all lost":     func(p string) error { return os.Truncate(p, 0) },
		"grown":        func(p string) error { return os.Truncate(p, 1000) },
		"other header": func(p string) error { return os.WriteFile(p, bytes.Repeat([]byte("x"), 100), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, t.TempDir())
			ref := put(t, s, acme, content)
			if err := damage(files(t, s)[0]); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Open(context.Background(), ref); !fault.Is(err, fault.Corrupt) {
				t.Errorf("Open: %v", err)
			}
			if _, err := s.Stat(context.Background(), ref); !fault.Is(err, fault.Corrupt) {
				t.Errorf("Stat: %v", err)
			}
			put(t, s, acme, content)
			blobtest.WantHeld(t, s, ref, content)
		})
	}
}

// An unfinished file can be left in any of these states when the machine goes down.
func TestUnfinishedFileInAnyState(t *testing.T) {
	content := blobtest.Content(1, 1000)
	ref := blob.Ref{Holder: acme, Digest: digest.Of(content)}
	whole := append(header(1000), content...)
	for name, c := range map[string]struct {
		file   []byte
		offset int64
		ok     bool // whether the content is good so far
	}{
		"empty":           {nil, 0, true},
		"half a header":   {whole[:9], 0, true},
		"header":          {whole[:headerBytes], 0, true},
		"some":            {whole[:headerBytes+123], 123, true},
		"all":             {whole, 1000, true},
		"zeros at end":    {append(bytes.Clone(whole[:500]), make([]byte, 200)...), 700 - headerBytes, false},
		"more than whole": {append(bytes.Clone(whole), 1, 2, 3), 1000, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, t.TempDir())
			if err := os.WriteFile(s.uploadPath(s.name(ref)), c.file, objectMode); err != nil {
				t.Fatal(err)
			}
			if n, err := s.Partial(context.Background(), ref); n != c.offset || err != nil {
				t.Fatalf("Partial: %d, %v, want %d", n, err, c.offset)
			}
			err := blob.Put(context.Background(), s, ref, 1000, bytes.NewReader(content))
			if !c.ok {
				if !fault.Is(err, fault.Invalid) {
					t.Fatalf("bad bytes were there: %v", err)
				}
				err = blob.Put(context.Background(), s, ref, 1000, bytes.NewReader(content))
			}
			if err != nil {
				t.Fatal(err)
			}
			blobtest.WantHeld(t, s, ref, content)
			if left := files(t, s); len(left) != 1 {
				t.Errorf("left over: %q", left)
			}
		})
	}
}

// pattern yields n bytes without holding them.
func pattern(n int64) io.Reader { return io.LimitReader(repeat{}, n) }

type repeat struct{}

func (repeat) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(i)
	}
	return len(p), nil
}

func TestMemoryStaysFlat(t *testing.T) {
	const size = 144 << 20
	want, _, err := digest.FromReader(pattern(size))
	if err != nil {
		t.Fatal(err)
	}
	ref := blob.Ref{Holder: acme, Digest: want}
	s := open(t, t.TempDir())
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	// The first half is there already, and has to be read again.
	u, err := s.Resume(context.Background(), ref, size)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(struct{ io.Writer }{u}, pattern(size/2)); err != nil {
		t.Fatal(err)
	}
	if err := u.Close(); err != nil {
		t.Fatal(err)
	}
	if err := blob.Put(context.Background(), s, ref, size, pattern(size)); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	const most = 4 << 20
	if used := after.TotalAlloc - before.TotalAlloc; used > most {
		t.Errorf("%d MiB were allocated for a blob of %d MiB", used>>20, size>>20)
	}
}

// TestKilled kills a process in the middle of an upload, several times, and ends with a whole blob.
func TestKilled(t *testing.T) {
	const size = 256 << 20
	if dir := os.Getenv("BLOB_FS_TEST_VICTIM"); dir != "" {
		victim(dir, size)
		return
	}
	dir := t.TempDir()
	ref := blob.Ref{Holder: acme, Digest: digest.Of(nil)} // the wrong one, so that only the test's end commits
	var durable int64
	for round := range 3 {
		kill(t, dir)
		n, err := open(t, dir).Partial(context.Background(), ref)
		if err != nil || n < durable || n > size {
			t.Fatalf("round %d: %d bytes after %d, %v", round, n, durable, err)
		}
		durable = n
	}
	if durable == 0 {
		t.Fatal("nothing survived")
	}
	s := open(t, dir)
	u, err := s.Resume(context.Background(), ref, size)
	if err != nil || u.Offset() != durable {
		t.Fatalf("Resume: %v", err)
	}
	defer u.Close() //nolint:errcheck
	want, _, err := digest.FromReader(pattern(durable))
	if err != nil {
		t.Fatal(err)
	}
	if got := digest.FromHash(u.(*upload).hash); got != want {
		t.Errorf("the %d bytes that survived are not those that were sent", durable)
	}
}

// kill starts a process that uploads, and kills it once it has written something.
func kill(t *testing.T, dir string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestKilled$")
	cmd.Env = append(os.Environ(), "BLOB_FS_TEST_VICTIM="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, len("writing"))); err != nil {
		t.Error(err)
	}
	time.Sleep(20 * time.Millisecond)
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait() // it was killed
}

func victim(dir string, size int64) {
	s, err := Open(dir, key)
	if err != nil {
		panic(err)
	}
	u, err := s.Resume(context.Background(), blob.Ref{Holder: acme, Digest: digest.Of(nil)}, size)
	if err != nil {
		panic(err)
	}
	// 64 KiB steps that go on with the pattern, which repeats every 256 bytes.
	step := make([]byte, 64<<10)
	_, _ = repeat{}.Read(step)
	for first := true; u.Offset()+int64(len(step)) < size; first = false {
		if _, err := u.Write(step[u.Offset()%256 : len(step)-256+int(u.Offset()%256)]); err != nil {
			panic(err)
		}
		if first {
			fmt.Print("writing")
		}
		time.Sleep(time.Millisecond)
	}
	time.Sleep(time.Minute)
}

// A writer whose disk fails must neither hold the blob for ever nor acknowledge anything.
func TestFailedSyncDropsTheUpload(t *testing.T) {
	s := open(t, t.TempDir())
	content := []byte("content")
	ref := blob.Ref{Holder: acme, Digest: digest.Of(content)}
	u, err := s.Resume(context.Background(), ref, int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := u.Write(content); err != nil {
		t.Fatal(err)
	}
	_, pipe, err := os.Pipe() // a file that cannot be synced
	if err != nil {
		t.Fatal(err)
	}
	up := u.(*upload)
	good := up.file
	defer good.Close() //nolint:errcheck
	up.file = pipe
	if err := up.sync(); err == nil {
		t.Fatal("a pipe was synced")
	}
	if err := u.Commit(context.Background()); err == nil {
		t.Error("committed what could not be synced")
	}
	if err := u.Close(); err != nil {
		t.Error(err)
	}
	if _, err := s.Stat(context.Background(), ref); !fault.Is(err, fault.NotFound) {
		t.Errorf("Stat: %v", err)
	}
	again, err := s.Resume(context.Background(), ref, int64(len(content)))
	if err != nil {
		t.Fatalf("the failed writer is still there: %v", err)
	}
	_ = again.Close()
}
