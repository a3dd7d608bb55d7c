package fs

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/countersign-escrow/countersign/escrow/blob/object"
	"github.com/countersign-escrow/countersign/escrow/durable"
	"github.com/countersign-escrow/countersign/escrow/fault"
)

// lockSuffix marks the file beside an object that holds its lock: three lines, of which the last is the SHA-256 of the
// object's name and the lines before, so that neither a flipped bit nor another object's lock is taken for this one's.
const lockSuffix = ".lock"

const maxLockBytes = 256

func (s *Store) lockPath(name object.Name) string { return s.objectPath(name) + lockSuffix }

func encodeLock(name object.Name, l object.Lock) []byte {
	until := "none"
	if !l.Until.IsZero() {
		until = l.Until.UTC().Format(time.RFC3339)
	}
	head := fmt.Sprintf("until %s\nhold %t\n", until, l.Hold)
	return []byte(head + lockSum(name, head) + "\n")
}

func lockSum(name object.Name, head string) string {
	sum := sha256.Sum256([]byte(name.String() + "\n" + head))
	return hex.EncodeToString(sum[:])
}

// decodeLock reads what encodeLock wrote, and nothing else.
func decodeLock(name object.Name, raw []byte) (object.Lock, error) {
	lines := strings.SplitAfter(string(raw), "\n")
	if len(raw) > maxLockBytes || len(lines) != 4 || lines[2] != lockSum(name, lines[0]+lines[1])+"\n" || lines[3] != "" {
		return object.Lock{}, damagedLock(name)
	}
	l := object.Lock{Hold: lines[1] == "hold true\n"}
	if at := strings.TrimSuffix(strings.TrimPrefix(lines[0], "until "), "\n"); at != "none" {
		var err error
		if l.Until, err = time.Parse(time.RFC3339, at); err != nil {
			return object.Lock{}, damagedLock(name)
		}
	}
	return l, nil
}

func damagedLock(name object.Name) error {
	return fault.Corruptf(name.String(), "the lock of %s is damaged", name).
		WithAdvice("restore the file %s%s from a backup", name, lockSuffix)
}

// readLock returns the lock of an object; the zero one if it has none.
func (s *Store) readLock(name object.Name) (object.Lock, error) {
	raw, err := os.ReadFile(s.lockPath(name))
	if errors.Is(err, fs.ErrNotExist) {
		return object.Lock{}, nil
	}
	if err != nil {
		return object.Lock{}, err
	}
	return decodeLock(name, raw)
}

// Kept returns the lock of an object.
func (s *Store) Kept(ctx context.Context, name object.Name) (object.Lock, error) {
	if err := ctx.Err(); err != nil {
		return object.Lock{}, err
	}
	if _, err := os.Lstat(s.objectPath(name)); err != nil {
		return object.Lock{}, missing(name, err)
	}
	return s.readLock(name)
}

// Keep sees to it that an object is not deleted before a lock ends.
func (s *Store) Keep(ctx context.Context, name object.Name, lock object.Lock) error {
	s.keep.Lock()
	defer s.keep.Unlock()
	have, err := s.Kept(ctx, name)
	if err != nil {
		return err
	}
	next := object.Lock{Until: have.Until, Hold: lock.Hold}
	if until := lock.Until.UTC().Truncate(time.Second); until.After(have.Until) {
		next.Until = until
	}
	if next == have {
		return nil
	}
	return durable.WriteFile(s.lockPath(name), encodeLock(name, next), objectMode)
}

// setAside keeps an object that gives way while its lock stands. It stays in its place, too, until the new one takes that.
func (s *Store) setAside(name object.Name) error {
	lock, err := s.readLock(name)
	if err != nil || lock.Ends(s.now()) {
		return err
	}
	path := filepath.Join(s.dir, replacedFolder, fmt.Sprintf("%s-%d", name, s.now().UnixNano()))
	if err := os.Link(s.objectPath(name), path); err != nil {
		return err
	}
	return durable.SyncFolder(filepath.Dir(path))
}

// removeReplaced removes what gave way to an object.
func (s *Store) removeReplaced(name object.Name) error {
	paths, err := filepath.Glob(filepath.Join(s.dir, replacedFolder, name.String()+"-*"))
	if err != nil {
		return err
	}
	for _, path := range paths {
		if err := remove(path); err != nil {
			return err
		}
	}
	return nil
}
