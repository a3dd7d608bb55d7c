package deposit

import (
	"bytes"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/countersign-escrow/countersign/escrow/blob/seal/sealtest"
	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/digest"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/rpc/rpctest"
)

// under is how many blobs are being written.
func (s *slots) under() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.writers)
}

// A stream that brings nothing any more loses its place to whoever waits for it, and what it brought is kept.
func TestAStalledStreamLosesItsPlace(t *testing.T) {
	house := rpctest.New(t)
	server := New(Config{Catalog: house.Catalog, Blobs: sealtest.Open(t)})
	server.idle = 300 * time.Millisecond
	pb.RegisterDepositServiceServer(house.Server.Registrar(), server)
	house.Serve(t)
	client := pb.NewDepositServiceClient(house.Member(t, house.Register(t, "acme", catalog.Vendor)))

	content := bytes.Repeat([]byte("content "), 100<<10)
	name := "organizations/acme/uploads/" + digest.Of(content).Hex() + "/819200"
	stalled := rpctest.Must[pb.DepositService_WriteClient](t)(client.Write(t.Context()))
	if err := stalled.Send(&pb.WriteRequest{ResourceName: name, Data: content[:500<<10]}); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); server.uploads.under() == 0 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}

	begun := time.Now()
	second := rpctest.Must[pb.DepositService_WriteClient](t)(client.Write(t.Context()))
	if err := second.Send(&pb.WriteRequest{ResourceName: name, Data: content[:100]}); err != nil {
		t.Fatal(err)
	}
	_, err := second.CloseAndRecv()
	rpctest.WantCode(t, "the second, which began at the start", err, codes.Aborted, "WRONG_OFFSET")
	if waited := time.Since(begun); waited > 30*server.idle {
		t.Errorf("it waited for %s", waited)
	}
	_, err = stalled.CloseAndRecv()
	rpctest.WantCode(t, "the stalled stream", err, codes.Aborted, "UPLOAD_STALLED")

	st, err := client.QueryWriteStatus(t.Context(), &pb.QueryWriteStatusRequest{ResourceName: name})
	if err != nil || st.GetCommittedSize() != 500<<10 {
		t.Fatalf("kept: %v, %v", st, err)
	}
	third := rpctest.Must[pb.DepositService_WriteClient](t)(client.Write(t.Context()))
	if err := third.Send(&pb.WriteRequest{ResourceName: name, WriteOffset: 500 << 10, Data: content[500<<10:], FinishWrite: true}); err != nil {
		t.Fatal(err)
	}
	if resp, err := third.CloseAndRecv(); err != nil || resp.GetCommittedSize() != 819200 {
		t.Errorf("the rest: %v, %v", resp, err)
	}
}
