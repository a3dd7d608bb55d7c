// Package custody serves CustodyService: until when releases are kept, the holds on them, and the scrubs. It knows nothing
// of how a store keeps what it was told to keep, nor of how a scrub reads.
package custody

import (
	"context"
	"time"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/rpc"
)

// Custodian makes due what a change asks for, in the transaction that makes the change; an error undoes it.
type Custodian interface {
	// RetentionChanged makes due that the store is told of a retention or of a hold that changed.
	RetentionChanged(ctx context.Context, tx *catalog.Tx, release resource.Release) error
	// StartScrub starts a scrub.
	StartScrub(ctx context.Context, tx *catalog.Tx, s catalog.Scrub) error
}

// Config is what the service works with.
type Config struct {
	Catalog   *catalog.Catalog
	Custodian Custodian
	Now       func() time.Time // time.Now if nil
}

// Server serves CustodyService.
type Server struct {
	pb.UnimplementedCustodyServiceServer
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

// everybody stands in a parent for all vendors (AIP-159).
const everybody = "organizations/-"

// requireOwner denies whoever is neither the operator nor calls for the vendor itself. The wording is the same whether the
// vendor exists or not.
func requireOwner(ctx context.Context, vendor resource.Organization) error {
	if isOperator(ctx) {
		return nil
	}
	return rpc.RequireSelf(ctx, vendor)
}

func requireOperator(ctx context.Context, field string) error {
	if isOperator(ctx) {
		return nil
	}
	return fault.Deniedf("NOT_YOURS", "only the operator may ask for all vendors' at once").
		WithAdvice("name your own organization as the %s", field)
}

func isOperator(ctx context.Context) bool { return rpc.MustCaller(ctx).Kind == catalog.Operator }

// caller is the member who calls, as resource name parts.
func caller(ctx context.Context) (resource.Organization, string) {
	id := rpc.MustCaller(ctx)
	return id.Organization, id.Member
}

func memberName(o resource.Organization, member string) string {
	if member == "" {
		return ""
	}
	return resource.Child{Organization: o, Collection: resource.Members, ID: member}.String()
}
