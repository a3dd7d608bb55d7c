package deposit_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/countersign-escrow/countersign/escrow/blob"
	"github.com/countersign-escrow/countersign/escrow/digest"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/rpc/rpcfault"
	"github.com/countersign-escrow/countersign/services/internal/rpc/rpctest"
	"github.com/countersign-escrow/countersign/services/internal/servicetest"
)

const piece = 1 << 20

func randomBytes(t *testing.T, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
	return b
}

// send sends content from an offset on, in pieces, and leaves the stream open.
func send(ctx context.Context, t *testing.T, v *servicetest.Vendor, name string, content []byte, from, to int, finish bool) pb.DepositService_WriteClient {
	t.Helper()
	stream, err := v.Deposit.Write(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for at := from; at < to; at += piece {
		end := min(at+piece, to)
		m := &pb.WriteRequest{WriteOffset: int64(at), Data: content[at:end], FinishWrite: finish && end == to}
		if at == from {
			m.ResourceName = name
		}
		if err := stream.Send(m); err != nil {
			t.Logf("send at %d: %v", at, err)
			break
		}
	}
	return stream
}

func status(t *testing.T, v *servicetest.Vendor, name string) *pb.QueryWriteStatusResponse {
	t.Helper()
	st, err := v.Deposit.QueryWriteStatus(t.Context(), &pb.QueryWriteStatusRequest{ResourceName: name})
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func TestAnUploadGoesOnAfterItsStreamBroke(t *testing.T) {
	s := servicetest.New(t)
	v := s.Vendor(t, "acme")
	content := randomBytes(t, 6*piece+17)
	d := digest.Of(content)
	name := v.UploadName(d, len(content))

	ctx, cut := context.WithCancel(t.Context())
	send(ctx, t, v, name, content, 0, 4*piece, false)
	time.Sleep(300 * time.Millisecond) // what is still on the wire when a stream is cut is lost
	cut()
	servicetest.Eventually(t, "something durable", func() bool { return status(t, v, name).GetCommittedSize() > 0 })
	var at int64
	servicetest.Eventually(t, "the end of the broken stream", func() bool {
		at = status(t, v, name).GetCommittedSize()
		stream := send(t.Context(), t, v, name, content, int(at), int(at), false)
		_ = stream.Send(&pb.WriteRequest{ResourceName: name, WriteOffset: at})
		_, err := stream.CloseAndRecv()
		return err == nil
	})
	if at == 0 || at > 4*piece {
		t.Fatalf("%d bytes are durable after %d were sent", at, 4*piece)
	}
	missing, err := v.Deposit.FindMissingBlobs(t.Context(), &pb.FindMissingBlobsRequest{Parent: v.Name.String(), Blobs: []*pb.Blob{{Digest: d.String(), Size: int64(len(content))}}})
	if err != nil || len(missing.GetMissing()) != 1 {
		t.Errorf("half of it is sent, and it is not missing: %v, %v", missing, err)
	}

	_, err = send(t.Context(), t, v, name, content, 0, piece, false).CloseAndRecv()
	rpctest.WantCode(t, "from the start again", err, codes.Aborted, "WRONG_OFFSET")
	if err := rpcfault.FromStatus(err); !strings.Contains(err.Error(), fmt.Sprint(at)) {
		t.Errorf("%v does not tell the offset %d", err, at)
	}

	resp, err := send(t.Context(), t, v, name, content, int(at), len(content), true).CloseAndRecv()
	if err != nil || resp.GetCommittedSize() != int64(len(content)) {
		t.Fatalf("the rest: %v, %v", resp, err)
	}
	if st := status(t, v, name); !st.GetComplete() || st.GetCommittedSize() != int64(len(content)) {
		t.Errorf("status afterwards: %v", st)
	}
	b, err := s.Blobs.Open(t.Context(), blobRef(v, d))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	got := make([]byte, len(content))
	if n, err := b.ReadAt(got, 0); n != len(got) || !bytes.Equal(got, content) {
		t.Errorf("what is held differs from what was sent: %d bytes, %v", n, err)
	}
}

func TestABlobThatIsHeldIsNotSentAgain(t *testing.T) {
	s := servicetest.New(t)
	v := s.Vendor(t, "acme")
	content := randomBytes(t, 100)
	d := digest.Of(content)
	if err := v.Upload(t.Context(), d, content); err != nil {
		t.Fatal(err)
	}
	stream, err := v.Deposit.Write(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&pb.WriteRequest{ResourceName: v.UploadName(d, 100)}); err != nil {
		t.Fatal(err)
	}
	resp, err := stream.CloseAndRecv()
	if err != nil || resp.GetCommittedSize() != 100 {
		t.Errorf("%v, %v", resp, err)
	}
	_, err = send(t.Context(), t, v, v.UploadName(d, 99), content, 0, 99, true).CloseAndRecv()
	rpctest.WantCode(t, "another size", err, codes.InvalidArgument, "")
}

func TestBadUploads(t *testing.T) {
	s := servicetest.New(t)
	v := s.Vendor(t, "acme")
	content := []byte("the content")
	name := v.UploadName(digest.Of(content), len(content))
	for what, c := range map[string]struct {
		messages []*pb.WriteRequest
		code     codes.Code
		reason   string
	}{
		"other bytes":       {[]*pb.WriteRequest{{ResourceName: name, Data: []byte("the CONTENT"), FinishWrite: true}}, codes.InvalidArgument, ""},
		"too few bytes":     {[]*pb.WriteRequest{{ResourceName: name, Data: []byte("the"), FinishWrite: true}}, codes.FailedPrecondition, ""},
		"too many bytes":    {[]*pb.WriteRequest{{ResourceName: name, Data: []byte("the content and more"), FinishWrite: true}}, codes.InvalidArgument, ""},
		"a gap":             {[]*pb.WriteRequest{{ResourceName: name, WriteOffset: 5, Data: []byte("x")}}, codes.Aborted, "WRONG_OFFSET"},
		"nothing":           {nil, codes.InvalidArgument, ""},
		"no name":           {[]*pb.WriteRequest{{Data: content}}, codes.InvalidArgument, ""},
		"another name":      {[]*pb.WriteRequest{{ResourceName: name}, {ResourceName: name + "0"}}, codes.InvalidArgument, ""},
		"too long messages": {[]*pb.WriteRequest{{ResourceName: name, Data: make([]byte, piece+1)}}, codes.ResourceExhausted, ""},
	} {
		stream, err := v.Deposit.Write(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range c.messages {
			_ = stream.Send(m)
		}
		_, err = stream.CloseAndRecv()
		rpctest.WantCode(t, what, err, c.code, c.reason)
		if status(t, v, name).GetComplete() {
			t.Fatalf("%s: the blob is held", what)
		}
		// What is left of an upload would be in the way of the next case.
		if what == "too few bytes" {
			if _, err := send(t.Context(), t, v, name, []byte("the CONTENT"), 3, 11, true).CloseAndRecv(); err == nil {
				t.Error("other bytes were taken")
			}
		}
	}
	if err := v.Upload(t.Context(), digest.Of(content), content); err != nil {
		t.Errorf("the right bytes afterwards: %v", err)
	}
}

func TestFindMissingBlobsHasACap(t *testing.T) {
	s := servicetest.New(t)
	v := s.Vendor(t, "acme")
	_, err := v.Deposit.FindMissingBlobs(t.Context(), &pb.FindMissingBlobsRequest{Parent: v.Name.String(), Blobs: make([]*pb.Blob, 10_001)})
	rpctest.WantCode(t, "too many", err, codes.ResourceExhausted, "")
	_, err = v.Deposit.FindMissingBlobs(t.Context(), &pb.FindMissingBlobsRequest{Parent: v.Name.String(), Blobs: []*pb.Blob{{Digest: "md5:1"}}})
	rpctest.WantCode(t, "a malformed digest", err, codes.InvalidArgument, "")
}

func blobRef(v *servicetest.Vendor, d digest.Digest) blob.Ref {
	return blob.Ref{Holder: v.Name, Digest: d}
}

// A crash between the store and the catalog leaves a blob that is held and not noted. It must not stay missing for ever.
func TestABlobThatACrashLeftUnnotedIsTaken(t *testing.T) {
	s := servicetest.New(t)
	v := s.Vendor(t, "acme")
	for i, upload := range []func(name string, content []byte) (*pb.WriteResponse, error){
		func(name string, content []byte) (*pb.WriteResponse, error) {
			if st := status(t, v, name); !st.GetComplete() || st.GetCommittedSize() != int64(len(content)) {
				t.Errorf("status: %v", st)
			}
			return &pb.WriteResponse{CommittedSize: int64(len(content))}, nil
		},
		func(name string, content []byte) (*pb.WriteResponse, error) {
			return send(t.Context(), t, v, name, content, 0, len(content), true).CloseAndRecv()
		},
	} {
		content := []byte(fmt.Sprint("left by a crash ", i))
		d := digest.Of(content)
		if err := blob.Put(t.Context(), s.Blobs, blobRef(v, d), int64(len(content)), bytes.NewReader(content)); err != nil {
			t.Fatal(err)
		}
		resp, err := upload(v.UploadName(d, len(content)), content)
		if err != nil || resp.GetCommittedSize() != int64(len(content)) {
			t.Errorf("%d: %v, %v", i, resp, err)
		}
		_, err = v.Deposit.QueryWriteStatus(t.Context(), &pb.QueryWriteStatusRequest{ResourceName: v.UploadName(d, len(content)+1)})
		rpctest.WantCode(t, "another size", err, codes.InvalidArgument, "")
		missing, err := v.Deposit.FindMissingBlobs(t.Context(), &pb.FindMissingBlobsRequest{Parent: v.Name.String(), Blobs: []*pb.Blob{{Digest: d.String(), Size: int64(len(content))}}})
		if err != nil || len(missing.GetMissing()) != 0 {
			t.Errorf("%d: missing %v, %v", i, missing, err)
		}
	}
}
