package scrub

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/countersign-escrow/countersign/escrow/blob"
	"github.com/countersign-escrow/countersign/escrow/blob/object"
	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
)

// Store is what is scrubbed. Errors are those of blob.Store: fault.NotFound for a blob that is not there, fault.Corrupt
// for bytes that are not what they were; any other error counts as passing.
type Store interface {
	Open(ctx context.Context, ref blob.Ref) (blob.Blob, error)
}

// Locks is a store that also tells its locks. A store that does not is not asked.
type Locks interface {
	Kept(ctx context.Context, ref blob.Ref) (object.Lock, error)
}

// checker looks at blobs, several at a time.
type checker struct {
	store   Store
	limiter *rate.Limiter // nil: no bound
	reading atomic.Int64
}

func newChecker(s Store, perSecond int64) *checker {
	c := &checker{store: s}
	if perSecond > 0 {
		c.limiter = rate.NewLimiter(rate.Limit(perSecond), bufferBytes)
	}
	return c
}

// check looks at one blob; nil: it is as it ought to be. The error is that of the context alone.
func (c *checker) check(ctx context.Context, it Item, buf []byte) (*Damage, error) {
	at, err := c.read(ctx, it, buf)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err == nil {
		err = c.protected(ctx, it)
	}
	if err == nil {
		return nil, nil
	}
	return &Damage{Item: it, Kind: kindOf(err), At: at, Problem: err.Error()}, ctx.Err()
}

var errUnprotected = errors.New("lock")

func kindOf(err error) Kind {
	switch {
	case errors.Is(err, errUnprotected):
		return Unprotected
	case fault.Is(err, fault.Corrupt):
		return Damaged
	case fault.Is(err, fault.NotFound):
		return Missing
	}
	return Unreadable
}

// read reads a blob whole. With an error comes the place of it, -1 where it has none.
func (c *checker) read(ctx context.Context, it Item, buf []byte) (at int64, err error) {
	b, err := c.store.Open(ctx, it.Ref)
	switch {
	case fault.Is(err, fault.Corrupt): // what comes before the first byte is damaged, or that one
		return 0, err
	case err != nil:
		return -1, err
	}
	defer b.Close()
	if have := b.Size(); have != it.Size {
		return min(have, it.Size), fault.Corruptf(it.Ref.String(), "has %d bytes, %d were deposited", have, it.Size)
	}
	h := sha256.New()
	at, err = c.hash(ctx, b, h, buf)
	if err != nil {
		return at, err
	}
	if got := digest.FromHash(h); got != it.Ref.Digest {
		return -1, fault.Corruptf(it.Ref.String(), "has another digest, %s", got)
	}
	return -1, nil
}

// hash feeds a blob to a hash at the rate that is allowed. With an error comes the place of it.
func (c *checker) hash(ctx context.Context, b blob.Blob, h hash.Hash, buf []byte) (at int64, err error) {
	defer func() { c.reading.Add(-at) }()
	for at < b.Size() {
		piece := buf[:min(int64(len(buf)), b.Size()-at)]
		if err := c.pace(ctx, len(piece)); err != nil {
			return at, err
		}
		n, err := readPiece(b, piece, at)
		_, _ = h.Write(piece[:n]) // a hash takes everything
		at += int64(n)
		c.reading.Add(int64(n))
		if err != nil {
			return at, err
		}
	}
	return at, nil
}

func (c *checker) pace(ctx context.Context, n int) error {
	if c.limiter == nil {
		return ctx.Err()
	}
	wait := time.NewTimer(c.limiter.ReserveN(time.Now(), n).Delay())
	defer wait.Stop()
	select {
	case <-wait.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// readPiece fills p. Where that fails, what can be read before the wrong bytes is read in smaller pieces, so that their
// place is known.
func readPiece(b io.ReaderAt, p []byte, at int64) (int, error) {
	if n, _ := b.ReadAt(p, at); n == len(p) {
		return n, nil
	}
	n := 0
	for n < len(p) {
		end := min(n+pieceBytes, len(p))
		if m, err := b.ReadAt(p[n:end], at+int64(n)); m < end-n {
			return n, unexpected(err)
		}
		n = end
	}
	return n, nil // it could be read now: the first error has passed
}

// unexpected makes an end that comes too early what it is.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) || err == nil {
		return fault.Corruptf("", "ends too early")
	}
	return err
}

// protected says whether the store's lock is at least what it was told.
func (c *checker) protected(ctx context.Context, it Item) error {
	locks, tells := c.store.(Locks)
	if !tells || it.Lock == (object.Lock{}) {
		return nil
	}
	kept, err := locks.Kept(ctx, it.Ref)
	switch {
	case fault.Is(err, fault.Corrupt): // the bytes are good
		return fmt.Errorf("%w: %v", errUnprotected, err)
	case err != nil:
		return err
	case it.Lock.Hold && !kept.Hold:
		return fmt.Errorf("%w: no hold, and one was set", errUnprotected)
	case kept.Until.Before(it.Lock.Until.Truncate(time.Second)):
		return fmt.Errorf("%w: ends %s, and %s was set", errUnprotected, kept.Until.UTC().Format(time.RFC3339), it.Lock.Until.UTC().Format(time.RFC3339))
	}
	return nil
}
