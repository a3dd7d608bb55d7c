package fs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/countersign-escrow/countersign/escrow/blob/object"
	"github.com/countersign-escrow/countersign/escrow/durable"
	"github.com/countersign-escrow/countersign/escrow/fault"
)

const (
	dataSuffix = ".data"
	noteSuffix = ".note"
)

// draft is the one writer of an object.
type draft struct {
	store *Store
	name  object.Name
	size  int64 // as expected, -1 for unknown
	start object.Checkpoint
	early *writeback

	mu     sync.Mutex // Store.Close may come from another goroutine
	file   *os.File
	offset int64
	saved  bool  // there is a checkpoint to go on from
	failed error // why nothing more can be done
	over   bool  // committed or dropped
	closed bool
}

// Draft begins an object or goes on with one.
func (s *Store) Draft(ctx context.Context, name object.Name, size int64) (object.Draft, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	d := &draft{store: s, name: name, size: size}
	if !s.enter(d) {
		return nil, object.Busy(name)
	}
	if err := d.begin(); err != nil {
		s.leave(d)
		return nil, err
	}
	return d, nil
}

// enter makes d the one draft of its name in this process, if there is none.
func (s *Store) enter(d *draft) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.drafts[d.name] != nil {
		return false
	}
	s.drafts[d.name] = d
	return true
}

func (s *Store) leave(d *draft) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.drafts[d.name] == d {
		delete(s.drafts, d.name)
	}
}

// begin opens the data and brings it to the last checkpoint.
func (d *draft) begin() (err error) {
	if d.file, err = d.store.openData(d.name); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.file.Close())
		}
	}()
	info, err := d.file.Stat()
	if err != nil {
		return err
	}
	if d.start, d.saved, err = d.store.checkpoint(d.name, info.Size()); err != nil {
		return err
	}
	d.offset = d.start.Offset
	if err := d.requireRoom(); err != nil {
		return errors.Join(err, d.clear())
	}
	// A note that does not count must be gone before there is data again that it could be taken to belong to.
	if !d.saved {
		if err := remove(d.store.notePath(d.name)); err != nil {
			return err
		}
	}
	if err := d.file.Truncate(d.offset); err != nil {
		return err
	}
	d.early = newWriteback(d.file, d.offset)
	return nil
}

// openData opens the data of a draft and holds it against other processes.
func (s *Store) openData(name object.Name) (*os.File, error) {
	for {
		path := s.dataPath(name)
		// A process that died in Commit may have left it read-only.
		if err := os.Chmod(path, draftMode); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, draftMode)
		if err != nil {
			return nil, err
		}
		held, err := hold(f, path)
		if held {
			return f, nil
		}
		_ = f.Close() // nothing was written to it
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, object.Busy(name)
		}
		if err != nil {
			return nil, err
		}
	}
}

// hold locks a file, and says whether it is still the one at path: another process may have moved it away meanwhile.
func hold(f *os.File, path string) (bool, error) {
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return false, err
	}
	mine, err := f.Stat()
	if err != nil {
		return false, err
	}
	there, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(mine, there), err
}

// Checkpoint returns the checkpoint where the draft began.
func (d *draft) Checkpoint() object.Checkpoint { return d.start }

// Write appends p.
func (d *draft) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.usable(); err != nil {
		return 0, err
	}
	n, err := d.file.WriteAt(p, d.offset)
	d.offset += int64(n)
	d.early.written(d.offset)
	if err != nil {
		return n, d.fail("write", err)
	}
	return n, nil
}

func (d *draft) usable() error {
	switch {
	case d.failed != nil:
		return d.failed
	case d.closed || d.over:
		return fmt.Errorf("draft of %s: %w", d.name, os.ErrClosed)
	}
	return nil
}

// fail ends the draft's use. What was written since the last checkpoint is not to be relied on: after a failed sync nobody
// knows what is on the disk, and a second sync may well succeed.
func (d *draft) fail(what string, err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		err = noRoom(max(d.size-d.offset, 1))
	}
	d.failed = fmt.Errorf("%s the draft of %s: %w", what, d.name, err)
	return d.failed
}

// Save makes durable what was written, and then the note: never a note of bytes that may be lost. Where there is no room
// for what is still expected, it says so, and the checkpoint stands all the same.
func (d *draft) Save(ctx context.Context, note []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := errors.Join(d.usable(), ctx.Err()); err != nil {
		return err
	}
	if len(note) > object.MaxNoteBytes {
		return fault.Invalidf("note", "has %d bytes, %d at most", len(note), object.MaxNoteBytes)
	}
	if err := unix.Fdatasync(int(d.file.Fd())); err != nil {
		return d.fail("sync", err)
	}
	raw := encodeCheckpoint(object.Checkpoint{Offset: d.offset, Note: note})
	if err := durable.WriteFile(d.store.notePath(d.name), raw, draftMode); err != nil {
		return d.fail("save", err)
	}
	d.saved = true
	return d.requireRoom()
}

// Drop throws the draft away.
func (d *draft) Drop(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over {
		return nil
	}
	if d.closed {
		return d.usable()
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	d.over, d.saved = true, false
	return d.clear()
}

// clear removes the draft's files, the note first: without its data it counts for nothing, but data can be had again.
func (d *draft) clear() error {
	if d.saved {
		return nil
	}
	return errors.Join(remove(d.store.notePath(d.name)), remove(d.store.dataPath(d.name)))
}

// Close gives up the writer. Data without a checkpoint is of no use.
func (d *draft) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil
	}
	var err error
	if !d.over {
		err = d.clear()
	}
	return errors.Join(err, d.leave())
}

// abandon is Close as the end of the process would do it.
func (d *draft) abandon() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.leave()
}

func (d *draft) leave() error {
	if d.closed {
		return nil
	}
	d.closed = true
	d.early.stop()
	err := d.file.Close()
	d.store.leave(d)
	return err
}
