// Package agent is an independent rebuilder: it leases rebuilds from a service, makes them in its own sandbox, and hands
// in findings signed with its own key. It believes nothing that the service sends without checking its digest, and knows
// nothing of how a rebuild is run.
package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/manifest"
	"github.com/countersign-escrow/countersign/escrow/resource"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/verifier/attest"
	"github.com/countersign-escrow/countersign/verifier/finding"
)

// Rebuilds is what is needed of a rebuild service. Its errors are domain errors.
type Rebuilds interface {
	LeaseRebuild(context.Context, *pb.LeaseRebuildRequest, ...grpc.CallOption) (*pb.LeaseRebuildResponse, error)
	HeartbeatRebuild(context.Context, *pb.HeartbeatRebuildRequest, ...grpc.CallOption) (*pb.HeartbeatRebuildResponse, error)
	CompleteRebuild(context.Context, *pb.CompleteRebuildRequest, ...grpc.CallOption) (*pb.CompleteRebuildResponse, error)
}

// Work is one release to rebuild.
type Work struct {
	Release  resource.Release
	Manifest *manifest.Manifest
}

// Rebuild makes a rebuild and says what it found. An error is a failure of this side, for which no vendor is to blame.
type Rebuild func(ctx context.Context, w Work) ([]finding.Finding, error)

// Config is what an agent works with.
type Config struct {
	Service      Rebuilds
	Organization resource.Organization
	Country      string
	Platforms    []string
	Signer       *attest.Signer
	Rebuild      Rebuild
	Poll         time.Duration // between two requests while nothing waits; a second if 0
	Once         bool          // end after one rebuild
	UntilIdle    time.Duration // end when nothing was to do for so long; 0 for never
	Report       func(Event)   // is told what happens, from one goroutine
}

// Event is something that happened to a rebuild.
type Event struct {
	Kind    string // LEASED, DONE, LOST, FAILED or WAITING
	Rebuild string // organizations/{rebuilder}/rebuilds/{id}; empty for WAITING
	Release string
	Message string
	Results []*pb.Finding // of DONE
}

// Agent leases and rebuilds, one release at a time.
type Agent struct{ Config }

// New makes an agent.
func New(c Config) *Agent {
	if c.Poll == 0 {
		c.Poll = time.Second
	}
	if c.Report == nil {
		c.Report = func(Event) {}
	}
	return &Agent{c}
}

// mostPause bounds the pause between attempts while the service cannot be reached.
const mostPause = 30 * time.Second

// Run works until ctx ends, or until Once or UntilIdle says so. It outlives a service that is away for a while.
func (a *Agent) Run(ctx context.Context) error {
	idle, pause := time.Now(), a.Poll
	for {
		lease, err := a.lease(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && !passing(err):
			return err
		case err != nil:
			a.Report(Event{Kind: "WAITING", Message: err.Error()})
			pause = min(2*pause, mostPause)
		case lease != nil:
			err := a.work(ctx, lease)
			if a.Once || ctx.Err() != nil {
				return errors.Join(ctx.Err(), err)
			}
			idle, pause = time.Now(), a.Poll
			if err == nil {
				continue
			}
		default:
			pause = a.Poll
		}
		if a.UntilIdle > 0 && time.Since(idle) >= a.UntilIdle {
			return nil
		}
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

func passing(err error) bool {
	return fault.Is(err, fault.Unavailable) || fault.Is(err, fault.Aborted) || errors.Is(err, context.DeadlineExceeded)
}

func (a *Agent) lease(ctx context.Context) (*pb.LeaseRebuildResponse, error) {
	resp, err := a.Service.LeaseRebuild(ctx, &pb.LeaseRebuildRequest{Parent: a.Organization.String(), Platforms: a.Platforms})
	if err != nil || resp.GetRebuild() == nil {
		return nil, err
	}
	return resp, nil
}

// work makes one leased rebuild and hands it in. Losing the lease ends it at once: somebody else has it now.
func (a *Agent) work(ctx context.Context, lease *pb.LeaseRebuildResponse) error {
	r := lease.GetRebuild()
	event := Event{Rebuild: r.GetName(), Release: r.GetRelease()}
	report := func(kind, message string) {
		event.Kind, event.Message = kind, message
		a.Report(event)
	}
	report("LEASED", "")
	held, release := a.hold(ctx, lease)
	defer release()
	findings, err := a.make(held, lease)
	if err == nil {
		event.Results = findings
		report("DONE", "")
		return nil
	}
	if cause := context.Cause(held); cause != nil && ctx.Err() == nil {
		report("LOST", cause.Error())
		return cause
	}
	report("FAILED", err.Error())
	return err
}

func (a *Agent) make(ctx context.Context, lease *pb.LeaseRebuildResponse) ([]*pb.Finding, error) {
	w, err := workOf(lease)
	if err != nil {
		return nil, err
	}
	found, err := a.Rebuild(ctx, w)
	if err != nil {
		return nil, err
	}
	envelopes, err := a.sign(ctx, w, digest.Of(lease.GetManifest()), found)
	if err != nil {
		return nil, err
	}
	return a.complete(ctx, &pb.CompleteRebuildRequest{Name: lease.GetRebuild().GetName(), LeaseToken: lease.GetLeaseToken(), Envelopes: envelopes})
}

// workOf checks that a lease holds together.
func workOf(lease *pb.LeaseRebuildResponse) (Work, error) {
	m, err := manifest.Parse(lease.GetManifest())
	if err != nil {
		return Work{}, err
	}
	release, err := m.Release()
	if err != nil {
		return Work{}, err
	}
	if release.String() != lease.GetRebuild().GetRelease() {
		return Work{}, fault.Corruptf(lease.GetRebuild().GetName(), "the service sent the manifest of %s for %s", release, lease.GetRebuild().GetRelease())
	}
	return Work{Release: release, Manifest: m}, nil
}

// complete hands in the work, again while the service cannot be reached: the lease is kept up meanwhile.
func (a *Agent) complete(ctx context.Context, req *pb.CompleteRebuildRequest) ([]*pb.Finding, error) {
	for pause := a.Poll; ; pause = min(2*pause, mostPause) {
		resp, err := a.Service.CompleteRebuild(ctx, req)
		if err == nil {
			return resp.GetFindings(), nil
		}
		if !fault.Is(err, fault.Unavailable) {
			return nil, fmt.Errorf("handing in: %w", err)
		}
		if err := sleep(ctx, pause); err != nil {
			return nil, err
		}
	}
}
