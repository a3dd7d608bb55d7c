package fs

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/countersign-escrow/countersign/escrow/blob"
	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/durable"
	"github.com/countersign-escrow/countersign/escrow/fault"
)

// syncBytes is how much is written between two syncs: what a crash can cost an upload.
const syncBytes = 64 << 20

// upload is the writer of an unfinished blob.
type upload struct {
	store  *Store
	ref    blob.Ref
	name   string
	size   int64
	file   *os.File
	hash   hash.Hash // of the first offset bytes
	offset int64
	synced atomic.Int64 // read by Partial
	done   bool         // committed or dropped: nothing is left to resume
	failed error        // why the upload was dropped
	closed bool
}

// Resume begins an upload or goes on with one.
func (s *Store) Resume(ctx context.Context, ref blob.Ref, size int64) (blob.Upload, error) {
	if size < 0 {
		return nil, fault.Invalidf("size", "%d is negative", size)
	}
	u := &upload{store: s, ref: ref, name: s.name(ref), size: size, hash: sha256.New()}
	if !s.enter(u) {
		return nil, &fault.Error{Kind: fault.Aborted, Reason: "UPLOAD_IN_PROGRESS", Resource: ref.String(),
			Message: fmt.Sprintf("%s is being uploaded by another", ref), Advice: "wait until that upload ends, then ask how much is missing"}
	}
	w, err := u.begin(ctx)
	if err != nil {
		s.leave(u)
		return nil, err
	}
	return w, nil
}

// enter makes u the one writer of its blob, if there is none.
func (s *Store) enter(u *upload) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writers[u.name] != nil {
		return false
	}
	s.writers[u.name] = u
	return true
}

// writer returns the present writer of a blob, or nil.
func (s *Store) writer(name string) *upload {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writers[name]
}

func (s *Store) leave(u *upload) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.writers, u.name)
}

// begin tells whether the blob is held already; if not, it opens the file and reads what is there.
func (u *upload) begin(ctx context.Context) (blob.Upload, error) {
	held, err := u.store.Stat(ctx, u.ref)
	if err == nil {
		return u.alreadyHeld(held)
	}
	// A damaged blob is not held: uploading it again mends it.
	if !fault.Is(err, fault.NotFound) && !fault.Is(err, fault.Corrupt) {
		return nil, err
	}
	if err := u.store.requireRoom(u.size - u.arrived()); err != nil {
		return nil, err
	}
	if err := u.open(); err != nil {
		return nil, fmt.Errorf("upload %s: %w", u.ref, err)
	}
	if err := u.rehash(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("read the unfinished upload of %s: %w", u.ref, err), u.file.Close())
	}
	return u, nil
}

func (u *upload) alreadyHeld(size int64) (blob.Upload, error) {
	if size != u.size {
		return nil, fault.Invalidf("size", "%s has %d bytes, not %d", u.ref.Digest, size, u.size)
	}
	return &heldUpload{upload: u}, nil
}

// arrived is about how much of the blob the disk has taken already.
func (u *upload) arrived() int64 {
	info, err := os.Stat(u.store.uploadPath(u.name))
	if err != nil {
		return 0 // if it is there after all, opening it tells what is wrong
	}
	return min(info.Size(), u.size)
}

// open opens the unfinished file, or makes it. One that was announced with another size is begun anew.
func (u *upload) open() (err error) {
	path := u.store.uploadPath(u.name)
	// A process that died in Commit may have left it read-only.
	if err := os.Chmod(path, uploadMode); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	u.file, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, uploadMode)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, u.file.Close())
		}
	}()
	have, announced, err := durableBytes(u.file)
	if err != nil {
		return err
	}
	if announced != u.size {
		have = 0
		err = u.restart()
	} else {
		err = u.file.Truncate(headerBytes + have)
	}
	if err != nil {
		return err
	}
	u.offset = have
	u.synced.Store(have)
	return nil
}

