package seal

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"

	"github.com/countersign-escrow/countersign/escrow/blob"
	"github.com/countersign-escrow/countersign/escrow/blob/object"
	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/keyring"
)

// checkpointBytes is how much is written between two checkpoints: what a crash can cost an upload.
const checkpointBytes = 64 << 20

// upload is the writer of an unfinished blob.
type upload struct {
	store  *Store
	ref    blob.Ref
	size   int64
	draft  object.Draft
	pipe   *pipeline
	block  []byte // taken in, and not yet on its way
	offset int64
	saved  int64 // offset of the last checkpoint
	mend   bool  // what is there is damaged and gives way
	over   bool  // committed or dropped: nothing is left to resume
	failed error // why the upload was dropped
	closed bool
}

// Partial returns how many bytes of an unfinished upload are durable.
func (s *Store) Partial(ctx context.Context, ref blob.Ref) (int64, error) {
	key, name, err := s.find(ctx, ref)
	if fault.Is(err, fault.NotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	at, err := s.objects.Unfinished(ctx, name.Name)
	if err != nil {
		return 0, fmt.Errorf("unfinished upload of %s: %w", ref, err)
	}
	n, err := openNote(key, name, at)
	if err != nil {
		return 0, nil // it begins anew
	}
	return n.offset, nil
}

// Resume begins an upload or goes on with one. A blob that is there is read whole: a damaged one is not held, and what is
// uploaded takes its place.
func (s *Store) Resume(ctx context.Context, ref blob.Ref, size int64) (blob.Upload, error) {
	if size < 0 || size > maxSize {
		return nil, fault.Invalidf("size", "%d is not from 0 to %d bytes", size, int64(maxSize))
	}
	key, err := s.keys.Key(ctx, ref.Holder)
	if err != nil {
		return nil, err
	}
	held, err := s.verify(ctx, ref)
	if err == nil {
		return alreadyHeld(ref, held, size)
	}
	mend := fault.Is(err, fault.Corrupt)
	if !mend && !fault.Is(err, fault.NotFound) {
		return nil, err
	}
	u := &upload{store: s, ref: ref, size: size, mend: mend}
	if err := u.begin(ctx, key); err != nil {
		return nil, err
	}
	return u, nil
}

// begin opens the draft, and begins it anew where it is that of another size or cannot be read.
func (u *upload) begin(ctx context.Context, key *keyring.Key) error {
	name := nameOf(key, u.ref.Digest)
	if err := u.open(ctx, name); err != nil {
		return err
	}
	n, err := openNote(key, name, u.draft.Checkpoint())
	if err != nil || n.size != u.size {
		n, err = u.anew(ctx, name)
	}
	if err == nil {
		err = u.run(key, name, n)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("upload %s: %w", u.ref, err), u.draft.Close())
	}
	return nil
}

func (u *upload) open(ctx context.Context, name sealedName) (err error) {
	u.draft, err = u.store.objects.Draft(ctx, name.Name, sealedSize(u.size))
	if fault.Is(err, fault.Aborted) {
		return &fault.Error{Kind: fault.Aborted, Reason: "UPLOAD_IN_PROGRESS", Resource: u.ref.String(),
			Message: fmt.Sprintf("%s is being uploaded by another", u.ref), Advice: "wait until that upload ends, then ask how much is missing"}
	}
	if err != nil {
		return fmt.Errorf("upload %s: %w", u.ref, err)
	}
	return nil
}

// anew drops what the draft has, if anything, and writes the header.
func (u *upload) anew(ctx context.Context, name sealedName) (n note, err error) {
	if u.draft.Checkpoint().Offset > 0 {
		if err := errors.Join(u.draft.Drop(ctx), u.draft.Close()); err != nil {
			return n, err
		}
		if err := u.open(ctx, name); err != nil {
			return n, err
		}
	}
	if n.header, err = newHeader(u.size); err != nil {
		return n, err
	}
	if n.state, err = stateOf(sha256.New()); err != nil {
		return n, err
	}
	_, err = u.draft.Write(n.header.encode())
	return n, err
}

// run sets the pipeline going from where a note stands.
func (u *upload) run(key *keyring.Key, name sealedName, n note) (err error) {
	p := &pipeline{header: n.header, draft: u.draft, index: n.offset / chunkBytes, tail: bytes.Clone(n.tail), finished: n.finished}
	if p.hash, err = n.hash(); err != nil {
		return err
	}
	if p.cipher, err = cipherOf(key, name.sum, n.header); err != nil {
		return err
	}
	if p.notes, err = noteCipher(key, name); err != nil {
		return err
	}
	u.pipe, u.offset, u.saved = p, n.offset, n.offset
	p.start()
	return nil
}

