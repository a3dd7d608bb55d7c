package sandbox

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Each file counts as at least this much, so that empty ones without end are seen.
const leastPerFile = 4096

// maxFolderDepth is how deep a build may nest folders.
const maxFolderDepth = 512

// usage sums up what a tree takes on disk.
type usage struct {
	bytes  int64
	linked map[uint64]bool // files of several names that are counted already
	device uint64
}

// measure walks the tree at dir while a build may change it. Links are not followed and nothing is opened but folders.
func measure(dir string) (*usage, error) {
	var st unix.Stat_t
	if err := unix.Lstat(dir, &st); err != nil {
		return nil, err
	}
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	u := &usage{linked: map[uint64]bool{}, device: st.Dev}
	return u, u.folder(fd, 0)
}

// folder takes over fd. What goes away meanwhile is passed over.
func (u *usage) folder(fd, depth int) error {
	d := os.NewFile(uintptr(fd), "folder")
	defer d.Close()
	if depth > maxFolderDepth {
		return fmt.Errorf("folders more than %d deep", maxFolderDepth)
	}
	for {
		names, err := d.Readdirnames(1024)
		for _, n := range names {
			if err := u.entry(fd, n, depth); err != nil {
				return err
			}
		}
		if err != nil {
			return nil
		}
	}
}

func (u *usage) entry(parent int, name string, depth int) error {
	var st unix.Stat_t
	if unix.Fstatat(parent, name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
		return nil
	}
	u.count(&st)
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return nil
	}
	fd, err := unix.Openat(parent, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	return u.folder(fd, depth+1)
}

func (u *usage) count(st *unix.Stat_t) {
	if st.Nlink != 1 && st.Mode&unix.S_IFMT != unix.S_IFDIR {
		if u.linked[st.Ino] {
			return
		}
		u.linked[st.Ino] = true
	}
	u.bytes += max(st.Blocks*512, leastPerFile)
}

// addDeleted counts the files without a name that the processes still have open: they take room as well.
func (u *usage) addDeleted(pids []int) {
	for _, pid := range pids {
		fds := fmt.Sprintf("/proc/%d/fd", pid)
		entries, err := os.ReadDir(fds)
		if err != nil {
			continue // it has ended
		}
		for _, e := range entries {
			u.addIfDeleted(filepath.Join(fds, e.Name()))
		}
	}
}

func (u *usage) addIfDeleted(fd string) {
	to, err := os.Readlink(fd)
	if err != nil || !strings.HasSuffix(to, " (deleted)") {
		return
	}
	var st unix.Stat_t
	if unix.Stat(fd, &st) == nil && st.Nlink == 0 && st.Dev == u.device {
		u.count(&st)
	}
}
