// Package deposit serves DepositService: it takes in vendors' releases, and keeps to itself how they are stored and
// what is proved of them.
package deposit

import (
	"time"

	"github.com/countersign-escrow/countersign/escrow/blob"
	"github.com/countersign-escrow/countersign/escrow/catalog"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/notify"
	"github.com/countersign-escrow/countersign/services/internal/pipeline"
)

// Config is what the service works with.
type Config struct {
	Catalog  *catalog.Catalog
	Blobs    blob.Store
	Pipeline *pipeline.Pipeline
	Hub      *notify.Hub
	Now      func() time.Time // time.Now if nil
}

// Server serves DepositService.
type Server struct {
	pb.UnimplementedDepositServiceServer
	Config
	uploads *slots
	idle    time.Duration // uploadIdle, but in tests
}

// now is the time to the microsecond, as the catalog keeps it.
func (s *Server) now() time.Time { return s.Now().UTC().Truncate(time.Microsecond) }

// New returns the service.
func New(cfg Config) *Server {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Server{Config: cfg, uploads: newSlots(), idle: uploadIdle}
}
