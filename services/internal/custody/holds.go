package custody

import (
	"context"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/rpc"
)

// longestReason is how many characters a reason may have.
const longestReason = 1000

// PlaceHold places a legal hold on a sealed release.
func (s *Server) PlaceHold(ctx context.Context, r *pb.PlaceHoldRequest) (*pb.PlaceHoldResponse, error) {
	release, err := rpc.Name("parent", r.GetParent(), resource.ParseRelease)
	if err != nil {
		return nil, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	hold := catalog.Hold{ID: id.String(), Release: release, Placed: s.now()}
	hold.PlacedBy, hold.PlacedMember = caller(ctx)
	if hold.Reason, err = reason(r.GetReason()); err != nil {
		return nil, err
	}
	request, err := rpc.Request(ctx, r)
	if err != nil {
		return nil, err
	}
	var placed *catalog.Hold
	err = s.Catalog.Update(ctx, func(tx *catalog.Tx) error {
		made, seen, err := tx.Request(request)
		if err != nil {
			return err
		}
		if seen {
			placed, err = tx.Hold(resource.Hold{Release: release, ID: made})
			return err
		}
		placed = &hold
		if err := s.place(ctx, tx, hold); err != nil {
			return err
		}
		return tx.RememberRequest(request, hold.ID, s.now())
	})
	if err != nil {
		return nil, err
	}
	return &pb.PlaceHoldResponse{Hold: holdMessage(placed)}, nil
}

func (s *Server) place(ctx context.Context, tx *catalog.Tx, hold catalog.Hold) error {
	head, err := tx.ReleaseHead(hold.Release)
	if err != nil {
		return err
	}
	if head.State != catalog.ReleaseSealed {
		return fault.Preconditionf("RELEASE_OPEN", hold.Release.String(), "%s is not sealed: there is nothing to hold yet", hold.Release)
	}
	if err := tx.InsertHold(hold); err != nil {
		return err
	}
	return s.Custodian.RetentionChanged(ctx, tx, hold.Release)
}

// reason reads why something is done.
func reason(s string) (string, error) {
	s = strings.TrimSpace(s)
	if n := utf8.RuneCountInString(s); n < 1 || n > longestReason {
		return "", fault.Invalidf("reason", "has %d characters, must have 1 to %d", n, longestReason).
			WithAdvice("say why, for the vendor to read")
	}
	return s, nil
}

// LiftHold lifts a hold.
func (s *Server) LiftHold(ctx context.Context, r *pb.LiftHoldRequest) (*pb.LiftHoldResponse, error) {
	name, err := rpc.Name("name", r.GetName(), resource.ParseHold)
	if err != nil {
		return nil, err
	}
	lift := catalog.Hold{ID: name.ID, Release: name.Release, Lifted: s.now()}
	lift.LiftedBy, lift.LiftedMember = caller(ctx)
	if lift.LiftReason, err = reason(r.GetReason()); err != nil {
		return nil, err
	}
	var lifted *catalog.Hold
	err = s.Catalog.Update(ctx, func(tx *catalog.Tx) error {
		if err := tx.LiftHold(lift); err != nil {
			return err
		}
		if lifted, err = tx.Hold(name); err != nil {
			return err
		}
		return s.Custodian.RetentionChanged(ctx, tx, name.Release)
	})
	if err != nil {
		return nil, err
	}
	return &pb.LiftHoldResponse{Hold: holdMessage(lifted)}, nil
}

// ListHolds lists holds, oldest first.
func (s *Server) ListHolds(ctx context.Context, r *pb.ListHoldsRequest) (*pb.ListHoldsResponse, error) {
	filter, err := holdsOf(ctx, r.GetParent())
	if err != nil {
		return nil, err
	}
	filter.Standing = !r.GetShowLifted()
	all, next, err := rpc.List(ctx, s.Catalog, r, rpc.Listing[catalog.Hold, *pb.Hold]{
		Read: func(tx *catalog.Tx, after string, limit int) ([]catalog.Hold, error) {
			filter.After, filter.Limit = after, limit
			return tx.Holds(filter)
		},
		Key:     func(h *catalog.Hold) string { return h.ID },
		Message: holdMessage,
	})
	return &pb.ListHoldsResponse{Holds: all, NextPageToken: next}, err
}

func holdsOf(ctx context.Context, parent string) (f catalog.HoldFilter, err error) {
	if parent == everybody {
		return f, requireOperator(ctx, "parent")
	}
	if strings.Contains(parent, "/releases/") {
		if f.Release, err = rpc.Name("parent", parent, resource.ParseRelease); err != nil {
			return f, err
		}
		return f, requireOwner(ctx, f.Release.Product.Vendor)
	}
	if f.Vendor, err = rpc.Name("parent", parent, resource.ParseOrganization); err != nil {
		return f, err
	}
	return f, requireOwner(ctx, f.Vendor)
}

func holdMessage(h *catalog.Hold) *pb.Hold {
	return &pb.Hold{Name: h.Name(), Reason: h.Reason, CreateTime: rpc.Timestamp(h.Placed), Creator: memberName(h.PlacedBy, h.PlacedMember),
		LiftTime: rpc.Timestamp(h.Lifted), Lifter: memberName(h.LiftedBy, h.LiftedMember), LiftReason: h.LiftReason}
}
