package agent

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/manifest"
	"github.com/countersign-escrow/countersign/escrow/resource"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/verifier/attest"
	"github.com/countersign-escrow/countersign/verifier/finding"
)

var lab = resource.Organization{ID: "lab-jp"}

func testManifest(t *testing.T) []byte {
	t.Helper()
	m := manifest.Manifest{Schema: manifest.Schema, Product: "organizations/acme/products/widget", Version: "1.0",
		Sources:     []manifest.Source{{Kind: manifest.Archive, Name: "src.tar", Digest: digest.Of([]byte("source")), Size: 6}},
		Artifacts:   []manifest.Artifact{{Path: "widget", Digest: digest.Of([]byte("widget")), Size: 6, Rebuilt: "/build/out/widget", Platform: "linux/amd64"}},
		Environment: manifest.Environment{Image: digest.Of([]byte("image"))}, Recipe: manifest.Recipe{Argv: []string{"make"}}}
	b, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// fakeRebuilds is a fake rebuild service with a queue of leases; heartbeat and complete are what it answers those with.
type fakeRebuilds struct {
	mu        sync.Mutex
	leases    []*pb.LeaseRebuildResponse
	leaseErrs []error
	heartbeat func(n int) error
	complete  func(n int) error
	beats     int
	completed []*pb.CompleteRebuildRequest
	tries     int
}

func (f *fakeRebuilds) LeaseRebuild(context.Context, *pb.LeaseRebuildRequest, ...grpc.CallOption) (*pb.LeaseRebuildResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.leaseErrs) > 0 {
		err := f.leaseErrs[0]
		f.leaseErrs = f.leaseErrs[1:]
		return nil, err
	}
	if len(f.leases) == 0 {
		return &pb.LeaseRebuildResponse{}, nil
	}
	l := f.leases[0]
	f.leases = f.leases[1:]
	return l, nil
}

func (f *fakeRebuilds) HeartbeatRebuild(context.Context, *pb.HeartbeatRebuildRequest, ...grpc.CallOption) (*pb.HeartbeatRebuildResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.beats++
	if f.heartbeat != nil {
		if err := f.heartbeat(f.beats); err != nil {
			return nil, err
		}
	}
	return &pb.HeartbeatRebuildResponse{ExpireTime: timestamppb.New(time.Now().Add(300 * time.Millisecond))}, nil
}

func (f *fakeRebuilds) CompleteRebuild(_ context.Context, req *pb.CompleteRebuildRequest, _ ...grpc.CallOption) (*pb.CompleteRebuildResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tries++
	if f.complete != nil {
		if err := f.complete(f.tries); err != nil {
			return nil, err
		}
	}
	f.completed = append(f.completed, req)
	return &pb.CompleteRebuildResponse{}, nil
}

func leaseOf(m []byte, release string) *pb.LeaseRebuildResponse {
	return &pb.LeaseRebuildResponse{Rebuild: &pb.Rebuild{Name: "organizations/lab-jp/rebuilds/1", Release: release}, LeaseToken: 7,
		ExpireTime: timestamppb.New(time.Now().Add(300 * time.Millisecond)), Manifest: m}
}

const widget = "organizations/acme/products/widget/releases/1.0"

var match = []finding.Finding{
	{Check: finding.Rebuild, Outcome: finding.Passed, Summary: "ended", Evidence: finding.Evidence{Runs: []finding.RunEvidence{{Result: "ENDED",
		Outputs: []finding.OutputEvidence{{Artifact: "widget", Digest: digest.Of([]byte("widget")), Size: 6}}}}}},
	{Check: finding.Comparison, Outcome: finding.Passed, Verdict: finding.Match, Artifact: "widget", Summary: "same"},
}

// agentFor makes an agent for a service that ends when nothing is left; events are gathered.
func agentFor(t *testing.T, f *fakeRebuilds, r Rebuild) (*Agent, *ecdsa.PrivateKey, *[]string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := attest.NewSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	return New(Config{Service: f, Organization: lab, Country: "JP", Platforms: []string{"linux/amd64"}, Signer: signer, Rebuild: r,
		Poll: time.Millisecond, UntilIdle: 20 * time.Millisecond, Report: func(e Event) { kinds = append(kinds, e.Kind) }}), key, &kinds
}

