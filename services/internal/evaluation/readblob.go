package evaluation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/countersign-escrow/countersign/escrow/blob"
	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
	"github.com/countersign-escrow/countersign/escrow/retention"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/rpc"
)

// A grant is checked again after so many bytes or so much time, whichever comes first.
const (
	chunkBytes   = 256 << 10
	recheckBytes = 1 << 20
	recheckAfter = time.Second
)

// access is a reading of something of a vendor's.
type access struct {
	release resource.Release
	grantID string
	what    string
}

// ReadBlob streams a range of a file of a release. The vendor's trail says how much was read, also where it broke off.
func (s *Server) ReadBlob(r *pb.ReadBlobRequest, stream pb.EvaluationService_ReadBlobServer) (err error) {
	ctx := stream.Context()
	d, err := rpc.Name("digest", r.GetDigest(), digest.Parse)
	if err != nil {
		return err
	}
	release, grantID, err := s.seen(ctx, "release", r.GetRelease())
	if err != nil {
		return err
	}
	b, err := s.file(ctx, release, d)
	if err != nil {
		return err
	}
	defer b.Close()
	from, to, err := span(r, b.Size())
	if err != nil {
		return err
	}
	a := access{release: release, grantID: grantID, what: release.String() + "/files/" + d.String()}
	sent, err := s.send(stream, b, from, to, a)
	return errors.Join(err, s.record(context.WithoutCancel(ctx), a, sent), s.noteRead(context.WithoutCancel(ctx), release))
}

// file opens a file of a release.
func (s *Server) file(ctx context.Context, release resource.Release, d digest.Digest) (blob.Blob, error) {
	err := s.Catalog.View(ctx, func(tx *catalog.Tx) error {
		_, err := tx.ReleaseFile(release, d)
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.Blobs.Open(ctx, blob.Ref{Holder: release.Product.Vendor, Digest: d})
}

// span returns the range that is asked for.
func span(r *pb.ReadBlobRequest, size int64) (from, to int64, err error) {
	switch {
	case r.GetReadOffset() < 0 || r.GetReadOffset() > size:
		return 0, 0, fault.Invalidf("read_offset", "is %d, must be 0 to %d, the file's size", r.GetReadOffset(), size)
	case r.GetReadLimit() < 0:
		return 0, 0, fault.Invalidf("read_limit", "is negative")
	}
	from, to = r.GetReadOffset(), size
	if limit := r.GetReadLimit(); limit > 0 && limit < size-from {
		to = from + limit
	}
	return from, to, nil
}

// send streams a range and returns how many bytes went out. It ends with the grant.
func (s *Server) send(stream pb.EvaluationService_ReadBlobServer, b blob.Blob, from, to int64, a access) (sent int64, err error) {
	ctx, cancel := context.WithCancel(stream.Context())
	chunks := readAhead(ctx, b, from, to)
	defer func() {
		cancel()
		for range chunks { // the blob is closed next
		}
	}()
	reader := rpc.MustCaller(ctx).Organization
	checked, checkedAt := int64(0), time.Now()
	for c := range chunks {
		if sent-checked >= recheckBytes || time.Since(checkedAt) >= recheckAfter {
			if err := s.gate.Recheck(ctx, reader, a.release.Product, a.grantID); err != nil {
				return sent, err
			}
			checked, checkedAt = sent, time.Now()
		}
		if c.err != nil {
			return sent, fmt.Errorf("read of %s: %w", a.what, c.err)
		}
		if err := stream.Send(&pb.ReadBlobResponse{Data: c.data}); err != nil {
			return sent, err
		}
		sent += int64(len(c.data))
	}
	if from+sent < to { // the reader gave up with the context
		return sent, context.Cause(ctx)
	}
	return sent, nil
}

// noteRead winds the release's retention clock: whoever reads a file of it, its vendor included.
func (s *Server) noteRead(ctx context.Context, release resource.Release) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return s.Catalog.Update(ctx, func(tx *catalog.Tx) error { return s.Pipeline.NoteEvent(ctx, tx, release, retention.Read) })
}

// record writes a reading into the vendor's trail. The vendor's own readings are nobody's news.
func (s *Server) record(ctx context.Context, a access, bytes int64) error {
	caller, vendor := rpc.MustCaller(ctx), a.release.Product.Vendor
	if caller.Organization == vendor {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return s.Catalog.Update(ctx, func(tx *catalog.Tx) error {
		return tx.InsertAccess(&catalog.AccessRecord{Vendor: vendor, Reader: caller.Organization, Member: caller.Member,
			Resource: a.what, GrantID: a.grantID, Bytes: bytes, Time: s.now()})
	})
}
