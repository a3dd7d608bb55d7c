package fs

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/countersign-escrow/countersign/escrow/blob/object"
)

// tempPrefix begins the names of files that are of no use once their writer is gone, as those of durable.WriteFile do.
const tempPrefix = ".new-"

// Sweep removes drafts that nobody has gone on with since a time, and what gave way to objects whose lock has ended.
func (s *Store) Sweep(ctx context.Context, since time.Time) (int, error) {
	entries, err := os.ReadDir(filepath.Join(s.dir, draftsFolder))
	if err != nil {
		return 0, err
	}
	swept := 0
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return swept, err
		}
		gone, err := s.sweepFile(e.Name(), since)
		if err != nil {
			return swept, err
		}
		if gone {
			swept++
		}
	}
	return swept, errors.Join(ctx.Err(), s.sweepReplaced())
}

// sweepFile looks at one file of the drafts' folder and says whether it removed a draft.
func (s *Store) sweepFile(file string, since time.Time) (bool, error) {
	path := filepath.Join(s.dir, draftsFolder, file)
	if strings.HasPrefix(file, tempPrefix) {
		old, err := older(path, since)
		if err == nil && old {
			err = remove(path)
		}
		return false, err
	}
	name, err := object.ParseName(strings.TrimSuffix(strings.TrimSuffix(file, dataSuffix), noteSuffix))
	if err != nil {
		return false, nil // nothing of ours
	}
	return s.sweepDraft(name, since)
}

// sweepDraft removes one draft, if it is old and nobody has it open.
func (s *Store) sweepDraft(name object.Name, since time.Time) (bool, error) {
	for _, path := range []string{s.dataPath(name), s.notePath(name)} {
		old, err := older(path, since)
		if err != nil || !old {
			return false, err
		}
	}
	_, err := os.Stat(s.dataPath(name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, remove(s.notePath(name)) // a process died between the last two steps of Commit
	}
	d := &draft{store: s, name: name}
	if err != nil || !s.enter(d) {
		return false, err
	}
	defer s.leave(d)
	f, err := s.openData(name)
	if err != nil {
		return false, nil // another process has it
	}
	defer f.Close() //nolint:errcheck
	return true, d.clear()
}

// older says whether a file was last written before a time, or is not there.
func older(path string, since time.Time) (bool, error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	return err == nil && info.ModTime().Before(since), err
}

// sweepReplaced removes what gave way to objects whose lock has ended.
func (s *Store) sweepReplaced() error {
	s.keep.Lock()
	defer s.keep.Unlock()
	entries, err := os.ReadDir(filepath.Join(s.dir, replacedFolder))
	if err != nil {
		return err
	}
	for _, e := range entries {
		digits, _, _ := strings.Cut(e.Name(), "-")
		name, err := object.ParseName(digits)
		if err != nil {
			continue // nothing of ours
		}
		lock, err := s.readLock(name)
		if err != nil {
			return err
		}
		if lock.Ends(s.now()) {
			if err := s.removeReplaced(name); err != nil {
				return err
			}
		}
	}
	return nil
}
