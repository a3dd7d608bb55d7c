package intake

import (
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

const (
	folderPerm     = 0o755
	regularPerm    = 0o644
	executablePerm = 0o755
)

// Unpack writes the tree into the existing folder dir and never outside of it. Folders that are there already are kept, files are
// not replaced. Modes do not depend on the umask, and all times are the source's, so that a build sees the same tree
// each time. After an error dir holds an unknown part of the tree.
func Unpack(ctx context.Context, t Tree, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	u := &unpacker{root: root, in: root, buf: make([]byte, 128<<10)}
	defer u.leave()
	if err := t.Walk(ctx, u.add); err != nil {
		return err
	}
	return u.setTimes(ctx, t.Provenance().Time)
}

type unpacker struct {
	root   *os.Root
	folder string   // the folder of the last entry
	in     *os.Root // that folder, kept open because the next entry is mostly its neighbour
	buf    []byte
	paths  []string
}

// enter opens the folder of an entry, unless it is open.
func (u *unpacker) enter(folder string) error {
	if folder == u.folder {
		return nil
	}
	u.leave()
	if folder == "" {
		return nil
	}
	in, err := u.root.OpenRoot(folder)
	if err != nil {
		return err
	}
	u.folder, u.in = folder, in
	return nil
}

func (u *unpacker) leave() {
	if u.in != u.root {
		u.in.Close()
	}
	u.folder, u.in = "", u.root
}

func (u *unpacker) add(e Entry) error {
	if err := u.enter(parent(e.Path)); err != nil {
		return err
	}
	u.paths = append(u.paths, e.Path)
	name := base(e.Path)
	var err error
	switch e.Mode {
	case Folder:
		err = u.mkdir(name)
	case Symlink:
		err = u.in.Symlink(e.Link, name)
	case Executable:
		err = u.write(name, e.Content, executablePerm)
	default:
		err = u.write(name, e.Content, regularPerm)
	}
	if errors.Is(err, fs.ErrExist) {
		return fault.Invalidf(member(e.Path, -1), "is there already").WithAdvice("unpack each source into a folder of its own")
	}
	return err
}

func (u *unpacker) mkdir(name string) error {
	err := u.in.Mkdir(name, folderPerm)
	if err != nil {
		if info, statErr := u.in.Lstat(name); statErr != nil || !info.IsDir() {
			return err
		}
	}
	return u.in.Chmod(name, folderPerm)
}

func (u *unpacker) write(name string, content io.Reader, perm fs.FileMode) error {
	f, err := u.in.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return err
	}
	_, err = io.CopyBuffer(onlyWriter{f}, content, u.buf)
	return errors.Join(err, f.Chmod(perm), f.Close())
}

// onlyWriter hides that a file can read by itself, which would not use our buffer.
type onlyWriter struct{ io.Writer }

// setTimes gives everything that was unpacked the same time, the folder itself included. It comes last: creating a file
// changes the time of its folder, setting a time does not.
func (u *unpacker) setTimes(ctx context.Context, at time.Time) error {
	in, err := u.root.Open(".")
	if err != nil {
		return err
	}
	defer func() { in.Close() }()
	folder := ""
	for _, p := range u.paths {
		if err := ctx.Err(); err != nil {
			return err
		}
		if parent(p) != folder {
			in.Close()
			folder = parent(p)
			if in, err = u.root.Open(cmp.Or(folder, ".")); err != nil {
				return err
			}
		}
		if err := setTime(u.root, in, p, at); err != nil {
			return err
		}
	}
	return u.root.Chtimes(".", at, at)
}
