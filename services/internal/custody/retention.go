package custody

import (
	"context"
	"strings"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
	"github.com/countersign-escrow/countersign/escrow/retention"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/rpc"
)

// GetRetention returns until when a sealed release is kept.
func (s *Server) GetRetention(ctx context.Context, r *pb.GetRetentionRequest) (*pb.GetRetentionResponse, error) {
	name, err := ownRetention(ctx, r.GetName())
	if err != nil {
		return nil, err
	}
	var row *catalog.Retention
	err = s.Catalog.View(ctx, func(tx *catalog.Tx) error {
		row, err = tx.Retention(name.Release)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &pb.GetRetentionResponse{Retention: retentionMessage(row)}, nil
}

// ownRetention reads the name of a retention that the caller may know of.
func ownRetention(ctx context.Context, field string) (resource.Retention, error) {
	name, err := rpc.Name("name", field, resource.ParseRetention)
	if err != nil {
		return name, err
	}
	return name, requireOwner(ctx, name.Release.Product.Vendor)
}

// ListRetentions lists retentions by the release's name.
func (s *Server) ListRetentions(ctx context.Context, r *pb.ListRetentionsRequest) (*pb.ListRetentionsResponse, error) {
	filter, err := retentionsOf(ctx, r.GetParent())
	if err != nil {
		return nil, err
	}
	all, next, err := rpc.List(ctx, s.Catalog, r, rpc.Listing[catalog.Retention, *pb.Retention]{
		Read: func(tx *catalog.Tx, after string, limit int) ([]catalog.Retention, error) {
			filter.After, filter.Limit = after, limit
			return tx.Retentions(filter)
		},
		Key:     func(row *catalog.Retention) string { return row.Release.String() },
		Message: retentionMessage,
	})
	return &pb.ListRetentionsResponse{Retentions: all, NextPageToken: next}, err
}

func retentionsOf(ctx context.Context, parent string) (f catalog.RetentionFilter, err error) {
	if parent == everybody {
		return f, requireOperator(ctx, "parent")
	}
	if strings.Contains(parent, "/products/") {
		if f.Product, err = rpc.Name("parent", parent, resource.ParseProduct); err != nil {
			return f, err
		}
		return f, requireOwner(ctx, f.Product.Vendor)
	}
	if f.Vendor, err = rpc.Name("parent", parent, resource.ParseOrganization); err != nil {
		return f, err
	}
	return f, requireOwner(ctx, f.Vendor)
}

// ExtendRetention lengthens a release's retention.
func (s *Server) ExtendRetention(ctx context.Context, r *pb.ExtendRetentionRequest) (*pb.ExtendRetentionResponse, error) {
	name, err := ownRetention(ctx, r.GetName())
	if err != nil {
		return nil, err
	}
	turn, err := s.turn(r)
	if err != nil {
		return nil, err
	}
	var row *catalog.Retention
	err = s.Catalog.Update(ctx, func(tx *catalog.Tx) error {
		extended, moved, err := tx.ExtendRetention(name.Release, turn)
		if err != nil {
			return err
		}
		row = extended
		if !moved {
			return nil
		}
		return s.Custodian.RetentionChanged(ctx, tx, name.Release)
	})
	if err != nil {
		return nil, err
	}
	return &pb.ExtendRetentionResponse{Retention: retentionMessage(row)}, nil
}

// turn reads what is to be done to a clock.
func (s *Server) turn(r *pb.ExtendRetentionRequest) (func(retention.Clock) (retention.Clock, error), error) {
	switch r.GetExtension().(type) {
	case *pb.ExtendRetentionRequest_Years:
		return func(c retention.Clock) (retention.Clock, error) { return c.ForYears(int(r.GetYears())) }, nil
	case *pb.ExtendRetentionRequest_RetainUntil:
		until, err := rpc.Time("retain_until", r.GetRetainUntil())
		return func(c retention.Clock) (retention.Clock, error) { return c.UntilAtLeast(until, s.now()) }, err
	}
	return nil, fault.Invalidf("extension", "says neither for how many years nor until when")
}

func retentionMessage(r *catalog.Retention) *pb.Retention {
	return &pb.Retention{
		Name: r.Name(), Years: int32(r.Clock.Years), SealTime: rpc.Timestamp(r.Clock.Last[retention.Sealed]),
		LastReportTime: rpc.Timestamp(r.Clock.Last[retention.Reported]), LastReadTime: rpc.Timestamp(r.Clock.Last[retention.Read]),
		RetainUntil: rpc.Timestamp(r.Clock.Until), LockedUntil: rpc.Timestamp(r.LockedUntil), Held: r.Held,
	}
}
