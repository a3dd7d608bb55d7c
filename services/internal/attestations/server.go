// Package attestations serves AttestationService: what can be checked offline, and what it takes to check it. It knows
// nothing of how attestations come about.
package attestations

import (
	"context"
	"time"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
)

// Log gives the log's newest checkpoint.
type Log interface {
	Checkpoint(ctx context.Context) ([]byte, error)
}

// Config is what the service works with.
type Config struct {
	Catalog      *catalog.Catalog
	Log          Log
	TrustedRoot  []byte           // trusted_root.json
	StatementKey string           // the service's statement key, PEM
	Now          func() time.Time // time.Now if nil
}

// Server serves AttestationService.
type Server struct {
	pb.UnimplementedAttestationServiceServer
	Config
}

// now is the time to the microsecond, as the catalog keeps it.
func (s *Server) now() time.Time { return s.Now().UTC().Truncate(time.Microsecond) }

// New returns the service.
func New(cfg Config) *Server {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Server{Config: cfg}
}
