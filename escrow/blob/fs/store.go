// Package fs keeps blobs in a folder. Names of files are keyed hashes, so that the folder shows no digest, and not that
// two holders have the same bytes.
// It knows nothing of the catalog. One process at a time uses a folder.
package fs

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/countersign-escrow/countersign/escrow/blob"
	"github.com/countersign-escrow/countersign/escrow/durable"
	"github.com/countersign-escrow/countersign/escrow/fault"
)

// MinKeyBytes is the shortest key that Open takes.
const MinKeyBytes = 32

const (
	objectsFolder = "objects"   // objects/ab/ab…: whole blobs, never changed
	uploadsFolder = "uploads"   // uploads/ab…: unfinished ones
	keyCheckFile  = "key-check" // a hash by which a wrong key is told
	folderMode    = 0o700
	uploadMode    = 0o600
	objectMode    = 0o400
)

// Store is a blob.Store in a folder.
type Store struct {
	dir string
	key []byte
	// room returns how many bytes more the disk of a folder may take.
	room func(dir string) (int64, error)

	mu      sync.Mutex
	writers map[string]*upload // by name
}

var _ blob.Store = (*Store)(nil)

// Open opens the store in dir, and makes it if it is not there. Key names the files: with another key than the one that
// a store was made with, nothing in it would be found, so that it is refused.
// Uploads that nobody has gone on with for a week are dropped.
func Open(dir string, key []byte) (*Store, error) {
	if len(key) < MinKeyBytes {
		return nil, fault.Invalidf("key", "has %d bytes, must have %d at least", len(key), MinKeyBytes)
	}
	s := &Store{dir: dir, key: append([]byte(nil), key...), room: room, writers: make(map[string]*upload)}
	if err := s.makeFolders(); err != nil {
		return nil, fmt.Errorf("blob store %s: %w", dir, err)
	}
	if err := s.checkKey(); err != nil {
		return nil, fmt.Errorf("blob store %s: %w", dir, err)
	}
	if err := s.sweep(time.Now()); err != nil {
		return nil, fmt.Errorf("blob store %s: %w", dir, err)
	}
	return s, nil
}

// makeFolders makes every folder that the store ever needs, so that Commit has one name to make durable. It syncs them
// also where they were there: a process may have died between making and syncing them.
func (s *Store) makeFolders() error {
	objects := filepath.Join(s.dir, objectsFolder)
	for _, dir := range []string{objects, filepath.Join(s.dir, uploadsFolder)} {
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

func (s *Store) checkKey() error {
	path := filepath.Join(s.dir, keyCheckFile)
	want := s.hash("key check")
	have, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return durable.WriteFile(path, []byte(want), objectMode)
	}
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(have, []byte(want)) != 1 {
		return fault.Preconditionf("WRONG_KEY", "", "the store was made with another key").
			WithAdvice("restore the key file that belongs to this folder")
	}
	return nil
}

// hash returns the keyed hash of parts, none of which holds a zero byte.
func (s *Store) hash(parts ...string) string {
	h := hmac.New(sha256.New, s.key)
	for _, p := range parts {
		h.Write([]byte(p))
		h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil))
}

// name returns the name of a blob's files.
func (s *Store) name(ref blob.Ref) string {
	return s.hash("blob", ref.Holder.String(), ref.Digest.Hex())
}

func (s *Store) objectPath(name string) string {
	return filepath.Join(s.dir, objectsFolder, name[:2], name)
}

func (s *Store) uploadPath(name string) string {
	return filepath.Join(s.dir, uploadsFolder, name)
}

// Open opens a blob for reading.
func (s *Store) Open(ctx context.Context, ref blob.Ref) (blob.Blob, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f, err := os.Open(s.objectPath(s.name(ref)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.NoSuch(ref.String())
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", ref, err)
	}
	o, err := newObject(f)
	if err != nil {
		return nil, errors.Join(broken(ref, err), f.Close())
	}
	return o, nil
}

// broken says that what is in custody is not what was stored.
func broken(ref blob.Ref, err error) error {
	c := fault.Corruptf(ref.String(), "%s is damaged", ref).WithAdvice("restore it from a backup")
	c.Err = err
	return c
}

// Stat returns the size of a blob.
func (s *Store) Stat(ctx context.Context, ref blob.Ref) (int64, error) {
	b, err := s.Open(ctx, ref)
	if err != nil {
		return 0, err
	}
	return b.Size(), b.Close()
}

// Partial returns how many bytes of an unfinished upload are durable.
func (s *Store) Partial(ctx context.Context, ref blob.Ref) (int64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	name := s.name(ref)
	if u := s.writer(name); u != nil {
		return u.synced.Load(), nil
	}
	f, err := os.Open(s.uploadPath(name))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("unfinished upload of %s: %w", ref, err)
	}
	n, _, err := durableBytes(f)
	return n, errors.Join(err, f.Close())
}
