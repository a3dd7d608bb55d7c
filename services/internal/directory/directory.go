// Package directory serves DirectoryService: organizations, how their members get certificates, and their trust anchors.
// It knows nothing of releases, nor of what an anchor's signatures look like.
package directory

import (
	"context"
	"time"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/ca"
)

// Config is what the service works with.
type Config struct {
	Catalog *catalog.Catalog
	CA      *ca.Authority
	Judge   Judge            // nil: nothing is judged
	Now     func() time.Time // time.Now if nil
}

// Judge judges signatures by trust anchors.
type Judge interface {
	// AnchorCompromised makes due what follows from an anchor's being compromised, in the transaction that says so. It may be told
	// of the same anchor again.
	AnchorCompromised(context.Context, *catalog.Tx, *catalog.TrustAnchor) error
}

// Server serves DirectoryService.
type Server struct {
	pb.UnimplementedDirectoryServiceServer
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
