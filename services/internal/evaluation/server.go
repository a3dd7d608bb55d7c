// Package evaluation serves EvaluationService: policies, reports, and what a lab may read. It knows nothing of how a
// verdict comes about.
package evaluation

import (
	"context"
	"time"

	"github.com/countersign-escrow/countersign/escrow/blob"
	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/grant"
	"github.com/countersign-escrow/countersign/escrow/resource"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/notify"
	"github.com/countersign-escrow/countersign/services/internal/pipeline"
	"github.com/countersign-escrow/countersign/services/internal/rpc"
)

// Config is what the service works with.
type Config struct {
	Catalog  *catalog.Catalog
	Blobs    blob.Store
	Pipeline *pipeline.Pipeline
	Hub      *notify.Hub
	Now      func() time.Time // time.Now if nil
}

// Server serves EvaluationService.
type Server struct {
	pb.UnimplementedEvaluationServiceServer
	Config
	gate *grant.Gate
}

// New returns the service.
func New(cfg Config) *Server {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Server{Config: cfg, gate: &grant.Gate{Grants: cfg.Catalog, Now: cfg.Now}}
}

// now is the time to the microsecond, as the catalog keeps it.
func (s *Server) now() time.Time { return s.Now().UTC().Truncate(time.Microsecond) }

// self reads the lab in a field, which must be the caller's own.
func self(ctx context.Context, field, name string) (resource.Organization, error) {
	lab, err := rpc.Name(field, name, resource.ParseOrganization)
	if err != nil {
		return lab, err
	}
	return lab, rpc.RequireSelf(ctx, lab)
}

// seen reads the name of a sealed release that the caller may see. What may not be seen is denied in the same words
// whether it is there or not.
func (s *Server) seen(ctx context.Context, field, name string) (release resource.Release, grantID string, err error) {
	release, err = rpc.Name(field, name, resource.ParseRelease)
	if err != nil {
		return release, "", err
	}
	if grantID, err = s.gate.Check(ctx, rpc.MustCaller(ctx).Organization, release.Product); err != nil {
		return release, "", err
	}
	return release, grantID, s.Catalog.View(ctx, func(tx *catalog.Tx) error {
		head, err := tx.ReleaseHead(release)
		if err == nil && head.State != catalog.ReleaseSealed {
			return fault.NoSuch(release.String()) // an open release is nobody's business but its vendor's
		}
		return err
	})
}
