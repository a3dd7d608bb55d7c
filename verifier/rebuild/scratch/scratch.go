// Package scratch makes folders that belong to a living process, and finds those that dead ones left.
// It knows nothing of what is in them.
package scratch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// A folder belongs to whoever holds the lock on the file beside it, named like the folder with this after it. The
// kernel lets go of the lock when the process ends, however it ends.
const lockSuffix = ".lock"

// Folder is one folder and the claim to it.
type Folder struct {
	Path string
	lock *os.File
}

// Make makes an empty folder with a new name below dir, which is made where it is missing.
func Make(dir, prefix string) (*Folder, error) {
	guard, err := guard(dir)
	if err != nil {
		return nil, err
	}
	defer guard.Close()
	spread(dir)
	path, err := os.MkdirTemp(dir, prefix)
	if err != nil {
		return nil, err
	}
	lock, err := claim(path+lockSuffix, unix.LOCK_EX|unix.LOCK_NB)
	if err != nil {
		return nil, errors.Join(err, os.Remove(path))
	}
	return &Folder{Path: path, lock: lock}, nil
}

// Name returns the last part of the path.
func (f *Folder) Name() string { return filepath.Base(f.Path) }

// Remove removes the folder with all that is in it and gives up the claim. A second call does nothing.
func (f *Folder) Remove() error {
	if f.lock == nil {
		return nil
	}
	err := remove(f.Path)
	err = errors.Join(err, f.lock.Close())
	f.lock = nil
	return err
}

// Sweep removes the folders below dir with that prefix whose owner is dead. Before each one goes, tidy (if not nil)
// may end what still uses it; where it fails, the folder stays.
func Sweep(dir, prefix string, tidy func(path string) error) error {
	guard, err := guard(dir)
	if err != nil {
		return err
	}
	defer guard.Close()
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var problems []error
	for _, e := range entries {
		if e.IsDir() && strings.HasPrefix(e.Name(), prefix) {
			problems = append(problems, sweepOne(filepath.Join(dir, e.Name()), tidy))
		}
	}
	return errors.Join(problems...)
}

func sweepOne(path string, tidy func(string) error) error {
	lock, err := claim(path+lockSuffix, unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil // it lives
	}
	if err != nil {
		return err
	}
	defer lock.Close()
	if tidy != nil {
		if err := tidy(path); err != nil {
			return err
		}
	}
	return remove(path)
}

// remove lets the lock file go last, so that what is left of a removal that was cut short is swept the next time.
func remove(path string) error {
	if err := RemoveAll(path); err != nil {
		return err
	}
	return os.Remove(path + lockSuffix)
}

// RemoveAll removes a tree however deep it is. The common way holds every folder on the way down open, and so a
// hostile build could nest more of them than a process may open.
func RemoveAll(path string) error {
	if os.RemoveAll(path) == nil {
		return nil
	}
	if err := flatten(path); err != nil {
		return err
	}
	return os.RemoveAll(path)
}

// flatten takes the tree apart from the top, one level at a time: what is two levels down moves up, what is left
// above it goes.
func flatten(dir string) error {
	for moved := 0; ; {
		tops, err := folders(dir)
		if err != nil || len(tops) == 0 {
			return err
		}
		for _, top := range tops {
			below, err := folders(top)
			if err != nil {
				return err
			}
			for _, b := range below {
				moved++
				if err := os.Rename(b, filepath.Join(dir, fmt.Sprintf(".flattened-%d", moved))); err != nil {
					return err
				}
			}
			if err := os.RemoveAll(top); err != nil {
				return err
			}
		}
	}
}

func folders(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, e := range entries {
		if e.IsDir() {
			found = append(found, filepath.Join(dir, e.Name()))
		}
	}
	return found, nil
}

// guard keeps Make and Sweep apart, in this process and among processes: no folder is seen before it is claimed.
func guard(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return claim(filepath.Join(dir, lockSuffix), unix.LOCK_EX)
}

func claim(path string, how int) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(f.Fd()), how)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
	}
	return f, nil
}
