package state

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

const forOthers = 0o077

// checkPrivate refuses a folder that anybody but its owner may read or change, and such files in it.
func checkPrivate(dir string) error {
	if err := checkMode(dir); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := checkMode(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

func checkMode(path string) error {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	if uid := os.Geteuid(); int(st.Uid) != uid {
		return fmt.Errorf("%s belongs to user %d and this is user %d: run escrowd as its owner", path, st.Uid, uid)
	}
	mode, want := st.Mode&0o777, uint32(fileMode)
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		want = folderMode
	case unix.S_IFREG:
	default:
		return fmt.Errorf("%s is neither a file nor a folder", path)
	}
	if mode&forOthers != 0 {
		return fmt.Errorf("%s has mode %04o, so that others may use it: run `chmod %04o %s`", path, mode, want, path)
	}
	return nil
}
