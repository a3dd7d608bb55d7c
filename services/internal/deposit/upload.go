package deposit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/countersign-escrow/countersign/escrow/blob"
	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/rpc"
)

// Caps on uploads.
const (
	maxChunk   = 1 << 20
	maxBlob    = 1 << 40
	maxMissing = 10_000
)

// upload is what an upload's resource name says: organizations/{o}/uploads/{hex}/{size}.
type upload struct {
	blob.Ref
	size    int64
	damaged bool // it was deposited before, and found damaged or gone since
}

func parseUpload(s string) (upload, error) {
	const form = "must have the form organizations/{o}/uploads/{hexadecimal SHA-256}/{bytes}"
	parts := strings.Split(s, "/")
	if len(s) > 512 || len(parts) != 5 || parts[2] != "uploads" {
		return upload{}, fmt.Errorf("upload name %.120q: %s", s, form)
	}
	holder, err := resource.ParseOrganization(parts[0] + "/" + parts[1])
	if err != nil {
		return upload{}, err
	}
	d, err := digest.ParseHex(parts[3])
	if err != nil {
		return upload{}, err
	}
	size, err := strconv.ParseInt(parts[4], 10, 64)
	if err != nil || size < 0 || size > maxBlob || strconv.FormatInt(size, 10) != parts[4] {
		return upload{}, fmt.Errorf("upload name %.120q: the size must be a number of bytes from 0 to %d", s, int64(maxBlob))
	}
	return upload{Ref: blob.Ref{Holder: holder, Digest: d}, size: size}, nil
}

func ownUpload(ctx context.Context, name string) (upload, error) {
	u, err := rpc.Name("resource_name", name, parseUpload)
	if err != nil {
		return u, err
	}
	return u, rpc.RequireSelf(ctx, u.Holder)
}

// FindMissingBlobs tells which blobs the caller has yet to send.
func (s *Server) FindMissingBlobs(ctx context.Context, r *pb.FindMissingBlobsRequest) (*pb.FindMissingBlobsResponse, error) {
	vendor, err := self(ctx, "parent", r.GetParent())
	if err != nil {
		return nil, err
	}
	if n := len(r.GetBlobs()); n > maxMissing {
		return nil, fault.Exhaustedf("blobs", "has %d entries, %d at most", n, maxMissing).WithAdvice("ask in several calls")
	}
	wanted := make([]catalog.BlobRef, len(r.GetBlobs()))
	for i, b := range r.GetBlobs() {
		d, err := rpc.Name(fmt.Sprintf("blobs[%d].digest", i), b.GetDigest(), digest.Parse)
		if err != nil {
			return nil, err
		}
		wanted[i] = catalog.BlobRef{Digest: d, Size: b.GetSize()}
	}
	missing, err := s.missing(ctx, vendor, wanted)
	if err != nil {
		return nil, err
	}
	resp := &pb.FindMissingBlobsResponse{}
	for _, b := range missing {
		resp.Missing = append(resp.Missing, &pb.Blob{Digest: b.Digest.String(), Size: b.Size})
	}
	return resp, nil
}

func (s *Server) missing(ctx context.Context, vendor resource.Organization, wanted []catalog.BlobRef) (missing []catalog.BlobRef, err error) {
	err = s.Catalog.View(ctx, func(tx *catalog.Tx) error {
		missing, err = tx.MissingBlobs(vendor, wanted)
		return err
	})
	return missing, err
}

// Write takes in a blob, piece by piece. What was received before a stream breaks stays and is not sent again.
func (s *Server) Write(stream pb.DepositService_WriteServer) error {
	ctx, in := stream.Context(), receiveAhead(stream, s.idle)
	first, err := in.next()
	if errors.Is(err, io.EOF) {
		return fault.Invalidf("resource_name", "is missing: the stream ended before its first message")
	}
	if err != nil {
		return err
	}
	u, err := ownUpload(ctx, first.GetResourceName())
	if err != nil {
		return err
	}
	leave, err := s.uploads.enter(ctx, u.Ref)
	if err != nil {
		return err
	}
	defer leave()
	if held, err := s.heldWhole(ctx, &u); err != nil || held {
		return answer(stream, u.size, err)
	}
	n, err := s.receive(ctx, in, first, u)
	return answer(stream, n, err)
}

func answer(stream pb.DepositService_WriteServer, committed int64, err error) error {
	if err != nil {
		return err
	}
	return stream.SendAndClose(&pb.WriteResponse{CommittedSize: committed})
}

