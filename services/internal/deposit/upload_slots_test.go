package deposit

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/escrow/blob"
	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
)

func refTo(vendor string, i int) blob.Ref {
	return blob.Ref{Holder: resource.Organization{ID: vendor}, Digest: digest.Of([]byte(fmt.Sprint(i)))}
}

func mustEnter(t *testing.T, s *slots, ref blob.Ref) (leave func()) {
	t.Helper()
	leave, err := s.enter(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	return leave
}

func reasonOf(err error) string {
	var f *fault.Error
	if errors.As(err, &f) {
		return f.Reason
	}
	return fmt.Sprint(err)
}

func TestAVendorHasSoManyUploadsAtATime(t *testing.T) {
	s := newSlots()
	var leave []func()
	for i := range maxUploads {
		leave = append(leave, mustEnter(t, s, refTo("acme", i)))
	}
	if _, err := s.enter(t.Context(), refTo("acme", maxUploads)); reasonOf(err) != "TOO_MANY_UPLOADS" || !fault.Is(err, fault.Exhausted) {
		t.Errorf("one more: %v", err)
	}
	mustEnter(t, s, refTo("rival", 0))() // others are not kept waiting
	leave[3]()
	leave[3] = mustEnter(t, s, refTo("acme", maxUploads))
	for _, f := range leave {
		f()
	}
	if len(s.vendors) != 0 || len(s.writers) != 0 {
		t.Errorf("left behind: %v, %v", s.vendors, s.writers)
	}
}

// Many writers of one blob come one after the other, and none is kept waiting for longer than it takes.
func TestWritersOfOneBlobTakeTurns(t *testing.T) {
	s := newSlots()
	var all sync.WaitGroup
	var mu sync.Mutex
	most, now := 0, 0
	for range maxUploads {
		all.Go(func() {
			leave, err := s.enter(t.Context(), refTo("acme", 1))
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			time.Sleep(time.Millisecond)
			mu.Lock()
			now--
			mu.Unlock()
			leave()
		})
	}
	all.Wait()
	if most != 1 {
		t.Errorf("%d writers at a time", most)
	}
}

func TestAWaitingWriterGivesUpWithItsCaller(t *testing.T) {
	s := newSlots()
	defer mustEnter(t, s, refTo("acme", 1))()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := s.enter(ctx, refTo("acme", 1)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	if s.vendors[resource.Organization{ID: "acme"}] != 1 {
		t.Errorf("counted: %v", s.vendors)
	}
}
