package agent

import (
	"context"
	"fmt"
	"time"

	"github.com/countersign-escrow/countersign/escrow/fault"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
)

// hold keeps a lease up until release is called. The context it returns ends, with the reason as its cause, when the
// lease is lost.
func (a *Agent) hold(ctx context.Context, lease *pb.LeaseRebuildResponse) (held context.Context, release func()) {
	held, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := a.heartbeat(held, lease); err != nil {
			cancel(err)
		}
	}()
	return held, func() {
		cancel(nil)
		<-done
	}
}

// The bounds of the time between two heartbeats, which also hold when the service's clock is far from this one.
const (
	leastBeat = 250 * time.Millisecond
	mostBeat  = 20 * time.Second
)

// heartbeat extends the lease when a third of its time has gone. It returns when the lease is lost or ctx ends.
func (a *Agent) heartbeat(ctx context.Context, lease *pb.LeaseRebuildResponse) error {
	req := &pb.HeartbeatRebuildRequest{Name: lease.GetRebuild().GetName(), LeaseToken: lease.GetLeaseToken()}
	end := lease.GetExpireTime().AsTime()
	left := time.Until(end)
	for {
		if sleep(ctx, min(max(left/3, leastBeat), mostBeat)) != nil {
			return nil
		}
		resp, err := a.Service.HeartbeatRebuild(ctx, req)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			end = resp.GetExpireTime().AsTime()
		case !fault.Is(err, fault.Unavailable):
			return fmt.Errorf("the lease is lost: %w", err)
		case time.Now().After(end):
			return fmt.Errorf("the lease ended while the service was away: %w", err)
		}
		left = time.Until(end)
	}
}
