package backup

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/countersign-escrow/countersign/escrow/durable"
	"github.com/countersign-escrow/countersign/escrow/fault"
)

// Restore unpacks an archive into a folder that is not there yet, or empty. The folder is there wholly, checked against the
// manifest and durable, or not at all: fault.Precondition if there is something in it, fault.Corrupt if the archive is not
// what Write made.
func Restore(ctx context.Context, r io.Reader, dir string) (Header, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return Header{}, err
	}
	if err := requireEmpty(dir); err != nil {
		return Header{}, err
	}
	if err := durable.MkdirAll(filepath.Dir(dir), folderMode); err != nil {
		return Header{}, err
	}
	temp, err := os.MkdirTemp(filepath.Dir(dir), filepath.Base(dir)+".restoring-*")
	if err != nil {
		return Header{}, err
	}
	h, err := unpackTo(ctx, r, temp)
	if err == nil {
		err = moveTo(temp, dir)
	}
	if err != nil {
		return h, errors.Join(err, os.RemoveAll(temp))
	}
	return h, nil
}

// moveTo puts the folder in its place, where there may be an empty one.
func moveTo(temp, dir string) error {
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fault.Preconditionf("NOT_EMPTY", dir, "%s cannot be replaced: %v", dir, err).WithAdvice("name a folder in it that is not there yet")
	}
	return durable.Rename(temp, dir)
}

func requireEmpty(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && len(entries) > 0 {
		return fault.Preconditionf("NOT_EMPTY", dir, "%s is not empty", dir).WithAdvice("name a folder that is not there yet")
	}
	return err
}

func unpackTo(ctx context.Context, r io.Reader, dir string) (Header, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return Header{}, err
	}
	defer root.Close()
	u := &unpacking{root: root, tar: tar.NewReader(bufio.NewReaderSize(r, 1<<20)), got: map[string]written{}}
	h, err := u.all(ctx)
	if err != nil {
		return h, err
	}
	return h, syncFolders(dir)
}

// unpacking is an archive that is being unpacked.
type unpacking struct {
	root *os.Root
	tar  *tar.Reader
	got  map[string]written
}

type written struct {
	size int64
	sum  sum
}

// all unpacks every entry and holds them against the manifest behind them.
func (u *unpacking) all(ctx context.Context) (h Header, err error) {
	for ctx.Err() == nil {
		header, err := u.next()
		if err != nil {
			return h, err
		}
		if header.Name == manifestName {
			if h, err = u.check(u.tar); err != nil {
				return h, err
			}
			return h, u.atEnd()
		}
		if err := u.file(header); err != nil {
			return h, err
		}
	}
	return h, ctx.Err()
}

func (u *unpacking) next() (*tar.Header, error) {
	h, err := u.tar.Next()
	switch {
	case errors.Is(err, io.EOF):
		return nil, fault.Corruptf("", "the archive has no manifest: it was cut off, or is no backup")
	case err != nil:
		return nil, fault.Corruptf("", "the archive cannot be read: %v", err)
	case h.Typeflag != tar.TypeReg:
		return nil, fault.Corruptf(h.Name, "the archive's entry %.80q is no file", h.Name)
	case h.Name == manifestName:
		return h, nil
	case len(u.got) >= maxEntries:
		return nil, fault.Corruptf("", "the archive has more than %d entries", maxEntries)
	}
	return h, checkPath(h.Name)
}

// file unpacks one entry. Two of one name are refused by the file system.
func (u *unpacking) file(h *tar.Header) (err error) {
	if err := u.root.MkdirAll(path.Dir(h.Name), folderMode); err != nil {
		return err
	}
	f, err := u.root.OpenFile(h.Name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, fileMode)
	if errors.Is(err, fs.ErrExist) {
		return fault.Corruptf(h.Name, "the archive has two entries %s", h.Name)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	hash := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, hash), u.tar)
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, tar.ErrHeader) {
		return fault.Corruptf(h.Name, "the archive ends in the middle of %s", h.Name)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", h.Name, err)
	}
	u.got[h.Name] = written{n, sum(hash.Sum(nil))}
	// What was read-only is so again; nothing is ever for others.
	if err := f.Chmod(fs.FileMode(h.Mode)&fileMode | 0o400); err != nil {
		return err
	}
	return f.Sync()
}

// check reads the manifest.
func (u *unpacking) check(r io.Reader) (h Header, err error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLineBytes)
	if !lines.Scan() || strictly(lines.Bytes(), &h) != nil || h.Format != format {
		return Header{}, fault.Corruptf(manifestName, "the archive is no backup that this program can read: its manifest does not begin with %q", format)
	}
	for n := 0; lines.Scan(); n++ {
		var e entry
		if err := strictly(lines.Bytes(), &e); err != nil {
			return h, fault.Corruptf(manifestName, "line %d of the manifest: %v", n+2, err)
		}
		if err := u.checkEntry(e); err != nil {
			return h, err
		}
	}
	if err := lines.Err(); err != nil {
		return h, fault.Corruptf(manifestName, "the manifest: %v", err)
	}
	for name := range u.got {
		return h, fault.Corruptf(name, "%s is not in the archive's manifest", name)
	}
	return h, nil
}

// checkEntry holds an entry against what was unpacked, which must not be named again.
func (u *unpacking) checkEntry(e entry) error {
	got, ok := u.got[e.Path]
	if !ok {
		return fault.Corruptf(e.Path, "%.80q is in the manifest and not in the archive", e.Path)
	}
	if got.size != e.Size || got.sum.String() != e.SHA256 {
		return fault.Corruptf(e.Path, "%s is not what was backed up: it has SHA-256 %s, must have %.64s", e.Path, got.sum, e.SHA256)
	}
	delete(u.got, e.Path)
	return nil
}

func strictly(line []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	return dec.Decode(v)
}

func (u *unpacking) atEnd() error {
	if _, err := u.tar.Next(); !errors.Is(err, io.EOF) {
		return fault.Corruptf("", "the archive goes on behind its manifest")
	}
	return nil
}

// syncFolders makes the names of all files durable; the files are.
func syncFolders(dir string) error {
	return filepath.WalkDir(dir, func(at string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		return durable.SyncFolder(at)
	})
}