func done(context.Context, Work) ([]finding.Finding, error) { return match, nil }

func TestRunSignsAndHandsIn(t *testing.T) {
	m := testManifest(t)
	f := &fakeRebuilds{leases: []*pb.LeaseRebuildResponse{leaseOf(m, widget)},
		leaseErrs: []error{&fault.Error{Kind: fault.Unavailable, Message: "away"}},
		complete: func(n int) error {
			if n == 1 {
				return &fault.Error{Kind: fault.Unavailable, Message: "away"}
			}
			return nil
		}}
	a, key, kinds := agentFor(t, f, done)
	if err := a.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(*kinds, " "); got != "WAITING LEASED DONE" {
		t.Errorf("events %s", got)
	}
	if len(f.completed) != 1 || f.completed[0].GetLeaseToken() != 7 || len(f.completed[0].GetEnvelopes()) != 3 {
		t.Fatalf("handed in %v", f.completed)
	}
	types := make(map[string]bool)
	for _, b := range f.completed[0].GetEnvelopes() {
		e, err := attest.ParseEnvelope(b)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.VerifyKey(key.Public()); err != nil {
			t.Error(err)
		}
		s, err := e.Statement()
		if err != nil {
			t.Fatal(err)
		}
		types[s.PredicateType] = true
	}
	if !types[attest.TypeFinding] || !types[attest.TypeComparison] || !types[attest.TypeProvenance] {
		t.Errorf("types %v", types)
	}
}

func TestRunDropsWorkWithTheLease(t *testing.T) {
	f := &fakeRebuilds{leases: []*pb.LeaseRebuildResponse{leaseOf(testManifest(t), widget)}, heartbeat: func(n int) error {
		if n > 1 {
			return &fault.Error{Kind: fault.Aborted, Reason: "LEASE_LOST", Message: "another has it"}
		}
		return nil
	}}
	a, _, kinds := agentFor(t, f, func(ctx context.Context, _ Work) ([]finding.Finding, error) {
		<-ctx.Done() // for as long as the lease holds
		return nil, ctx.Err()
	})
	a.Once = true
	if err := a.Run(t.Context()); !fault.Is(err, fault.Aborted) {
		t.Errorf("got %v", err)
	}
	if got := strings.Join(*kinds, " "); got != "LEASED LOST" || len(f.completed) != 0 {
		t.Errorf("events %s; handed in %d", got, len(f.completed))
	}
}

func TestRunOutlivesFailures(t *testing.T) {
	m, calls := testManifest(t), 0
	f := &fakeRebuilds{leases: []*pb.LeaseRebuildResponse{
		leaseOf(m, "organizations/acme/products/widget/releases/2.0"), // not what the manifest says
		leaseOf([]byte("{}"), widget),
		leaseOf(m, widget),
		leaseOf(m, widget),
	}}
	a, _, kinds := agentFor(t, f, func(context.Context, Work) ([]finding.Finding, error) {
		if calls++; calls == 1 {
			return nil, errors.New("no disk")
		}
		return match, nil
	})
	if err := a.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(*kinds, " "); got != "LEASED FAILED LEASED FAILED LEASED FAILED LEASED DONE" {
		t.Errorf("events %s", got)
	}
}

func TestRunEnds(t *testing.T) {
	denied := fault.Deniedf("KIND_NOT_ALLOWED", "not for vendors")
	a, _, _ := agentFor(t, &fakeRebuilds{leaseErrs: []error{denied}}, done)
	if err := a.Run(t.Context()); !fault.Is(err, fault.Denied) {
		t.Errorf("denied: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	a, _, _ = agentFor(t, &fakeRebuilds{}, done)
	a.UntilIdle = 0
	if err := a.Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("stopped: %v", err)
	}
}
