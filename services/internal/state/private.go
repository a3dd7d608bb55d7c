package state

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

const forOthers = 0o077

// checkPrivate refuses a folder that anybody but its owner may read or change, and such files in it. The owner is this
// process's user, or one of the others who are named.
func checkPrivate(dir string, others ...int) error {
	if err := checkMode(dir, others...); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := checkMode(filepath.Join(dir, e.Name()), others...); err != nil {
			return err
		}
	}
	return nil
}

func checkMode(path string, others ...int) error {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	if uid := os.Geteuid(); int(st.Uid) != uid && !slices.Contains(others, int(st.Uid)) {
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

// ownerOf returns the user that a file belongs to.
func ownerOf(path string) (int, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return 0, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	return int(st.Uid), nil
}

// CheckOwner refuses to change a file of another user: what takes its place would belong to this process's, and be kept
// from the owner.
func CheckOwner(path string) error {
	owner, err := ownerOf(path)
	if err != nil {
		return err
	}
	if uid := os.Geteuid(); owner != uid {
		return fmt.Errorf("%s belongs to user %d and this is user %d: run escrowd as its owner", path, owner, uid)
	}
	return nil
}
