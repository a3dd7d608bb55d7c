package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Lock is held on a folder.
type Lock struct{ file *os.File }

// Hold takes a folder for this process alone, until Release or the end of the process.
func Hold(dir string) (*Lock, error) {
	f, err := acquire(filepath.Join(dir, "lock"))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	return &Lock{f}, nil
}

// Release lets go of the folder.
func (l *Lock) Release() error { return l.file.Close() }

// acquire takes the lock that the file at path stands for. It is let go when the file is closed, also by the end of the
// process.
func acquire(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, fileMode)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = errors.New("another escrowd runs on it: stop that one first, or name another folder")
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
