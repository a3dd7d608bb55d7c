package custody_test

import (
	"context"
	"sync"
	"testing"

	"github.com/countersign-escrow/countersign/escrow/blob"
	"github.com/countersign-escrow/countersign/escrow/blob/object"
	"github.com/countersign-escrow/countersign/escrow/digest"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/jobs"
	"github.com/countersign-escrow/countersign/services/internal/servicetest"
)

// slow is a store that takes its time to keep things: meanwhile something else happens, which is not kept waiting.
type slow struct {
	blob.Store
	once      sync.Once
	meanwhile func()
}

// elsewhere marks the context of what happens meanwhile.
type elsewhere struct{}

func (s *slow) Keep(ctx context.Context, ref blob.Ref, lock object.Lock) error {
	if ctx.Value(elsewhere{}) == nil {
		s.once.Do(s.meanwhile)
	}
	return s.Store.Keep(ctx, ref, lock)
}

// A job that read what the store is to be told before a hold was placed must not take the hold away from the store, when
// it comes to tell it after the hold's own job.
func TestALateJobDoesNotUndoALaterOne(t *testing.T) {
	s := &stage{Stage: servicetest.New(t)} // its queue is never started: the test does the work
	s.vendor = s.Vendor(t, "acme")
	s.operator = pb.NewCustodyServiceClient(s.Member(t, s.Operator))
	s.release = s.vendor.Prepare(t, "1.0", map[string]string{"tool": "tool"})
	s.release.Sign(t, s.vendor.Key)
	s.vendor.Open(t, s.release)
	s.sealUnpublished(t)

	retain := func(ctx context.Context) error {
		return s.Pipeline.Handlers().Retain(ctx, jobs.Retain{Release: s.release.Name.String()})
	}
	store := &slow{Store: s.Blobs}
	store.meanwhile = func() {
		must[*pb.PlaceHoldResponse](t)(s.operator.PlaceHold(t.Context(), &pb.PlaceHoldRequest{Parent: s.release.Name.String(), Reason: "a case"}))
		if err := retain(context.WithValue(t.Context(), elsewhere{}, true)); err != nil {
			t.Errorf("the hold's own job: %v", err)
		}
	}
	s.Pipeline.Blobs = store
	if err := retain(t.Context()); err == nil {
		t.Error("the late job was content")
	}
	if err := retain(t.Context()); err != nil {
		t.Errorf("the late job, again: %v", err)
	}
	if lock := s.locks(t, s.release)[digest.Of([]byte("tool"))]; !lock.Hold || s.toldHold(t) != 1 {
		t.Errorf("the store keeps %v", lock)
	}
}

// sealUnpublished seals the release and does not wait for the receipt: nothing publishes it.
func (s *stage) sealUnpublished(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = s.vendor.Seal(ctx, t, s.release) // it waits for the receipt until it is cut off
	}()
	servicetest.Eventually(t, "the seal", func() bool {
		_, err := s.operator.GetRetention(t.Context(), &pb.GetRetentionRequest{Name: s.retentionName()})
		return err == nil
	})
	cancel()
	<-ended
}
