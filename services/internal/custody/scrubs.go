package custody

import (
	"context"
	"strings"

	"github.com/google/uuid"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/rpc"
)

// mostUses is how many places of one blob a damage names.
const mostUses = 100

// StartScrub begins to read back everything that is held.
func (s *Server) StartScrub(ctx context.Context, r *pb.StartScrubRequest) (*pb.StartScrubResponse, error) {
	operator, err := rpc.Name("parent", r.GetParent(), resource.ParseOrganization)
	if err != nil {
		return nil, err
	}
	if err := rpc.RequireSelf(ctx, operator); err != nil {
		return nil, err
	}
	if r.GetBytesPerSecond() < 0 {
		return nil, fault.Invalidf("bytes_per_second", "is negative")
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	row := catalog.Scrub{ID: id.String(), Rate: r.GetBytesPerSecond(), Created: s.now()}
	row.StartedBy, row.Member = caller(ctx)
	request, err := rpc.Request(ctx, r)
	if err != nil {
		return nil, err
	}
	var started *catalog.Scrub
	err = s.Catalog.Update(ctx, func(tx *catalog.Tx) error {
		made, seen, err := tx.Request(request)
		if err != nil {
			return err
		}
		if !seen {
			if err := s.Custodian.StartScrub(ctx, tx, row); err != nil {
				return err
			}
			if err := tx.RememberRequest(request, row.ID, s.now()); err != nil {
				return err
			}
			made = row.ID
		}
		started, err = tx.Scrub(operator, made)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &pb.StartScrubResponse{Scrub: scrubMessage(started)}, nil
}

// ownScrub reads the name of a scrub of the caller's own.
func ownScrub(ctx context.Context, field, name string) (resource.Child, error) {
	c, err := rpc.Name(field, name, func(n string) (resource.Child, error) { return resource.ParseChild(n, resource.Scrubs) })
	if err != nil {
		return c, err
	}
	return c, rpc.RequireSelf(ctx, c.Organization)
}

// GetScrub returns how far a scrub is.
func (s *Server) GetScrub(ctx context.Context, r *pb.GetScrubRequest) (*pb.GetScrubResponse, error) {
	name, err := ownScrub(ctx, "name", r.GetName())
	if err != nil {
		return nil, err
	}
	var row *catalog.Scrub
	err = s.Catalog.View(ctx, func(tx *catalog.Tx) error {
		row, err = tx.Scrub(name.Organization, name.ID)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &pb.GetScrubResponse{Scrub: scrubMessage(row)}, nil
}

// ListScrubs lists scrubs, newest first.
func (s *Server) ListScrubs(ctx context.Context, r *pb.ListScrubsRequest) (*pb.ListScrubsResponse, error) {
	operator, err := rpc.Name("parent", r.GetParent(), resource.ParseOrganization)
	if err != nil {
		return nil, err
	}
	if err := rpc.RequireSelf(ctx, operator); err != nil {
		return nil, err
	}
	all, next, err := rpc.List(ctx, s.Catalog, r, rpc.Listing[catalog.Scrub, *pb.Scrub]{
		Read: func(tx *catalog.Tx, before string, limit int) ([]catalog.Scrub, error) {
			return tx.Scrubs(operator, before, limit)
		},
		Key:     func(row *catalog.Scrub) string { return row.ID },
		Message: scrubMessage,
	})
	return &pb.ListScrubsResponse{Scrubs: all, NextPageToken: next}, err
}

// CancelScrub ends a scrub that runs.
func (s *Server) CancelScrub(ctx context.Context, r *pb.CancelScrubRequest) (*pb.CancelScrubResponse, error) {
	name, err := ownScrub(ctx, "name", r.GetName())
	if err != nil {
		return nil, err
	}
	var row *catalog.Scrub
	err = s.Catalog.Update(ctx, func(tx *catalog.Tx) error {
		if row, err = tx.Scrub(name.Organization, name.ID); err != nil {
			return err
		}
		if err = tx.EndScrub(name.ID, catalog.ScrubCancelled, s.now()); err != nil {
			return err
		}
		row, err = tx.Scrub(name.Organization, name.ID)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &pb.CancelScrubResponse{Scrub: scrubMessage(row)}, nil
}

// damage is a damage with the places of the blob.
type damage struct {
	catalog.Damage
	uses []catalog.Use
}

// ListScrubDamages lists what a scrub found, by holder and digest.
func (s *Server) ListScrubDamages(ctx context.Context, r *pb.ListScrubDamagesRequest) (*pb.ListScrubDamagesResponse, error) {
	name, err := ownScrub(ctx, "parent", r.GetParent())
	if err != nil {
		return nil, err
	}
	all, next, err := rpc.List(ctx, s.Catalog, r, rpc.Listing[damage, *pb.ScrubDamage]{
		Read: func(tx *catalog.Tx, after string, limit int) ([]damage, error) {
			if _, err := tx.Scrub(name.Organization, name.ID); err != nil {
				return nil, err
			}
			return readDamages(tx, name.ID, after, limit)
		},
		Key:     func(d *damage) string { return d.Holder.String() + "@" + d.Digest.String() },
		Message: damageMessage,
	})
	return &pb.ListScrubDamagesResponse{Damages: all, NextPageToken: next}, err
}

func readDamages(tx *catalog.Tx, scrub, after string, limit int) ([]damage, error) {
	place, err := parsePlace(after)
	if err != nil {
		return nil, err
	}
	rows, err := tx.Damages(scrub, place, limit)
	if err != nil {
		return nil, err
	}
	all := make([]damage, len(rows))
	for i, row := range rows {
		all[i].Damage = row
		if all[i].uses, err = tx.Uses(row.Holder, row.Digest, mostUses); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// parsePlace reads the key of a page of damages; "" at the start.
func parsePlace(key string) (p catalog.Place, err error) {
	if key == "" {
		return p, nil
	}
	holder, d, _ := strings.Cut(key, "@")
	if p.Holder, err = resource.ParseOrganization(holder); err == nil {
		p.Digest, err = digest.Parse(d)
	}
	if err != nil {
		return p, fault.Invalidf("page_token", "is not a token that this call gave")
	}
	return p, nil
}
