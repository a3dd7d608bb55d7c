// Package grants serves GrantService: vendors say who may see what of theirs, from when until when. What a grant lets
// somebody see is decided elsewhere.
package grants

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/grant"
	"github.com/countersign-escrow/countersign/escrow/resource"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/rpc"
)

// Reevaluator is told of every grant that is made or revoked, in the transaction that does so. It makes due what the
// change asks for; an error undoes the change.
type Reevaluator interface {
	GrantChanged(ctx context.Context, tx *catalog.Tx, g catalog.Grant) error
}

// Config is what the service works with.
type Config struct {
	Catalog     *catalog.Catalog
	Reevaluator Reevaluator
	Now         func() time.Time // time.Now if nil
}

// Server serves GrantService.
type Server struct {
	pb.UnimplementedGrantServiceServer
	Config
}

// New returns the service.
func New(cfg Config) *Server {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Server{Config: cfg}
}

// now is the time to the microsecond, as the catalog keeps it.
func (s *Server) now() time.Time { return s.Now().UTC().Truncate(time.Microsecond) }

// CreateGrant lets another organization see a product's releases for a time.
func (s *Server) CreateGrant(ctx context.Context, r *pb.CreateGrantRequest) (*pb.CreateGrantResponse, error) {
	vendor, err := rpc.Name("parent", r.GetParent(), resource.ParseOrganization)
	if err != nil {
		return nil, err
	}
	if err := rpc.RequireSelf(ctx, vendor); err != nil {
		return nil, err
	}
	given, err := s.read(vendor, r.GetGrant())
	if err != nil {
		return nil, err
	}
	request, err := rpc.Request(ctx, r)
	if err != nil {
		return nil, err
	}
	err = s.Catalog.Update(ctx, func(tx *catalog.Tx) error {
		made, seen, err := tx.Request(request)
		if err != nil {
			return err
		}
		if seen {
			given, err = tx.Grant(vendor, made)
			return err
		}
		if err := s.give(ctx, tx, *given); err != nil {
			return err
		}
		return tx.RememberRequest(request, given.ID, s.now())
	})
	if err != nil {
		return nil, err
	}
	return &pb.CreateGrantResponse{Grant: toProto(*given)}, nil
}

// give writes a grant of something that is there to somebody who may be given it.
func (s *Server) give(ctx context.Context, tx *catalog.Tx, g catalog.Grant) error {
	grantee, err := tx.Organization(g.Grantee)
	if err != nil {
		return err
	}
	if err := grant.Validate(g, grantee.Kind, g.Created); err != nil {
		return err
	}
	if _, err := tx.Product(g.Product); err != nil {
		return err
	}
	if err := tx.InsertGrant(g); err != nil {
		return err
	}
	return s.Reevaluator.GrantChanged(ctx, tx, g)
}

func (s *Server) read(vendor resource.Organization, in *pb.Grant) (*catalog.Grant, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	g := &catalog.Grant{ID: id.String(), Vendor: vendor, Created: s.now()}
	if g.Grantee, err = rpc.Name("grant.grantee", in.GetGrantee(), resource.ParseOrganization); err != nil {
		return nil, err
	}
	if g.Product, err = rpc.Name("grant.product", in.GetProduct(), resource.ParseProduct); err != nil {
		return nil, err
	}
	if g.From, err = rpc.Time("grant.valid_from", in.GetValidFrom()); err != nil {
		return nil, err
	}
	if g.From.IsZero() {
		g.From = g.Created
	}
	g.Until, err = rpc.Time("grant.valid_until", in.GetValidUntil())
	return g, err
}

// RevokeGrant ends one of the caller's grants at once.
func (s *Server) RevokeGrant(ctx context.Context, r *pb.RevokeGrantRequest) (*pb.RevokeGrantResponse, error) {
	name, err := grantName(r.GetName())
	if err != nil {
		return nil, err
	}
	if err := rpc.RequireSelf(ctx, name.Organization); err != nil {
		return nil, err
	}
	var revoked *catalog.Grant
	err = s.Catalog.Update(ctx, func(tx *catalog.Tx) error {
		if revoked, err = tx.RevokeGrant(name.Organization, name.ID, s.now()); err != nil {
			return err
		}
		return s.Reevaluator.GrantChanged(ctx, tx, *revoked)
	})
	if err != nil {
		return nil, err
	}
	return &pb.RevokeGrantResponse{Grant: toProto(*revoked)}, nil
}

func grantName(name string) (resource.Child, error) {
	return rpc.Name("name", name, func(n string) (resource.Child, error) {
		return resource.ParseChild(n, resource.Grants)
	})
}
