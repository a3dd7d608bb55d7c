package rpc_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/rpc"
	"github.com/countersign-escrow/countersign/services/internal/rpc/rpctest"
)

// directoryStub answers a few calls in the ways that the frame has to deal with.
type directoryStub struct {
	pb.UnimplementedDirectoryServiceServer
	get func(context.Context) error
}

func (d *directoryStub) GetOrganization(ctx context.Context, r *pb.GetOrganizationRequest) (*pb.GetOrganizationResponse, error) {
	if d.get != nil {
		return nil, d.get(ctx)
	}
	org, err := rpc.Name("name", r.GetName(), resource.ParseOrganization)
	if err != nil {
		return nil, err
	}
	return &pb.GetOrganizationResponse{}, rpc.RequireSelf(ctx, org)
}

func (d *directoryStub) Enrol(ctx context.Context, _ *pb.EnrolRequest) (*pb.EnrolResponse, error) {
	if id, ok := rpc.Caller(ctx); ok {
		return &pb.EnrolResponse{MemberId: id.Member}, nil
	}
	return &pb.EnrolResponse{MemberId: "stranger"}, nil
}

// depositStub streams until its context ends.
type depositStub struct {
	pb.UnimplementedDepositServiceServer
	pause time.Duration
}

func (d *depositStub) WatchRelease(_ *pb.WatchReleaseRequest, s grpc.ServerStreamingServer[pb.WatchReleaseResponse]) error {
	for {
		if err := s.Send(&pb.WatchReleaseResponse{}); err != nil {
			return err
		}
		select {
		case <-s.Context().Done():
			return s.Context().Err()
		case <-time.After(d.pause):
		}
	}
}

// house is a house with both stubs.
type house struct {
	*rpctest.House
	directory  directoryStub
	deposit    depositStub
	health     *rpc.Health
	acme, labs resource.Organization
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{House: rpctest.New(t)}
	h.deposit.pause = 10 * time.Millisecond
	h.acme = h.Register(t, "acme", catalog.Vendor)
	h.labs = h.Register(t, "labs", catalog.Evaluator)
	pb.RegisterDirectoryServiceServer(h.Server.Registrar(), &h.directory)
	pb.RegisterDepositServiceServer(h.Server.Registrar(), &h.deposit)
	h.health = rpc.NewHealth(h.Server.Registrar(), map[string][]rpc.Check{
		pb.DirectoryService_ServiceDesc.ServiceName: {h.Catalog.Ping},
	})
	h.Serve(t)
	return h
}

var wantCode = rpctest.WantCode

func get(t *testing.T, conn *grpc.ClientConn, name string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_, err := pb.NewDirectoryServiceClient(conn).GetOrganization(ctx, &pb.GetOrganizationRequest{Name: name})
	return err
}

func TestWhoMayCall(t *testing.T) {
	h := newHouse(t)
	acme := h.Enrol(t, h.acme, "ann")
	unknown := rpctest.Issue(t, h.CA, h.acme, "ann")
	foreign := rpctest.Issue(t, rpctest.NewAuthority(t), h.acme, "ann")
	lab := h.Enrol(t, h.labs, "bob")
	gone := h.Enrol(t, h.acme, "old")
	h.Revoke(t, gone)

	wantCode(t, "own organization", get(t, h.Dial(t, acme), "organizations/acme"), codes.OK, "")
	wantCode(t, "no certificate", get(t, h.Dial(t), "organizations/acme"), codes.Unauthenticated, "CERTIFICATE_REQUIRED")
	wantCode(t, "not in the catalog", get(t, h.Dial(t, unknown), "organizations/acme"), codes.Unauthenticated, "CERTIFICATE_UNKNOWN")
	wantCode(t, "another CA", get(t, h.Dial(t, foreign), "organizations/acme"), codes.Unavailable, "")
	wantCode(t, "revoked", get(t, h.Dial(t, gone), "organizations/acme"), codes.Unauthenticated, "CERTIFICATE_REVOKED")

	theirs := get(t, h.Dial(t, lab), "organizations/acme")
	wantCode(t, "another organization", theirs, codes.PermissionDenied, "NOT_YOURS")
	none := get(t, h.Dial(t, lab), "organizations/none")
	wantCode(t, "no such organization", none, codes.PermissionDenied, "NOT_YOURS")
	if a, b := strings.ReplaceAll(theirs.Error(), "acme", "none"), none.Error(); a != b {
		t.Errorf("the answers differ: %q and %q", a, b)
	}

	_, err := pb.NewDepositServiceClient(h.Dial(t, lab)).CreateProduct(t.Context(), &pb.CreateProductRequest{})
	wantCode(t, "another kind", err, codes.PermissionDenied, "KIND_NOT_ALLOWED")
}

