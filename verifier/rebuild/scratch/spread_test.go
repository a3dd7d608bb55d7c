package scratch

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func TestMakeSpreadsFolders(t *testing.T) {
	dir := t.TempDir()
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		t.Fatal(err)
	}
	if st.Type != unix.EXT4_SUPER_MAGIC {
		t.Skip("the file system of temporary files is not ext4")
	}
	f, err := Make(dir, "run-")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Remove()
	for path, want := range map[string]bool{dir: true, f.Path: false} {
		if got := flagsOf(t, path)&topOfTrees != 0; got != want {
			t.Errorf("%s is the top of trees: %v, want %v", path, got, want)
		}
	}
}

func flagsOf(t *testing.T, path string) uint32 {
	t.Helper()
	d, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	flags, err := unix.IoctlGetUint32(int(d.Fd()), unix.FS_IOC_GETFLAGS)
	if err != nil {
		t.Fatal(err)
	}
	return flags
}
