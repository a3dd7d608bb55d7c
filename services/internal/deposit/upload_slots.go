package deposit

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/countersign-escrow/countersign/escrow/blob"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
)

const (
	// maxUploads is how many streams of one vendor write at a time, so that none takes all the memory and disk time there is.
	maxUploads = 16
	// writerWait is how long a second writer of a blob waits for the first. What it waits for mostly comes soon: the first is
	// done, or its broken stream has been cleared away.
	writerWait = 20 * time.Second
)

// slots are the uploads that this process is taking in.
type slots struct {
	mu      sync.Mutex
	vendors map[resource.Organization]int
	writers map[blob.Ref]chan struct{} // closed when the writer has gone
}

func newSlots() *slots {
	return &slots{vendors: make(map[resource.Organization]int), writers: make(map[blob.Ref]chan struct{})}
}

// enter makes the caller the one writer of a blob, after waiting for another one if need be. The caller must call leave.
func (s *slots) enter(ctx context.Context, ref blob.Ref) (leave func(), err error) {
	if err := s.join(ref.Holder); err != nil {
		return nil, err
	}
	if err := s.await(ctx, ref); err != nil {
		s.part(ref.Holder)
		return nil, err
	}
	return func() {
		s.release(ref)
		s.part(ref.Holder)
	}, nil
}

// join counts a stream of a vendor.
func (s *slots) join(vendor resource.Organization) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.vendors[vendor] >= maxUploads {
		many := &fault.Error{Kind: fault.Exhausted, Reason: "TOO_MANY_UPLOADS", Resource: vendor.String(),
			Message: fmt.Sprintf("%d uploads of %s are under way, which is the most at a time", maxUploads, vendor)}
		return many.WithAdvice("try again when one of them has ended, and send fewer files at a time")
	}
	s.vendors[vendor]++
	return nil
}

func (s *slots) part(vendor resource.Organization) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.vendors[vendor]--; s.vendors[vendor] == 0 {
		delete(s.vendors, vendor)
	}
}

// await claims a blob as soon as nobody writes it.
func (s *slots) await(ctx context.Context, ref blob.Ref) error {
	late := time.NewTimer(writerWait)
	defer late.Stop()
	for {
		gone := s.claim(ref)
		if gone == nil {
			return nil
		}
		select {
		case <-gone:
		case <-ctx.Done():
			return ctx.Err()
		case <-late.C:
			busy := &fault.Error{Kind: fault.Aborted, Reason: "UPLOAD_IN_PROGRESS", Resource: ref.String(), Message: fmt.Sprintf("%s is being uploaded by another", ref)}
			return busy.WithAdvice("wait until that upload ends, then ask QueryWriteStatus how much is missing")
		}
	}
}

// claim makes the caller a blob's writer, or returns what is closed when the present one has gone.
func (s *slots) claim(ref blob.Ref) (gone <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if present, taken := s.writers[ref]; taken {
		return present
	}
	s.writers[ref] = make(chan struct{})
	return nil
}

func (s *slots) release(ref blob.Ref) {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.writers[ref])
	delete(s.writers, ref)
}
