// Package rebuilds serves RebuildService: it hands rebuilds to independent rebuilders and takes in what they signed. It
// knows nothing of how one rebuilds.
package rebuilds

import (
	"time"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/pipeline"
)

// Config is what the service works with.
type Config struct {
	Catalog  *catalog.Catalog
	Pipeline *pipeline.Pipeline
	LeaseTTL time.Duration    // how long a lease lasts without a heartbeat; 1 minute if 0
	Now      func() time.Time // time.Now if nil
}

// Server serves RebuildService.
type Server struct {
	pb.UnimplementedRebuildServiceServer
	Config
}

// now is the time to the microsecond, as the catalog keeps it.
func (s *Server) now() time.Time { return s.Now().UTC().Truncate(time.Microsecond) }

// New returns the service.
func New(cfg Config) *Server {
	if cfg.LeaseTTL == 0 {
		cfg.LeaseTTL = time.Minute
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Server{Config: cfg}
}
