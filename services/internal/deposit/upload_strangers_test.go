package deposit_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/countersign-escrow/countersign/escrow/blob"
	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/digest"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/deposit"
	"github.com/countersign-escrow/countersign/services/internal/rpc"
	"github.com/countersign-escrow/countersign/services/internal/rpc/rpcfault"
	"github.com/countersign-escrow/countersign/services/internal/rpc/rpctest"
	"github.com/countersign-escrow/countersign/services/internal/servicetest"
)

// ask makes every call that speaks of a blob.
func ask(ctx context.Context, conn grpc.ClientConnInterface, vendor string, d digest.Digest, size string) map[string]error {
	c, errs := pb.NewDepositServiceClient(conn), map[string]error{}
	name := vendor + "/uploads/" + d.Hex() + "/" + size
	_, errs["FindMissingBlobs"] = c.FindMissingBlobs(ctx, &pb.FindMissingBlobsRequest{Parent: vendor, Blobs: []*pb.Blob{{Digest: d.String(), Size: 7}}})
	_, errs["QueryWriteStatus"] = c.QueryWriteStatus(ctx, &pb.QueryWriteStatusRequest{ResourceName: name})
	stream, err := c.Write(ctx)
	if err == nil {
		_ = stream.Send(&pb.WriteRequest{ResourceName: name, Data: []byte("x")}) // the answer says more
		_, err = stream.CloseAndRecv()
	}
	errs["Write"] = err
	return errs
}

// Nobody but the vendor itself learns whether it has a file: everybody else gets the same answer whether it is held, half
// sent, or unheard of.
func TestNobodyLearnsWhatAVendorHas(t *testing.T) {
	s := servicetest.New(t)
	v := s.Vendor(t, "acme")
	held, half, unheard := []byte("held..."), []byte("half..."), []byte("unheard")
	if err := v.Upload(t.Context(), digest.Of(held), held); err != nil {
		t.Fatal(err)
	}
	if _, err := send(t.Context(), t, v, v.UploadName(digest.Of(half), 7), half, 0, 3, false).CloseAndRecv(); err != nil {
		t.Fatal(err)
	}
	rival, rivalConn := s.Connect(t, "rival", catalog.Vendor, "NO")
	_, lab := s.Connect(t, "lab-fi", catalog.Evaluator, "FI")
	_, operator := s.Connect(t, "op2", catalog.Operator, "CH")
	for who, c := range map[string]struct {
		conn   *grpc.ClientConn
		reason string
	}{"rival": {rivalConn, "NOT_YOURS"}, "lab": {lab, "KIND_NOT_ALLOWED"}, "operator": {operator, "KIND_NOT_ALLOWED"}} {
		want := ask(t.Context(), c.conn, "organizations/nobody", digest.Of(unheard), "7")
		for what, content := range map[string][]byte{"held": held, "half": half, "unheard of": unheard} {
			for call, err := range ask(t.Context(), c.conn, v.Name.String(), digest.Of(content), "7") {
				rpctest.WantCode(t, who+": "+call+" of what is "+what, err, codes.PermissionDenied, c.reason)
				same := strings.ReplaceAll(rpcfault.FromStatus(err).Error(), v.Name.String(), "organizations/nobody")
				if same != rpcfault.FromStatus(want[call]).Error() {
					t.Errorf("%s: %s of what is %s: %v, but of nobody's: %v", who, call, what, err, want[call])
				}
			}
		}
	}
	// What one vendor holds, another has to send all the same.
	missing, err := pb.NewDepositServiceClient(rivalConn).FindMissingBlobs(t.Context(), &pb.FindMissingBlobsRequest{Parent: rival.String(),
		Blobs: []*pb.Blob{{Digest: digest.Of(held).String(), Size: 7}}})
	if err != nil || len(missing.GetMissing()) != 1 {
		t.Errorf("another vendor's bytes count: %v, %v", missing, err)
	}
}

// untouched is a store that nobody may ask. It is a fake: the real ones do not tell who asks.
type untouched struct {
	blob.Store
	asked atomic.Int64
}

func (u *untouched) Stat(context.Context, blob.Ref) (int64, error)    { u.asked.Add(1); return 0, nil }
func (u *untouched) Partial(context.Context, blob.Ref) (int64, error) { u.asked.Add(1); return 0, nil }

// The answer to somebody who may not ask comes before anything is looked up, so that its time tells nothing either.
func TestNothingIsLookedUpForStrangers(t *testing.T) {
	store := new(untouched)
	server := deposit.New(deposit.Config{Blobs: store}) // a look into the catalog would panic
	ctx := rpc.WithCaller(t.Context(), rpc.Identity{Organization: rpctest.New(t).Register(t, "rival", catalog.Vendor), Kind: catalog.Vendor})
	d := digest.Of([]byte("x"))
	_, err := server.FindMissingBlobs(ctx, &pb.FindMissingBlobsRequest{Parent: "organizations/acme", Blobs: []*pb.Blob{{Digest: d.String(), Size: 1}}})
	_, err2 := server.QueryWriteStatus(ctx, &pb.QueryWriteStatusRequest{ResourceName: "organizations/acme/uploads/" + d.Hex() + "/1"})
	if err == nil || err2 == nil || store.asked.Load() != 0 {
		t.Errorf("%v, %v, asked %d times", err, err2, store.asked.Load())
	}
}

// Two clients that send the same blob at the same time both end well.
func TestTwoUploadsOfOneBlob(t *testing.T) {
	s := servicetest.New(t)
	v := s.Vendor(t, "acme")
	content := randomBytes(t, 3*piece)
	d := digest.Of(content)
	first := send(t.Context(), t, v, v.UploadName(d, len(content)), content, 0, piece, false)
	var both sync.WaitGroup
	both.Go(func() {
		if err := v.Upload(t.Context(), d, content); err != nil { // it waits, and finds the blob held
			t.Errorf("the second: %v", err)
		}
	})
	for at := piece; at < len(content); at += piece {
		if err := first.Send(&pb.WriteRequest{WriteOffset: int64(at), Data: content[at : at+piece], FinishWrite: at+piece == len(content)}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := first.CloseAndRecv(); err != nil {
		t.Errorf("the first: %v", err)
	}
	both.Wait()
}
