package grants

import (
	"context"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/rpc"
)

// GetGrant returns one grant to its vendor or its grantee. For everybody else it does not exist.
func (s *Server) GetGrant(ctx context.Context, r *pb.GetGrantRequest) (*pb.GetGrantResponse, error) {
	name, err := grantName(r.GetName())
	if err != nil {
		return nil, err
	}
	var grant *catalog.Grant
	err = s.Catalog.View(ctx, func(tx *catalog.Tx) error {
		grant, err = tx.Grant(name.Organization, name.ID)
		return err
	})
	if err != nil {
		return nil, err
	}
	if caller := rpc.MustCaller(ctx).Organization; caller != grant.Vendor && caller != grant.Grantee {
		return nil, fault.NoSuch(name.String())
	}
	return &pb.GetGrantResponse{Grant: toProto(*grant)}, nil
}

// ListGrants lists the grants that the caller's organization gave or was given, oldest first.
func (s *Server) ListGrants(ctx context.Context, r *pb.ListGrantsRequest) (*pb.ListGrantsResponse, error) {
	org, err := rpc.Name("parent", r.GetParent(), resource.ParseOrganization)
	if err != nil {
		return nil, err
	}
	if err := rpc.RequireSelf(ctx, org); err != nil {
		return nil, err
	}
	list, next, err := rpc.List(ctx, s.Catalog, r, rpc.Listing[catalog.Grant, *pb.Grant]{
		Read: func(tx *catalog.Tx, after string, limit int) ([]catalog.Grant, error) {
			return tx.GrantsOf(org, after, limit)
		},
		Key:     func(g *catalog.Grant) string { return g.ID },
		Message: func(g *catalog.Grant) *pb.Grant { return toProto(*g) },
	})
	if err != nil {
		return nil, err
	}
	return &pb.ListGrantsResponse{Grants: list, NextPageToken: next}, nil
}

func toProto(g catalog.Grant) *pb.Grant {
	return &pb.Grant{
		Name:       g.Name(),
		Grantee:    g.Grantee.String(),
		Product:    g.Product.String(),
		ValidFrom:  rpc.Timestamp(g.From),
		ValidUntil: rpc.Timestamp(g.Until),
		RevokeTime: rpc.Timestamp(g.Revoked),
		CreateTime: rpc.Timestamp(g.Created),
	}
}