// heldWhole says whether a blob is deposited and not known to be damaged. Its size is as certain as its digest. A crash may
// have come between the store and the catalog: what the store holds is then noted now, since it would not be taken a second
// time.
func (s *Server) heldWhole(ctx context.Context, u *upload) (bool, error) {
	held, err := s.noted(ctx, u)
	if err != nil || held || u.damaged {
		return held, err
	}
	size, err := s.Blobs.Stat(ctx, u.Ref)
	switch {
	case fault.Is(err, fault.NotFound), fault.Is(err, fault.Corrupt): // a damaged one is mended by another upload
		return false, nil
	case err == nil && size != u.size:
		return false, wrongSize(size, *u)
	case err == nil:
		err = s.note(ctx, *u)
	}
	return err == nil, err
}

func wrongSize(size int64, u upload) error {
	return fault.Invalidf("resource_name", "the blob with this digest has %d bytes, not %d", size, u.size)
}

// noted says whether the catalog knows that a blob is deposited, and notes whether it knows it to be damaged.
func (s *Server) noted(ctx context.Context, u *upload) (held bool, err error) {
	err = s.Catalog.View(ctx, func(tx *catalog.Tx) error {
		b, err := tx.Deposited(u.Holder, u.Digest)
		if fault.Is(err, fault.NotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if b.Size != u.size {
			return wrongSize(b.Size, *u)
		}
		u.damaged = !b.Damaged.IsZero()
		held = !u.damaged
		return nil
	})
	return held, err
}

// receive writes what the stream brings and returns how much of the blob is durable.
func (s *Server) receive(ctx context.Context, in *incoming, msg *pb.WriteRequest, u upload) (durable int64, err error) {
	w, err := s.Blobs.Resume(ctx, u.Ref, u.size)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	if u.damaged && w.Offset() == u.size { // nothing is missing of it: it proved whole, or was sent whole before
		return u.size, s.commit(ctx, w, u)
	}
	for name := msg.GetResourceName(); ; {
		if err := accept(w, msg, name); err != nil {
			return 0, err
		}
		if msg.GetFinishWrite() {
			return u.size, s.commit(ctx, w, u)
		}
		msg, err = in.next()
		if errors.Is(err, io.EOF) {
			return s.pause(ctx, w, u)
		}
		if err != nil {
			return 0, err
		}
	}
}

// accept appends one message.
func accept(w blob.Upload, msg *pb.WriteRequest, name string) error {
	switch n := msg.GetResourceName(); {
	case n != "" && n != name:
		return fault.Invalidf("resource_name", "has changed within the stream")
	case len(msg.GetData()) > maxChunk:
		return fault.Exhaustedf("data", "has %d bytes, %d at most in one message", len(msg.GetData()), maxChunk)
	case msg.GetWriteOffset() != w.Offset():
		wrong := &fault.Error{Kind: fault.Aborted, Reason: "WRONG_OFFSET", Field: "write_offset",
			Message: fmt.Sprintf("is %d, the upload goes on at %d", msg.GetWriteOffset(), w.Offset())}
		return wrong.WithAdvice("ask QueryWriteStatus, and send from the offset that it tells")
	}
	_, err := w.Write(msg.GetData())
	return err
}

// commit makes a blob durable, and only then says that it is held.
func (s *Server) commit(ctx context.Context, w blob.Upload, u upload) error {
	if err := w.Commit(ctx); err != nil {
		return err
	}
	return s.note(ctx, u)
}

func (s *Server) note(ctx context.Context, u upload) error {
	return s.Catalog.Update(ctx, func(tx *catalog.Tx) error {
		err := tx.InsertBlob(u.Holder, catalog.BlobRef{Digest: u.Digest, Size: u.size}, s.now())
		if err != nil || !u.damaged {
			return err
		}
		return s.Pipeline.LockAgain(ctx, tx, catalog.Place{Holder: u.Holder, Digest: u.Digest})
	})
}

// pause ends a stream that is to be continued.
func (s *Server) pause(ctx context.Context, w blob.Upload, u upload) (int64, error) {
	if err := w.Close(); err != nil {
		return 0, err
	}
	return s.Blobs.Partial(ctx, u.Ref)
}

// QueryWriteStatus tells how much of an upload is durable.
func (s *Server) QueryWriteStatus(ctx context.Context, r *pb.QueryWriteStatusRequest) (*pb.QueryWriteStatusResponse, error) {
	u, err := ownUpload(ctx, r.GetResourceName())
	if err != nil {
		return nil, err
	}
	held, err := s.heldWhole(ctx, &u)
	if err != nil {
		return nil, err
	}
	if held {
		return &pb.QueryWriteStatusResponse{CommittedSize: u.size, Complete: true}, nil
	}
	n, err := s.Blobs.Partial(ctx, u.Ref)
	if err != nil {
		return nil, err
	}
	return &pb.QueryWriteStatusResponse{CommittedSize: n}, nil
}