// The catalog's row decides, not the name in the certificate alone.
func TestACertificateOfAnotherMemberDoesNotCount(t *testing.T) {
	h := newHouse(t)
	pair := rpctest.Issue(t, h.CA, h.acme, "ann")
	err := h.Catalog.Update(t.Context(), func(tx *catalog.Tx) error {
		return tx.InsertCertificate(catalog.Certificate{
			Serial: pair.Serial, Organization: h.labs, Member: "ann", NotAfter: time.Now().Add(time.Hour),
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	wantCode(t, "mixed", get(t, h.Dial(t, pair), "organizations/acme"), codes.Unauthenticated, "CERTIFICATE_UNKNOWN")
}

func TestARevocationCountsFromTheNextCall(t *testing.T) {
	h := newHouse(t)
	pair := h.Enrol(t, h.acme, "ann")
	conn := h.Dial(t, pair)
	wantCode(t, "before", get(t, conn, "organizations/acme"), codes.OK, "")
	h.Revoke(t, pair)
	wantCode(t, "after", get(t, conn, "organizations/acme"), codes.Unauthenticated, "CERTIFICATE_REVOKED")
}

func TestARevocationEndsAStream(t *testing.T) {
	h := newHouse(t)
	pair := h.Enrol(t, h.acme, "ann")
	stream := watch(t, h.Dial(t, pair))
	h.Revoke(t, pair)
	wantCode(t, "stream", drain(stream), codes.Unauthenticated, "CERTIFICATE_REVOKED")
}

func watch(t *testing.T, conn *grpc.ClientConn) grpc.ServerStreamingClient[pb.WatchReleaseResponse] {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	stream, err := pb.NewDepositServiceClient(conn).WatchRelease(ctx, &pb.WatchReleaseRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	return stream
}

func drain(stream grpc.ServerStreamingClient[pb.WatchReleaseResponse]) error {
	for {
		if _, err := stream.Recv(); err != nil {
			return err
		}
	}
}

func TestShutdownEndsWatches(t *testing.T) {
	h := newHouse(t)
	h.deposit.pause = time.Minute
	pair := h.Enrol(t, h.acme, "ann")
	stream := watch(t, h.Dial(t, pair))
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := h.Server.Shutdown(ctx); err != nil {
		t.Errorf("shutdown: %v", err)
	}
	wantCode(t, "stream", drain(stream), codes.Unavailable, "SHUTTING_DOWN")
}

func TestStrangersMayEnrolAndAskForHealth(t *testing.T) {
	h := newHouse(t)
	conn := h.Dial(t)
	resp, err := pb.NewDirectoryServiceClient(conn).Enrol(t.Context(), &pb.EnrolRequest{})
	if err != nil || resp.GetMemberId() != "stranger" {
		t.Errorf("enrol: %v (%v)", resp, err)
	}
	wantHealth(t, conn, grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	h.health.Poll(t.Context())
	wantHealth(t, conn, grpc_health_v1.HealthCheckResponse_SERVING)
	if err := h.Catalog.Close(); err != nil {
		t.Fatal(err)
	}
	h.health.Poll(t.Context())
	wantHealth(t, conn, grpc_health_v1.HealthCheckResponse_NOT_SERVING)
}

func wantHealth(t *testing.T, conn *grpc.ClientConn, want grpc_health_v1.HealthCheckResponse_ServingStatus) {
	t.Helper()
	for _, service := range []string{"", pb.DirectoryService_ServiceDesc.ServiceName} {
		resp, err := grpc_health_v1.NewHealthClient(conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: service})
		if err != nil || resp.GetStatus() != want {
			t.Errorf("health of %q: %v (%v), want %s", service, resp.GetStatus(), err, want)
		}
	}
}

func TestFailuresAreHiddenAndLogged(t *testing.T) {
	h := newHouse(t)
	pair := h.Enrol(t, h.acme, "ann")
	conn := h.Dial(t, pair)
	for name, f := range map[string]func(context.Context) error{
		"error": func(context.Context) error { return errors.New("secret-disk is full") },
		"panic": func(context.Context) error { panic("secret-disk is full") },
		"fault": func(context.Context) error {
			return &fault.Error{Kind: fault.Internal, Message: "secret-disk is full"}
		},
	} {
		h.directory.get = f
		err := get(t, conn, "organizations/acme")
		wantCode(t, name, err, codes.Internal, "INTERNAL")
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the caller is told %v", name, err)
		}
		text := err.Error()
		id := text[strings.LastIndex(text, " ")+1:]
		if log := h.Log(); !strings.Contains(log, id) || !strings.Contains(log, "secret-disk") {
			t.Errorf("%s: the log does not tell of %s:\n%s", name, id, log)
		}
	}
	h.directory.get = nil
	wantCode(t, "afterwards", get(t, conn, "organizations/acme"), codes.OK, "")
}

func TestMessagesAreBounded(t *testing.T) {
	h := newHouse(t)
	pair := h.Enrol(t, h.acme, "ann")
	wantCode(t, "too large", get(t, h.Dial(t, pair), strings.Repeat("x", rpc.MaxMessage)), codes.ResourceExhausted, "")
}

// A stranger's message is not even read, so that nobody fills the memory with messages that are thrown away.
func TestStrangersAreTurnedAwayUnread(t *testing.T) {
	h := newHouse(t)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	stream, err := pb.NewDepositServiceClient(h.Dial(t)).Write(ctx)
	for err == nil {
		err = stream.Send(&pb.WriteRequest{})
	}
	if errors.Is(err, io.EOF) {
		_, err = stream.CloseAndRecv()
	}
	wantCode(t, "stream", err, codes.Unauthenticated, "CERTIFICATE_REQUIRED")
	err = get(t, h.Dial(t), strings.Repeat("x", 2*rpc.MaxMessage))
	wantCode(t, "a message beyond the limit", err, codes.Unauthenticated, "CERTIFICATE_REQUIRED")
}

func TestOldTLSIsRefused(t *testing.T) {
	h := newHouse(t)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		config := &tls.Config{RootCAs: h.CA.Pool(), MinVersion: tls.VersionTLS12, MaxVersion: version, NextProtos: []string{"h2"}}
		conn, err := tls.Dial("tcp", h.Address(), config)
		if (err == nil) != (version == tls.VersionTLS13) {
			t.Errorf("%s: error %v", tls.VersionName(version), err)
		}
		if err == nil {
			_ = conn.Close() // nothing was sent
		}
	}
}

// An expired certificate that is in the catalog does not count, also where the handshake was before its end.
func TestExpiryIsCheckedAtEachCall(t *testing.T) {
	h := newHouse(t)
	pair := h.Enrol(t, h.acme, "ann")
	leaf := rpctest.Must[*x509.Certificate](t)(x509.ParseCertificate(pair.Pair.Certificate[0]))
	if _, err := h.Server.Check(t.Context(), leaf); err != nil {
		t.Fatal(err)
	}
	leaf.NotAfter = time.Now().Add(-time.Second)
	_, err := h.Server.Check(t.Context(), leaf)
	wantCode(t, "expired", err, codes.Unauthenticated, "CERTIFICATE_EXPIRED")
}
