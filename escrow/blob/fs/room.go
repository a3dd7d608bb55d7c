package fs

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

const (
	// reserveBytes stay free, or reservePart of the disk where that is less: the catalog and the log live beside the
	// uploads, and one holder's must not stop them.
	reserveBytes = 1 << 30
	reservePart  = 20

	// abandonedAfter is how long an upload that nobody goes on with is kept.
	abandonedAfter = 7 * 24 * time.Hour
)

// room returns how many bytes more the disk of a folder may take.
func room(dir string) (int64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("free room in %s: %w", dir, err)
	}
	total, free := int64(st.Blocks)*int64(st.Bsize), int64(st.Bavail)*int64(st.Bsize)
	return free - min(reserveBytes, total/reservePart), nil
}

// requireRoom refuses n bytes more where they would fill the disk. What was written so far can be resumed.
func (s *Store) requireRoom(n int64) error {
	left, err := s.room(s.dir)
	if err != nil {
		return err
	}
	if n > max(left, 0) {
		full := &fault.Error{Kind: fault.Exhausted, Reason: "NO_ROOM", Field: "size", Message: fmt.Sprintf("there is no room for %d bytes more", n)}
		return full.WithAdvice("tell the operator, and go on when there is room: what has arrived is kept for a week")
	}
	return nil
}

// sweep drops the uploads that nobody has gone on with for a week.
func (s *Store) sweep(now time.Time) error {
	dir := filepath.Join(s.dir, uploadsFolder)
	list, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range list {
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if info.Mode().IsRegular() && now.Sub(info.ModTime()) > abandonedAfter {
			if err := os.Remove(filepath.Join(dir, entry.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}
