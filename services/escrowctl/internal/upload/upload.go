// Package upload sends blobs to a service: only those that it lacks, only the part that it lacks of each, and on again
// when the connection breaks. It knows nothing of what the blobs are.
package upload

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
)

// Content is an opened blob.
type Content interface {
	io.ReaderAt
	io.Closer
}

// Blob is something to send. Its bytes may not change while it is sent; the service checks that they did not.
type Blob struct {
	Name   string // for people
	Digest digest.Digest
	Size   int64
	Open   func() (Content, error)
}

// Service is what is needed of a deposit service. Its errors are domain errors.
type Service interface {
	FindMissingBlobs(context.Context, *pb.FindMissingBlobsRequest, ...grpc.CallOption) (*pb.FindMissingBlobsResponse, error)
	QueryWriteStatus(context.Context, *pb.QueryWriteStatusRequest, ...grpc.CallOption) (*pb.QueryWriteStatusResponse, error)
	Write(context.Context, ...grpc.CallOption) (grpc.ClientStreamingClient[pb.WriteRequest, pb.WriteResponse], error)
}

// Progress is told how an upload goes. It is called from several goroutines at once.
type Progress interface {
	Plan(blobs int, bytes int64) // what the service lacks
	Sent(bytes int64)            // more were sent, or, negative, have to be sent again
	Resumed(bytes int64)         // the service turned out to hold them already
	Note(line string)            // something for people
}

// Sender sends blobs into the custody of one vendor.
type Sender struct {
	Service  Service
	Vendor   resource.Organization
	Parallel int // blobs at a time; 4 if 0
	Progress Progress
	Retry    time.Duration // the first pause before another attempt; 200 ms if 0
	Patience time.Duration // how long a blob may make no headway before it is given up; 2 minutes if 0
}

// Summary says what an upload came to.
type Summary struct {
	Blobs     int   `json:"blobs"`        // asked for
	Held      int   `json:"held"`         // of them, held before
	HeldBytes int64 `json:"heldBytes"`    // of blobs that were held before
	Resumed   int64 `json:"resumedBytes"` // held before of blobs that were not whole
	Sent      int64 `json:"sentBytes"`
	Again     int64 `json:"sentAgainBytes"` // of those, what had been sent before and was lost when a connection or the service broke
}

// Send returns when the service holds every blob.
func (s *Sender) Send(ctx context.Context, blobs []Blob) (Summary, error) {
	blobs = distinct(blobs)
	missing, err := s.missing(ctx, blobs)
	if err != nil {
		return Summary{}, err
	}
	sum := Summary{Blobs: len(blobs), Held: len(blobs) - len(missing), HeldBytes: total(blobs) - total(missing)}
	s.Progress.Plan(len(missing), total(missing))
	results := make([]result, len(missing))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(1, s.parallel()))
	for i, b := range missing {
		group.Go(func() error {
			var err error
			results[i], err = s.send(ctx, b)
			return err
		})
	}
	err = group.Wait()
	for _, r := range results {
		sum.Sent += r.sent
		sum.Resumed += r.resumed
		sum.Again += r.again
	}
	return sum, err
}

func (s *Sender) parallel() int {
	if s.Parallel == 0 {
		return 4
	}
	return s.Parallel
}

func distinct(blobs []Blob) []Blob {
	seen := make(map[digest.Digest]bool, len(blobs))
	var all []Blob
	for _, b := range blobs {
		if !seen[b.Digest] {
			seen[b.Digest] = true
			all = append(all, b)
		}
	}
	return all
}

func total(blobs []Blob) int64 {
	var n int64
	for _, b := range blobs {
		n += b.Size
	}
	return n
}

// missing asks in portions as large as the API allows.
func (s *Sender) missing(ctx context.Context, blobs []Blob) ([]Blob, error) {
	const portion = 10_000
	lacking := make(map[string]bool)
	for start := 0; start < len(blobs); start += portion {
		req := &pb.FindMissingBlobsRequest{Parent: s.Vendor.String()}
		for _, b := range blobs[start:min(start+portion, len(blobs))] {
			req.Blobs = append(req.Blobs, &pb.Blob{Digest: b.Digest.String(), Size: b.Size})
		}
		resp, err := s.Service.FindMissingBlobs(ctx, req)
		if err != nil {
			return nil, err
		}
		for _, b := range resp.GetMissing() {
			lacking[b.GetDigest()] = true
		}
	}
	var missing []Blob
	for _, b := range blobs {
		if lacking[b.Digest.String()] {
			missing = append(missing, b)
		}
	}
	return missing, nil
}

func (s *Sender) resourceName(b Blob) string {
	return fmt.Sprintf("%s/uploads/%s/%d", s.Vendor, b.Digest.Hex(), b.Size)
}

// passing says whether an error may be gone at the next attempt.
func passing(err error) bool {
	return fault.Is(err, fault.Unavailable) || fault.Is(err, fault.Aborted) || waiting(err)
}

// waiting says whether the service has other uploads to take in first. That may be long, and is no reason to give up.
func waiting(err error) bool {
	var f *fault.Error
	return errors.As(err, &f) && (f.Reason == "TOO_MANY_UPLOADS" || f.Reason == "UPLOAD_IN_PROGRESS")
}
