package sandbox

import (
	"os"
	"path/filepath"
	"testing"
)

func TestMeasure(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, size int) string {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, make([]byte, size), 0o644); err != nil {
			t.Fatal(err)
		}
		return p
	}
	measured := func() int64 {
		t.Helper()
		u, err := measure(dir)
		if err != nil {
			t.Fatal(err)
		}
		return u.bytes
	}
	empty := measured()
	if empty > leastPerFile {
		t.Fatalf("an empty folder takes %d bytes", empty)
	}
	big := write("sub/big", 1<<20)
	one := measured()
	if one < 1<<20 || one > 1<<20+1<<16 {
		t.Errorf("a file of 1 MiB takes %d bytes", one)
	}
	if err := os.Link(big, filepath.Join(dir, "again")); err != nil {
		t.Fatal(err)
	}
	if got := measured(); got != one {
		t.Errorf("a second name takes %d bytes", got-one)
	}
	if err := os.Symlink("/", filepath.Join(dir, "root")); err != nil {
		t.Fatal(err)
	}
	if got := measured(); got-one > 2*leastPerFile {
		t.Errorf("a link to elsewhere takes %d bytes", got-one)
	}
	sparse := write("sparse", 0)
	if err := os.Truncate(sparse, 1<<40); err != nil {
		t.Fatal(err)
	}
	if got := measured(); got-one > 4*leastPerFile {
		t.Errorf("a file of holes takes %d bytes", got-one)
	}

	f, err := os.Create(filepath.Join(dir, "nameless"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(f.Name()); err != nil {
		t.Fatal(err)
	}
	u, err := measure(dir)
	if err != nil {
		t.Fatal(err)
	}
	named := u.bytes
	u.addDeleted([]int{os.Getpid()})
	if u.bytes-named < 1<<20 {
		t.Errorf("a file without a name takes %d bytes", u.bytes-named)
	}
}
