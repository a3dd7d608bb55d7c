package deposit

import (
	"context"
	"time"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/resource"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/findingpb"
	"github.com/countersign-escrow/countersign/services/internal/pipeline"
	"github.com/countersign-escrow/countersign/services/internal/rpc"
)

const (
	watchPoll = time.Second
	watchPage = 100
)

// WatchRelease streams what happened to a release, then what happens next.
func (s *Server) WatchRelease(r *pb.WatchReleaseRequest, stream pb.DepositService_WatchReleaseServer) error {
	ctx := stream.Context()
	name, err := ownRelease(ctx, "name", r.GetName())
	if err != nil {
		return err
	}
	for after := r.GetAfterSequence(); ; {
		changed := s.Hub.Wait(pipeline.TopicRelease(name))
		events, err := s.events(ctx, name, after)
		if err != nil {
			return err
		}
		for _, e := range events {
			if err := stream.Send(e); err != nil {
				return err
			}
			after = e.GetSequence()
		}
		if len(events) == watchPage {
			continue
		}
		select {
		case <-changed:
		case <-time.After(watchPoll):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// events reads a page of a release's events. Each carries the release as it is now.
func (s *Server) events(ctx context.Context, name resource.Release, after int64) (list []*pb.WatchReleaseResponse, err error) {
	err = s.Catalog.View(ctx, func(tx *catalog.Tx) error {
		head, err := tx.ReleaseHead(name)
		if err != nil {
			return err
		}
		events, err := tx.ReleaseEvents(name, after, watchPage)
		if err != nil || len(events) == 0 {
			return err
		}
		release, err := forVendor(tx, head)
		if err != nil {
			return err
		}
		for _, e := range events {
			m := &pb.WatchReleaseResponse{Sequence: e.Seq, Release: release}
			if e.FindingID != "" {
				row, err := tx.Finding(name, e.FindingID)
				if err != nil {
					return err
				}
				if m.Finding, err = findingpb.Message(row); err != nil {
					return err
				}
			}
			list = append(list, m)
		}
		return nil
	})
	return list, err
}

// ListAccessRecords lists who read what of the caller's, newest first.
func (s *Server) ListAccessRecords(ctx context.Context, r *pb.ListAccessRecordsRequest) (*pb.ListAccessRecordsResponse, error) {
	vendor, err := self(ctx, "parent", r.GetParent())
	if err != nil {
		return nil, err
	}
	limit, before, err := numberedPage(r)
	if err != nil {
		return nil, err
	}
	var list []catalog.AccessRecord
	err = s.Catalog.View(ctx, func(tx *catalog.Tx) error {
		list, err = tx.AccessRecords(vendor, before, limit+1)
		return err
	})
	if err != nil {
		return nil, err
	}
	page, next := rpc.Cut(list, limit, accessKey)
	resp := &pb.ListAccessRecordsResponse{NextPageToken: next}
	for i := range page {
		resp.AccessRecords = append(resp.AccessRecords, accessMessage(&page[i]))
	}
	return resp, nil
}
