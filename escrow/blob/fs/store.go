// Package fs keeps objects in a folder: durable before they are there, read-only from then on, and not removed while their
// lock stands.
// It knows nothing of what an object holds. One process at a time uses a folder; it must lie on a local Linux file system.
package fs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/countersign-escrow/countersign/escrow/blob/object"
	"github.com/countersign-escrow/countersign/escrow/durable"
	"github.com/countersign-escrow/countersign/escrow/fault"
)

const (
	objectsFolder  = "objects"  // objects/ab/ab…: objects, never changed; beside them ab….lock, their locks
	draftsFolder   = "drafts"   // drafts/ab….data and ab….note: unfinished ones
	replacedFolder = "replaced" // replaced/ab…-1: damaged ones that gave way and whose lock stands

	folderMode = 0o700
	draftMode  = 0o600
	objectMode = 0o400
)

// Store is an object.Store in a folder.
type Store struct {
	dir string
	// room returns how many bytes more the disk of a folder may take.
	room func(dir string) (int64, error)
	now  func() time.Time

	mu     sync.Mutex
	drafts map[object.Name]*draft // that are open
	keep   sync.Mutex             // whoever reads a lock to act on it
}

var _ object.Store = (*Store)(nil)

// Open opens the store in dir, and makes it if it is not there.
func Open(dir string) (*Store, error) {
	s := &Store{dir: dir, room: room, now: time.Now, drafts: make(map[object.Name]*draft)}
	if err := s.makeFolders(); err != nil {
		return nil, fmt.Errorf("object store %s: %w", dir, err)
	}
	return s, nil
}

// Close lets go of all drafts that are open, as the end of the process would: each stays at its last checkpoint.
func (s *Store) Close() error {
	s.mu.Lock()
	open := s.drafts
	s.drafts = make(map[object.Name]*draft)
	s.mu.Unlock()
	var errs []error
	for _, d := range open {
		errs = append(errs, d.abandon())
	}
	return errors.Join(errs...)
}

// makeFolders makes every folder that the store ever needs, so that Commit has one name to make durable. It syncs them
// also where they were there: a process may have died between making and syncing them.
func (s *Store) makeFolders() error {
	objects := filepath.Join(s.dir, objectsFolder)
	for _, dir := range []string{objects, filepath.Join(s.dir, draftsFolder), filepath.Join(s.dir, replacedFolder)} {
		if err := durable.MkdirAll(dir, folderMode); err != nil {
			return err
		}
	}
	for i := range 256 {
		if err := os.Mkdir(filepath.Join(objects, fmt.Sprintf("%02x", i)), folderMode); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return errors.Join(durable.SyncFolder(objects), durable.SyncFolder(s.dir))
}

func (s *Store) objectPath(name object.Name) string {
	return filepath.Join(s.dir, objectsFolder, name.String()[:2], name.String())
}

func (s *Store) dataPath(name object.Name) string {
	return filepath.Join(s.dir, draftsFolder, name.String()+dataSuffix)
}

func (s *Store) notePath(name object.Name) string {
	return filepath.Join(s.dir, draftsFolder, name.String()+noteSuffix)
}

// file is an object open for reading.
type file struct {
	*io.SectionReader
	f *os.File
}

func (o file) Close() error { return o.f.Close() }

// Open opens an object for reading.
func (s *Store) Open(ctx context.Context, name object.Name) (object.Object, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f, err := os.Open(s.objectPath(name))
	if err != nil {
		return nil, missing(name, err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return file{io.NewSectionReader(f, 0, info.Size()), f}, nil
}

// missing turns the error of a file that is not there into that of an object.
func missing(name object.Name, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fault.NoSuch(name.String())
	}
	return err
}

// there says whether an object is there.
func (s *Store) there(name object.Name) (bool, error) {
	_, err := os.Lstat(s.objectPath(name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Names calls each with the name of every object.
func (s *Store) Names(ctx context.Context, each func(object.Name) error) error {
	for i := range 256 {
		if err := ctx.Err(); err != nil {
			return err
		}
		entries, err := os.ReadDir(filepath.Join(s.dir, objectsFolder, fmt.Sprintf("%02x", i)))
		if err != nil {
			return err
		}
		for _, e := range entries {
			name, err := object.ParseName(e.Name())
			if err != nil {
				continue // a lock
			}
			if err := each(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// Ready says whether a file can be made, written and removed.
func (s *Store) Ready(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Join(s.dir, draftsFolder), tempPrefix+"*")
	if err != nil {
		return err
	}
	_, err = f.Write([]byte("ready"))
	return errors.Join(err, f.Close(), os.Remove(f.Name()))
}

// Delete removes an object whose lock has ended. The lock goes last: without its object it does nothing.
func (s *Store) Delete(ctx context.Context, name object.Name) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.keep.Lock()
	defer s.keep.Unlock()
	lock, err := s.readLock(name)
	if err != nil {
		return err
	}
	if !lock.Ends(s.now()) {
		return object.Locked(name, lock)
	}
	if err := s.removeReplaced(name); err != nil {
		return err
	}
	for _, path := range []string{s.objectPath(name), s.lockPath(name)} {
		if err := remove(path); err != nil {
			return err
		}
	}
	return nil
}

// remove removes a file, if it is there, and makes that durable.
func remove(path string) error {
	err := os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return durable.SyncFolder(filepath.Dir(path))
}