// Offset returns how many bytes the upload has.
func (u *upload) Offset() int64 { return u.offset }

// Write appends p.
func (u *upload) Write(p []byte) (n int, err error) {
	if err := u.usable(); err != nil {
		return 0, err
	}
	if int64(len(p)) > u.size-u.offset {
		return 0, fault.Invalidf("data", "%s has %d bytes as announced: %d at offset %d are too many", u.ref.Digest, u.size, len(p), u.offset)
	}
	for n < len(p) {
		if err := u.pipe.err(); err != nil {
			return n, fmt.Errorf("write %s: %w", u.ref, err)
		}
		n += u.take(p[n:])
	}
	return n, nil
}

// take puts bytes into the block, as many as fit, and sends it on its way when it is full.
func (u *upload) take(p []byte) int {
	if u.block == nil {
		u.block = u.pipe.buffer()
	}
	n := min(len(p), cap(u.block)-len(u.block))
	u.block = append(u.block, p[:n]...)
	u.offset += int64(n)
	if len(u.block) == cap(u.block) {
		save := u.offset-u.saved >= checkpointBytes
		if save {
			u.saved = u.offset
		}
		u.pipe.push(step{data: u.block, offset: u.offset, save: save})
		u.block = nil
	}
	return n
}

func (u *upload) usable() error {
	switch {
	case u.failed != nil:
		return u.failed
	case u.closed || u.over:
		return fmt.Errorf("write %s: %w", u.ref, os.ErrClosed)
	}
	return nil
}

// rest sends what is left on its way and waits until all is through.
func (u *upload) rest() error {
	block := u.block
	u.block = nil
	if err := u.pipe.barrier(block, u.offset); err != nil {
		return fmt.Errorf("write %s: %w", u.ref, err)
	}
	return nil
}

// Commit makes the blob durable and visible.
func (u *upload) Commit(ctx context.Context) error {
	if u.over && u.failed == nil {
		return nil
	}
	if err := errors.Join(u.usable(), ctx.Err()); err != nil {
		return err
	}
	if u.offset != u.size {
		return fault.Preconditionf("UPLOAD_INCOMPLETE", u.ref.String(), "%d bytes have arrived of %d", u.offset, u.size).
			WithAdvice("go on at offset %d", u.offset)
	}
	if err := u.rest(); err != nil {
		return err
	}
	if got := digest.FromHash(u.pipe.hash); got != u.ref.Digest {
		return u.drop(ctx, fault.Invalidf("digest", "the bytes sent have the digest %s, not %s as announced", got, u.ref.Digest).
			WithAdvice("the upload was dropped: send the file again from its first byte"))
	}
	return u.publish(ctx)
}

// drop throws the upload away and returns why.
func (u *upload) drop(ctx context.Context, why error) error {
	u.over, u.failed = true, why
	return errors.Join(why, u.draft.Drop(ctx))
}

func (u *upload) publish(ctx context.Context) error {
	if err := u.pipe.finish(); err != nil {
		return fmt.Errorf("write %s: %w", u.ref, err)
	}
	commit := u.draft.Commit
	if u.mend {
		commit = u.draft.Replace
	}
	err := commit(ctx)
	if fault.Is(err, fault.Exists) {
		return u.another(ctx)
	}
	if err != nil {
		return fmt.Errorf("commit %s: %w", u.ref, err)
	}
	u.over = true
	return nil
}

// another ends an upload whose blob another process has put there meanwhile.
func (u *upload) another(ctx context.Context) error {
	u.over = true
	if _, err := u.store.Stat(ctx, u.ref); err != nil {
		u.failed = &fault.Error{Kind: fault.Aborted, Reason: "ABORTED", Resource: u.ref.String(),
			Message: fmt.Sprintf("another has uploaded %s meanwhile, and it cannot be read", u.ref), Advice: "start over", Err: err}
		return u.failed
	}
	return nil
}

// Close gives up the writer. What has come since the last checkpoint gets another one.
func (u *upload) Close() error {
	if u.closed {
		return nil
	}
	u.closed = true
	var err error
	if !u.over && u.pipe.err() == nil && u.offset > u.saved {
		err = u.save()
	}
	u.pipe.stop()
	return errors.Join(err, u.draft.Close())
}

func (u *upload) save() error {
	if err := u.rest(); err != nil {
		return err
	}
	state, err := stateOf(u.pipe.hash)
	if err != nil {
		return err
	}
	return u.pipe.save(u.offset, state)
}
