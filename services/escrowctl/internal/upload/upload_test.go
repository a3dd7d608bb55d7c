package upload

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/rpc/rpcfault"
)

// fakeDeposit is a fake: a deposit service over a real connection that keeps blobs in memory, forgets what was not yet
// durable, and breaks off every stream after breakAfter bytes until it has broken breaks of them.
type fakeDeposit struct {
	pb.UnimplementedDepositServiceServer

	breakAfter int
	breaks     int
	code       codes.Code
	forget     int // bytes that are lost when a stream breaks

	mu       sync.Mutex
	partial  map[string][]byte
	whole    map[string][]byte
	received int
}

func (f *fakeDeposit) FindMissingBlobs(_ context.Context, req *pb.FindMissingBlobsRequest) (*pb.FindMissingBlobsResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	resp := new(pb.FindMissingBlobsResponse)
	for _, b := range req.GetBlobs() {
		hex := strings.TrimPrefix(b.GetDigest(), digest.Prefix)
		if _, ok := f.whole[fmt.Sprintf("%s/uploads/%s/%d", req.GetParent(), hex, b.GetSize())]; !ok {
			resp.Missing = append(resp.Missing, b)
		}
	}
	return resp, nil
}

func (f *fakeDeposit) QueryWriteStatus(_ context.Context, req *pb.QueryWriteStatusRequest) (*pb.QueryWriteStatusResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if b, ok := f.whole[req.GetResourceName()]; ok {
		return &pb.QueryWriteStatusResponse{CommittedSize: int64(len(b)), Complete: true}, nil
	}
	return &pb.QueryWriteStatusResponse{CommittedSize: int64(len(f.partial[req.GetResourceName()]))}, nil
}

func (f *fakeDeposit) Write(stream grpc.ClientStreamingServer[pb.WriteRequest, pb.WriteResponse]) error {
	name, got := "", 0
	for {
		req, err := stream.Recv()
		if err != nil {
			return err
		}
		if name == "" {
			name = req.GetResourceName()
		}
		size, finished, err := f.take(name, req, &got)
		if err != nil {
			return err
		}
		if finished {
			return stream.SendAndClose(&pb.WriteResponse{CommittedSize: size})
		}
	}
}

func (f *fakeDeposit) take(name string, req *pb.WriteRequest, got *int) (int64, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	held := f.partial[name]
	if req.GetWriteOffset() != int64(len(held)) {
		return 0, false, status.Errorf(codes.InvalidArgument, "offset %d, held %d", req.GetWriteOffset(), len(held))
	}
	held = append(held, req.GetData()...)
	f.received += len(req.GetData())
	*got += len(req.GetData())
	if f.breaks > 0 && *got > f.breakAfter {
		f.breaks--
		f.partial[name] = held[:max(0, len(held)-f.forget)]
		return 0, false, status.Error(f.code, "broke off")
	}
	f.partial[name] = held
	if !req.GetFinishWrite() {
		return 0, false, nil
	}
	if hex := strings.Split(name, "/")[3]; digest.Of(held).Hex() != hex {
		delete(f.partial, name)
		return 0, false, status.Error(codes.InvalidArgument, "these bytes have another digest")
	}
	f.whole[name] = held
	return int64(len(held)), true, nil
}

// explained does what the client's interceptors do: statuses become domain errors.
func explained(err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return rpcfault.FromStatus(err)
}

type explainedStream struct{ grpc.ClientStream }

func (s explainedStream) RecvMsg(m any) error { return explained(s.ClientStream.RecvMsg(m)) }

func start(t *testing.T, f *fakeDeposit) *Sender {
	t.Helper()
	f.partial, f.whole = make(map[string][]byte), make(map[string][]byte)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	pb.RegisterDepositServiceServer(server, f)
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			return explained(invoke(ctx, method, req, reply, cc, opts...))
		}),
		grpc.WithStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, streamer grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
			s, err := streamer(ctx, desc, cc, method, opts...)
			return explainedStream{s}, explained(err)
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &Sender{Service: pb.NewDepositServiceClient(conn), Vendor: resource.Organization{ID: "acme"}, Progress: new(record), Retry: time.Millisecond, Patience: time.Minute}
}

// record is a Progress that can be asked.
type record struct {
	mu           sync.Mutex
	planned, now int64
	notes        []string
}

