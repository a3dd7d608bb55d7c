package fetch

import (
	"context"
	"fmt"
	"io"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
)

// Small brings a file of at most so many bytes into memory, checked.
func (f *Fetcher) Small(ctx context.Context, what string, d digest.Digest, most int64) ([]byte, error) {
	var content []byte
	err := f.Patiently(ctx, what, func() int64 { return 0 }, func() (err error) {
		content, err = f.read(ctx, d, most)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	if got := digest.Of(content); got != d {
		return nil, fmt.Errorf("%s: %w", what, fault.Corruptf(f.Release.String(), "the service sent %s for %s", got, d).WithAdvice("tell the service's operator"))
	}
	return content, nil
}

func (f *Fetcher) read(ctx context.Context, d digest.Digest, most int64) ([]byte, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := f.Service.ReadBlob(ctx, &pb.ReadBlobRequest{Release: f.Release.String(), Digest: d.String()})
	if err != nil {
		return nil, err
	}
	var content []byte
	for {
		m, err := stream.Recv()
		if err == io.EOF {
			return content, nil
		} else if err != nil {
			return nil, err
		}
		if content = append(content, m.GetData()...); int64(len(content)) > most {
			return nil, fault.Exhaustedf(d.String(), "has more than %d bytes", most)
		}
	}
}