func (u *upload) restart() error {
	if err := u.file.Truncate(0); err != nil {
		return err
	}
	if _, err := u.file.WriteAt(header(u.size), 0); err != nil {
		return err
	}
	if err := u.file.Sync(); err != nil {
		return err
	}
	return durable.SyncFolder(filepath.Dir(u.file.Name()))
}

// rehash brings the hash to the offset, and the file to its end.
func (u *upload) rehash(ctx context.Context) error {
	if _, err := u.file.Seek(headerBytes, io.SeekStart); err != nil {
		return err
	}
	const stepBytes = 8 << 20
	for left := u.offset; left > 0; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := io.CopyN(u.hash, u.file, min(left, stepBytes))
		if err != nil {
			return err
		}
		left -= n
	}
	return nil
}

// Offset returns how many bytes the upload has.
func (u *upload) Offset() int64 { return u.offset }

// Write appends p.
func (u *upload) Write(p []byte) (int, error) {
	if err := u.usable(); err != nil {
		return 0, err
	}
	if int64(len(p)) > u.size-u.offset {
		return 0, fault.Invalidf("data", "%s has %d bytes as announced: %d at offset %d are too many", u.ref.Digest, u.size, len(p), u.offset)
	}
	n, err := u.file.Write(p)
	u.hash.Write(p[:n])
	u.offset += int64(n)
	if err != nil {
		return n, fmt.Errorf("write %s: %w", u.ref, err)
	}
	if u.offset-u.synced.Load() >= syncBytes {
		if err := u.sync(); err != nil {
			return n, err
		}
		return n, u.store.requireRoom(u.size - u.offset)
	}
	return n, nil
}

func (u *upload) usable() error {
	switch {
	case u.failed != nil:
		return u.failed
	case u.closed || u.done:
		return fmt.Errorf("write %s: %w", u.ref, os.ErrClosed)
	}
	return nil
}

// sync makes durable what was written. After a failed sync nobody knows what is on the disk, and a second sync may well
// succeed: the upload is dropped.
func (u *upload) sync() error {
	if err := u.file.Sync(); err != nil {
		return u.drop(fmt.Errorf("sync %s: %w", u.ref, err))
	}
	u.synced.Store(u.offset)
	return nil
}

// drop throws the upload away and returns why.
func (u *upload) drop(why error) error {
	u.done, u.failed = true, why
	u.synced.Store(0)
	path := u.file.Name()
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(why, err)
	}
	return errors.Join(why, durable.SyncFolder(filepath.Dir(path)))
}

// Commit makes the blob durable and visible.
func (u *upload) Commit(ctx context.Context) error {
	if u.done && u.failed == nil {
		return nil
	}
	if err := errors.Join(u.usable(), ctx.Err()); err != nil {
		return err
	}
	if u.offset != u.size {
		return fault.Preconditionf("UPLOAD_INCOMPLETE", u.ref.String(), "%d bytes have arrived of %d", u.offset, u.size).
			WithAdvice("go on at offset %d", u.offset)
	}
	if got := digest.FromHash(u.hash); got != u.ref.Digest {
		return u.drop(fault.Invalidf("digest", "the bytes sent have the digest %s, not %s as announced", got, u.ref.Digest).
			WithAdvice("the upload was dropped: send the file again from its first byte"))
	}
	return u.publish()
}

// publish moves the file to its place. The order counts: first the bytes are durable, then the name.
func (u *upload) publish() error {
	if err := u.file.Chmod(objectMode); err != nil {
		return fmt.Errorf("commit %s: %w", u.ref, err)
	}
	if err := u.sync(); err != nil {
		return err
	}
	if err := durable.Rename(u.file.Name(), u.store.objectPath(u.name)); err != nil {
		return fmt.Errorf("commit %s: %w", u.ref, err)
	}
	u.done = true
	return nil
}

// Close gives up the writer.
func (u *upload) Close() error {
	if u.closed {
		return nil
	}
	var err error
	if !u.done && u.offset > u.synced.Load() {
		err = u.sync()
	}
	u.closed = true
	err = errors.Join(err, u.file.Close())
	u.store.leave(u)
	return err
}
