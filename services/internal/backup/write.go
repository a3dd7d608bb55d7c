package backup

import (
	"archive/tar"
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/durable"
	"github.com/countersign-escrow/countersign/escrow/fault"
)

// Save writes an archive to a new file, for its owner only, which is durable when Save returns. A file that is there is
// not written over, and one that broke off is not left behind.
func Save(ctx context.Context, file string, src Source) (h Header, err error) {
	if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
		return h, errors.Join(err, fault.AlreadyExists(file).WithAdvice("name another file"))
	}
	f, err := os.CreateTemp(filepath.Dir(file), ".backup-*") // of mode 0600
	if err != nil {
		return h, err
	}
	defer func() {
		err = errors.Join(err, f.Close())
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	if h, err = Write(ctx, f, src); err != nil {
		return h, err
	}
	if err := f.Sync(); err != nil {
		return h, err
	}
	return h, durable.Rename(f.Name(), file)
}

// Write writes an archive. It holds the service's keys in the clear.
func Write(ctx context.Context, w io.Writer, src Source) (Header, error) {
	buffered := bufio.NewWriterSize(w, 1<<20)
	a := &archive{tar: tar.NewWriter(buffered), header: Header{Format: format, Made: time.Now().UTC().Truncate(time.Second)}}
	if err := a.all(ctx, src); err != nil {
		return a.header, err
	}
	if err := a.manifest(); err != nil {
		return a.header, err
	}
	return a.header, errors.Join(a.tar.Close(), buffered.Flush())
}

// archive is one that is being written.
type archive struct {
	tar     *tar.Writer
	header  Header
	entries []entry
}

// all copies what may only be pointed at after what points at it: the catalog knows of entries of the log, of keys and of
// objects, and none of them knows of the catalog.
func (a *archive) all(ctx context.Context, src Source) error {
	if err := a.catalog(ctx, src); err != nil {
		return err
	}
	log, err := src.Log.Files(ctx, func(name string, content []byte) error {
		return a.add(path.Join(logName, name), int64(len(content)), fileMode, bytesOf(content))
	})
	if err != nil {
		return err
	}
	a.header.LogSize, a.header.LogRoot = log.Size, hex.EncodeToString(log.RootHash)
	for _, f := range src.Folders {
		a.header.Objects = a.header.Objects || f.Name == "objects"
		if err := a.folder(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

func (a *archive) catalog(ctx context.Context, src Source) error {
	if src.Catalog == "" {
		return nil
	}
	a.header.Catalog = true
	dir, err := os.MkdirTemp(src.Scratch, "backup-*") // of mode 0700
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	snapshot := filepath.Join(dir, catalogName)
	if err := catalog.Snapshot(ctx, src.Catalog, snapshot); err != nil {
		return err
	}
	return a.file(catalogName, snapshot)
}

// folder copies the files of a folder. One that is gone when its turn comes was no longer needed.
func (a *archive) folder(ctx context.Context, f Folder) error {
	return filepath.WalkDir(f.Path, func(at string, d fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(f.Path, at)
		if err != nil || (f.Skip != nil && f.Skip(name)) {
			return err
		}
		if !d.Type().IsRegular() {
			return fault.Corruptf(at, "%s is no file: it is not backed up", at).WithAdvice("take it away")
		}
		return a.file(path.Join(f.Name, filepath.ToSlash(name)), at)
	})
}

// file copies one file, as long as it is now.
func (a *archive) file(name, at string) error {
	f, err := os.Open(at)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	return a.add(name, info.Size(), info.Mode().Perm()&fileMode, func(w io.Writer) error {
		_, err := io.CopyN(w, f, info.Size())
		return err
	})
}

func bytesOf(content []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	}
}

// add writes one entry, whose content copies to a writer.
func (a *archive) add(name string, size int64, mode fs.FileMode, content func(io.Writer) error) error {
	if err := checkPath(name); err != nil {
		return err
	}
	if len(a.entries) == maxEntries {
		return fault.Exhaustedf("", "there are more than %d files", maxEntries)
	}
	h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: int64(mode), ModTime: a.header.Made}
	if err := a.tar.WriteHeader(h); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	hash := sha256.New()
	if err := content(io.MultiWriter(a.tar, hash)); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	a.entries = append(a.entries, entry{Path: name, Size: size, SHA256: hex.EncodeToString(hash.Sum(nil))})
	a.header.Entries++
	a.header.Bytes += size
	return nil
}

// manifest ends the archive. It is written twice: a tar header says the size of what follows.
func (a *archive) manifest() error {
	var size counter
	if err := a.lines(&size); err != nil {
		return err
	}
	h := &tar.Header{Typeflag: tar.TypeReg, Name: manifestName, Size: int64(size), Mode: fileMode, ModTime: a.header.Made}
	if err := a.tar.WriteHeader(h); err != nil {
		return err
	}
	return a.lines(a.tar)
}

func (a *archive) lines(w io.Writer) error {
	enc := json.NewEncoder(w)
	if err := enc.Encode(a.header); err != nil {
		return err
	}
	for _, e := range a.entries {
		if err := enc.Encode(e); err != nil {
			return err
		}
	}
	return nil
}

// counter counts bytes.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}
