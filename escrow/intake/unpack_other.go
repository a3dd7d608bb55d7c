//go:build !unix

package intake

import (
	"os"
	"time"
)

// setTime sets the times of the path, except for links, whose own times cannot be set here.
func setTime(root *os.Root, _ *os.File, path string, at time.Time) error {
	info, err := root.Lstat(path)
	if err != nil || info.Mode()&os.ModeSymlink != 0 {
		return err
	}
	return root.Chtimes(path, at, at)
}
