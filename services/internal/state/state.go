// Package state is the folder that an embedded service lives in: where things lie in it, its keys, and that one process
// at a time uses it. It knows nothing of what the files other than the keys hold.
package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/countersign-escrow/countersign/escrow/durable"
	"github.com/countersign-escrow/countersign/escrow/keyring/kekfile"
)

const (
	folderMode = 0o700
	fileMode   = 0o600
)

// State is an open folder.
type State struct {
	Dir string // absolute

	*Keys
	KEK *kekfile.KEK // wraps the keys that deposits are sealed with

	lock *os.File
}

// At is the folder without opening it: it says where things lie, and nothing else of it may be used.
func At(dir string) *State { return &State{Dir: dir} }

// Open opens the folder, makes it and its keys where they are not there yet, and holds it until Close. It refuses a
// folder that another process holds, and keys that others may read. A first start that broke off is carried on.
func Open(dir string) (_ *State, err error) {
	dir, err = filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := prepare(dir); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	s := &State{Dir: dir}
	if s.lock, err = acquire(filepath.Join(dir, "lock")); err != nil {
		return nil, fmt.Errorf("data folder %s: %w", dir, err)
	}
	if err := s.open(time.Now()); err != nil {
		return nil, errors.Join(fmt.Errorf("data folder %s: %w", dir, err), s.Close())
	}
	return s, nil
}

func (s *State) open(now time.Time) (err error) {
	for _, sub := range []string{s.Objects(), s.LogDir(), s.Work(), s.Cache(), string(s.Operator()), s.KeysDir()} {
		if err := durable.MkdirAll(sub, folderMode); err != nil {
			return err
		}
	}
	if err := checkPrivate(s.KeysDir()); err != nil {
		return err
	}
	if err := s.makeKeys(now); err != nil {
		return fmt.Errorf("make keys: %w", err)
	}
	if s.Keys, err = s.keys().load(); err == nil {
		s.KEK, err = kekfile.Open(s.KEKFile())
	}
	if err != nil {
		return fmt.Errorf("read keys: %w", err)
	}
	return nil
}

// Close lets go of the folder.
func (s *State) Close() error { return s.lock.Close() }

// Catalog is the path of the catalog's database.
func (s *State) Catalog() string { return filepath.Join(s.Dir, "catalog.db") }

// Objects is the folder of the object store.
func (s *State) Objects() string { return filepath.Join(s.Dir, "objects") }

// LogDir is the folder of the transparency log.
func (s *State) LogDir() string { return filepath.Join(s.Dir, "log") }

// Work is the folder for what is needed only while something runs.
func (s *State) Work() string { return filepath.Join(s.Dir, "work") }

// Cache is the folder for what can be made again.
func (s *State) Cache() string { return filepath.Join(s.Dir, "cache") }

// Operator is the folder of the operator's profile.
func (s *State) Operator() ProfileFolder { return ProfileFolder(filepath.Join(s.Dir, "operator")) }

// KEKFile is the path of the key-encryption key.
func (s *State) KEKFile() string { return s.keys().path(kekFile) }

// KeysDir is the folder of the keys.
func (s *State) KeysDir() string { return filepath.Join(s.Dir, "keys") }

func (s *State) keys() keyFolder { return keyFolder(s.KeysDir()) }

// prepare makes the folder itself. An empty one that is there already may be open to others; it is closed to them.
func prepare(dir string) error {
	if err := durable.MkdirAll(dir, folderMode); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if len(entries) == 0 {
		return os.Chmod(dir, folderMode)
	}
	return checkMode(dir)
}
