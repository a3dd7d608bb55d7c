package fetch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

const (
	folderMode = 0o755
	fileMode   = 0o644
)

func base(p string) string { return path.Base(p) }

// parent returns the folder of a path with the slash at its end, "" where there is none.
func parent(p string) string { return p[:strings.LastIndex(p, "/")+1] }

// enter opens the folder of a path, and makes what is missing on the way. It never goes through a link: what is written must
// lie where its name says.
func enter(root *os.Root, p string) (*os.Root, error) {
	dir, err := root.OpenRoot(".")
	if err != nil {
		return nil, err
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(parent(p), "/"), "/") {
		if name == "" {
			break
		}
		next, err := step(dir, name, p)
		dir.Close()
		if err != nil {
			return nil, err
		}
		dir = next
	}
	return dir, nil
}

func step(dir *os.Root, name, p string) (*os.Root, error) {
	switch err := dir.Mkdir(name, folderMode); {
	case err == nil:
		if err := syncFolder(dir); err != nil {
			return nil, err
		}
	case !errors.Is(err, fs.ErrExist):
		return nil, err
	}
	info, err := dir.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, inTheWay(p, fmt.Sprintf("%q on the way to it is no folder", name))
	}
	return dir.OpenRoot(name)
}

// inTheWay says that what is in the folder does not let a file be written.
func inTheWay(p, what string) error {
	return (&fault.Error{Kind: fault.Exists, Reason: "FILE_EXISTS", Field: p, Message: what}).WithAdvice("fetch into another folder, or move it away")
}

// regular says whether there is a file of a name; anything else of that name is an error.
func regular(dir *os.Root, name, p string) (bool, error) {
	info, err := dir.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	case !info.Mode().IsRegular():
		return false, inTheWay(p, fmt.Sprintf("%q is there and is no regular file", name))
	}
	return true, nil
}

func syncFolder(dir *os.Root) error {
	d, err := dir.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// settle gives a file that is synced its name, durably.
func settle(dir *os.Root, from, to string) error {
	if err := dir.Rename(from, to); err != nil {
		return err
	}
	return syncFolder(dir)
}

// Save writes a small file whole. One that is there with the same content is kept, one with another is never replaced.
func Save(root *os.Root, p string, content []byte) error {
	dir, err := enter(root, p)
	if err != nil {
		return err
	}
	defer dir.Close()
	there, err := regular(dir, base(p), p)
	if err != nil {
		return err
	}
	if there {
		held, err := dir.ReadFile(base(p))
		if err == nil && string(held) != string(content) {
			err = inTheWay(p, "is there already, with other content")
		}
		return err
	}
	return save(dir, base(p), content)
}

func save(dir *os.Root, name string, content []byte) error {
	partial := name + partialSuffix
	if err := dir.Remove(partial); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := dir.OpenFile(partial, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return settle(dir, partial, name)
}
