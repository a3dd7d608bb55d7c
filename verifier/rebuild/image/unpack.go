package image

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"syscall"
	"time"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

// Limits bound what an image may unpack to.
type Limits struct {
	Files int64 // entries in all layers together
	Bytes int64 // contents of all layers together
}

// DefaultLimits are wide enough for toolchains.
func DefaultLimits() Limits { return Limits{Files: 2 << 20, Bytes: 64 << 30} }

// Caps on names.
const (
	maxPath  = 4096
	maxDepth = 200
	padding  = 64 << 20 // bytes that may follow an archive's end
)

// Unpack lays the layers one over the other into the existing empty folder dir and never outside of it. All files
// belong to this process's user and are readable by everybody; set-id bits, devices and named pipes are left out.
// The folders named in mounts are there afterwards, at the top and no links. Faults of kind Invalid and Exhausted
// are the image's; other errors are not.
func (im *Image) Unpack(ctx context.Context, dir string, lim Limits, mounts ...string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	u := &unpacker{root: root, left: lim, folders: map[string]time.Time{}}
	for i, l := range im.layers {
		if err := u.layer(ctx, im.blobs, l); err != nil {
			return fmt.Errorf("layer %d: %w", i, err)
		}
	}
	for _, m := range mounts {
		if err := u.mountPoint(m); err != nil {
			return err
		}
	}
	return u.dateFolders()
}

// unpacker applies layers in turn.
type unpacker struct {
	root    *os.Root
	left    Limits
	folders map[string]time.Time // when folders were changed; set last, because filling them changes it
	own     map[string]bool      // paths that the present layer has made: its whiteouts do not touch them
}

func (u *unpacker) layer(ctx context.Context, blobs Blobs, l layer) error {
	s, err := openLayer(ctx, blobs, l)
	if err != nil {
		return err
	}
	defer s.Close()
	u.own = map[string]bool{}
	tr := tar.NewReader(s)
	for {
		h, err := tr.Next()
		if err == io.EOF {
			return s.finish(padding)
		}
		if err != nil {
			return s.blame(err)
		}
		if err := u.entry(h, tr); err != nil {
			return u.blame(s, h, err)
		}
	}
}

// blame says whose failure an error while writing an entry is: this machine's where it cannot write, else the layer's.
func (u *unpacker) blame(s *stream, h *tar.Header, err error) error {
	for _, ours := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EIO, syscall.EROFS, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM} {
		if errors.Is(err, ours) {
			return err
		}
	}
	if s.source.err != nil {
		return s.source.err
	}
	if fault.Is(err, fault.Exhausted) {
		return err
	}
	return s.blame(fmt.Errorf("entry %q: %w", shorten(h.Name), err))
}

func (u *unpacker) entry(h *tar.Header, r io.Reader) error {
	if u.left.Files--; u.left.Files < 0 {
		return fault.Exhaustedf("image", "has too many files")
	}
	if u.left.Bytes -= max(h.Size, 0); u.left.Bytes < 0 {
		return fault.Exhaustedf("image", "has too many bytes")
	}
	name, err := cleanName(h.Name)
	if err != nil || name == "." {
		return err
	}
	folder, base := path.Split(name)
	if folder = path.Clean(folder); folder != "." {
		if err := u.root.MkdirAll(folder, 0o755); err != nil {
			return err
		}
	}
	switch {
	case base == ".wh..wh..opq":
		return u.removeLower(folder, false)
	case strings.HasPrefix(base, ".wh."):
		gone := strings.TrimPrefix(base, ".wh.")
		if gone == "" || gone == "." || gone == ".." {
			return errors.New("marks nothing that could be removed")
		}
		return u.removeLower(path.Join(folder, gone), true)
	}
	if err := u.write(name, h, r); err != nil {
		return err
	}
	for p := name; p != "."; p = path.Dir(p) {
		u.own[p] = true
	}
	return nil
}

func (u *unpacker) write(name string, h *tar.Header, r io.Reader) error {
	switch h.Typeflag {
	case tar.TypeDir:
		return u.folder(name, h.ModTime)
	case tar.TypeReg:
		return u.file(name, h, r)
	case tar.TypeSymlink:
		if err := u.root.RemoveAll(name); err != nil {
			return err
		}
		return u.root.Symlink(h.Linkname, name)
	case tar.TypeLink:
		return u.hardLink(name, h.Linkname)
	default:
		return nil
	}
}

func (u *unpacker) folder(name string, changed time.Time) error {
	u.folders[name] = changed
	switch fi, err := u.root.Lstat(name); {
	case err == nil && fi.IsDir():
		return nil
	case err == nil:
		if err := u.root.Remove(name); err != nil {
			return err
		}
	}
	return u.root.Mkdir(name, 0o755)
}

func (u *unpacker) file(name string, h *tar.Header, r io.Reader) error {
	if err := u.root.RemoveAll(name); err != nil {
		return err
	}
	mode := os.FileMode(0o644)
	if h.Mode&0o111 != 0 {
		mode = 0o755
	}
	f, err := u.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	err = errors.Join(err, f.Chmod(mode), f.Close())
	if err != nil {
		return err
	}
	return u.root.Chtimes(name, h.ModTime, h.ModTime)
}

func (u *unpacker) hardLink(name, target string) error {
	target, err := cleanName(target)
	if err != nil {
		return err
	}
	fi, err := u.root.Lstat(target)
	if err != nil {
		return err
	}
	if fi.IsDir() {
		return fmt.Errorf("is a hard link to the folder %q", shorten(target))
	}
	if target == name {
		return nil
	}
	if err := u.root.RemoveAll(name); err != nil {
		return err
	}
	return u.root.Link(target, name)
}

// removeLower removes what lower layers left at name, or only inside of it, and spares what this layer has made.
func (u *unpacker) removeLower(name string, itself bool) error {
	fi, err := u.root.Lstat(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if itself && !u.own[name] {
		return u.root.RemoveAll(name)
	}
	if !fi.IsDir() {
		return nil
	}
	names, err := u.list(name)
	if err != nil {
		return err
	}
	for _, n := range names {
		if err := u.removeLower(path.Join(name, n), true); err != nil {
			return err
		}
	}
	return nil
}

func (u *unpacker) list(name string) ([]string, error) {
	d, err := u.root.Open(name)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.Readdirnames(-1)
}

// mountPoint makes name a folder, whatever the image has there.
func (u *unpacker) mountPoint(name string) error {
	if fi, err := u.root.Lstat(name); err == nil && fi.IsDir() {
		return nil
	}
	if err := u.root.RemoveAll(name); err != nil {
		return err
	}
	return u.root.Mkdir(name, 0o755)
}

// dateFolders sets the times of folders; one that a later layer has removed or replaced is passed over.
func (u *unpacker) dateFolders() error {
	for name, at := range u.folders {
		if fi, err := u.root.Lstat(name); err != nil || !fi.IsDir() {
			continue
		}
		if err := u.root.Chtimes(name, at, at); err != nil {
			return err
		}
	}
	return nil
}

func cleanName(name string) (string, error) {
	if len(name) > maxPath || strings.Count(name, "/") > maxDepth {
		return "", errors.New("its name is too long")
	}
	for _, part := range strings.Split(name, "/") {
		if part == ".." {
			return "", errors.New("its name leads upwards")
		}
	}
	return path.Join(".", name), nil
}

func shorten(s string) string {
	const most = 200
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