func (r *record) Plan(_ int, bytes int64) { r.planned = bytes }
func (r *record) Sent(bytes int64)        { r.mu.Lock(); defer r.mu.Unlock(); r.now += bytes }
func (r *record) Resumed(bytes int64)     { r.Sent(bytes) }
func (r *record) Note(line string)        { r.mu.Lock(); defer r.mu.Unlock(); r.notes = append(r.notes, line) }

func blob(seed int64, size int) ([]byte, Blob) {
	content := make([]byte, size)
	rand.New(rand.NewSource(seed)).Read(content)
	return content, Blob{Name: fmt.Sprintf("file%d", seed), Digest: digest.Of(content), Size: int64(size),
		Open: func() (Content, error) { return memory{bytes.NewReader(content)}, nil }}
}

type memory struct{ *bytes.Reader }

func (memory) Close() error { return nil }

func TestSend(t *testing.T) {
	var blobs []Blob
	for i, size := range []int{0, 1, chunk - 1, chunk, chunk + 1, 3*chunk + 7} {
		_, b := blob(int64(i), size)
		blobs = append(blobs, b)
	}
	blobs = append(blobs, blobs[2]) // the same bytes again
	f := new(fakeDeposit)
	s := start(t, f)
	sum, err := s.Send(t.Context(), blobs)
	if err != nil {
		t.Fatal(err)
	}
	if want := total(blobs[:6]); sum.Sent != want || sum.Blobs != 6 || sum.Held != 0 || len(f.whole) != 6 {
		t.Errorf("%+v, want %d bytes; %d held", sum, want, len(f.whole))
	}
	if r := s.Progress.(*record); r.now != r.planned {
		t.Errorf("shown %d of %d bytes", r.now, r.planned)
	}
	if sum, err = s.Send(t.Context(), blobs); err != nil || sum.Sent != 0 || sum.Held != 6 {
		t.Errorf("again: %+v, %v", sum, err)
	}
}

func TestSendGoesOn(t *testing.T) {
	for _, code := range []codes.Code{codes.Unavailable, codes.Aborted} {
		_, b := blob(1, 8*chunk)
		f := &fakeDeposit{breakAfter: 2 * chunk, breaks: 3, code: code, forget: 100}
		s := start(t, f)
		sum, err := s.Send(t.Context(), []Blob{b})
		if err != nil {
			t.Fatalf("%s: %v", code, err)
		}
		if most := int(b.Size) + 3*f.forget; f.received != most {
			t.Errorf("%s: the service received %d bytes, want %d: no more than was lost is sent again", code, f.received, most)
		}
		if r := s.Progress.(*record); r.now != r.planned || len(r.notes) != 7 {
			t.Errorf("%s: shown %d of %d bytes, notes %q", code, r.now, r.planned, r.notes)
		}
		if sum.Resumed != 0 {
			t.Errorf("%s: %+v", code, sum)
		}
	}
}

func TestSendAfterDeathSendsOnlyTheRest(t *testing.T) {
	content, b := blob(1, 4*chunk)
	f := new(fakeDeposit)
	s := start(t, f)
	f.partial[s.resourceName(b)] = append([]byte(nil), content[:3*chunk]...) // what an earlier process left
	sum, err := s.Send(t.Context(), []Blob{b})
	if err != nil || sum.Resumed != 3*chunk || sum.Sent != chunk || f.received != chunk {
		t.Errorf("%+v, %v; received %d", sum, err, f.received)
	}
}

func TestSendGivesUp(t *testing.T) {
	_, b := blob(1, 2*chunk)
	f := &fakeDeposit{breaks: 1000, code: codes.Unavailable, forget: 8 * chunk}
	s := start(t, f)
	s.Patience = 200 * time.Millisecond
	_, err := s.Send(t.Context(), []Blob{b})
	if !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "file1: gave up after 200ms without headway") {
		t.Errorf("got %v", err)
	}
}

func TestSendRefusesChangedFile(t *testing.T) {
	for name, size := range map[string]int{"other bytes": 2 * chunk, "shorter": chunk} {
		_, other := blob(2, size)
		_, b := blob(1, 2*chunk)
		b.Open = other.Open
		_, err := start(t, new(fakeDeposit)).Send(t.Context(), []Blob{b})
		if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "file1") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSendStopsWithContext(t *testing.T) {
	_, b := blob(1, 2*chunk)
	f := &fakeDeposit{breaks: 1000, code: codes.Unavailable, forget: 8 * chunk}
	s := start(t, f)
	s.Retry = time.Hour
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Send(ctx, []Blob{b}); err == nil || ctx.Err() == nil {
		t.Errorf("got %v", err)
	}
}
