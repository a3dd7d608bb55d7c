package scratch

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func entries(t *testing.T, dir string) []string {
	t.Helper()
	es, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range es {
		if e.Name() != lockSuffix {
			names = append(names, e.Name())
		}
	}
	return names
}

func TestRemoveLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	f, err := Make(dir, "run-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(f.Path, "x"), nil, 0o400); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := f.Remove(); err != nil {
			t.Fatal(err)
		}
	}
	if left := entries(t, dir); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

func TestSweepSparesTheLiving(t *testing.T) {
	dir := t.TempDir()
	alive, err := Make(dir, "run-")
	if err != nil {
		t.Fatal(err)
	}
	dead, err := Make(dir, "run-")
	if err != nil {
		t.Fatal(err)
	}
	dead.lock.Close() // as the kernel does when a process ends
	other := filepath.Join(dir, "kept-1")
	if err := os.Mkdir(other, 0o700); err != nil {
		t.Fatal(err)
	}
	refused := errors.New("still busy")
	if err := Sweep(dir, "run-", func(string) error { return refused }); !errors.Is(err, refused) {
		t.Fatalf("the tidying's error is lost: %v", err)
	}
	if _, err := os.Stat(dead.Path); err != nil {
		t.Fatalf("a folder that could not be tidied must stay: %v", err)
	}
	var tidied []string
	if err := Sweep(dir, "run-", func(p string) error { tidied = append(tidied, p); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(tidied) != 1 || tidied[0] != dead.Path {
		t.Errorf("tidied %v, want %s alone", tidied, dead.Path)
	}
	for path, want := range map[string]bool{alive.Path: true, other: true, dead.Path: false, dead.Path + lockSuffix: false} {
		if _, err := os.Stat(path); (err == nil) != want {
			t.Errorf("%s there: %v, want %v", path, err == nil, want)
		}
	}
	if err := alive.Remove(); err != nil {
		t.Error(err)
	}
}

// Deeper than a process may open files, as only relative names can make it.
func TestRemoveAllOfDeepTree(t *testing.T) {
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err != nil {
		t.Fatal(err)
	}
	few := lim
	few.Cur = 256
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &few); err != nil {
		t.Skipf("cannot lower the limit of open files: %v", err)
	}
	defer unix.Setrlimit(unix.RLIMIT_NOFILE, &lim)
	top := filepath.Join(t.TempDir(), "tree")
	fd := unix.AT_FDCWD
	for i := range 5000 {
		name := "d"
		if i == 0 {
			name = top
		}
		if err := unix.Mkdirat(fd, name, 0o755); err != nil {
			t.Fatal(err)
		}
		next, err := unix.Openat(fd, name, unix.O_DIRECTORY|unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		if fd != unix.AT_FDCWD {
			unix.Close(fd)
		}
		fd = next
	}
	unix.Close(fd)
	if os.RemoveAll(top) == nil {
		t.Fatal("the tree is not deep enough to test anything")
	}
	if err := RemoveAll(top); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(top); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("still there: %v", err)
	}
}
