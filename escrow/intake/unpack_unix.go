//go:build unix

package intake

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// setTime sets the times of the path, whose folder is open. A link's own times are set, not those of its target.
func setTime(_ *os.Root, folder *os.File, path string, at time.Time) error {
	t := unix.NsecToTimespec(at.UnixNano())
	err := unix.UtimesNanoAt(int(folder.Fd()), base(path), []unix.Timespec{t, t}, unix.AT_SYMLINK_NOFOLLOW)
	if err != nil {
		return &os.PathError{Op: "utimensat", Path: path, Err: err}
	}
	return nil
}
