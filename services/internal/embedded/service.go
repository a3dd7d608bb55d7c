package embedded

import (
	"context"
	"crypto/tls"
	"net"

	"github.com/countersign-escrow/countersign/escrow/blob/fs"
	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/services/internal/jobs"
	"github.com/countersign-escrow/countersign/services/internal/lifecycle"
	"github.com/countersign-escrow/countersign/services/internal/notify"
	"github.com/countersign-escrow/countersign/services/internal/pipeline"
	"github.com/countersign-escrow/countersign/services/internal/rpc"
	"github.com/countersign-escrow/countersign/services/internal/state"
	"github.com/countersign-escrow/countersign/verifier/attest"
	"github.com/countersign-escrow/countersign/verifier/rebuild"
	"github.com/countersign-escrow/countersign/verifier/tlog"
)

// Service is a whole service.
type Service struct {
	cfg   Config
	group lifecycle.Group

	// Each part is there from its component's start on.
	state    *state.State
	catalog  *catalog.Catalog
	blobs    *fs.Store
	jobs     *jobs.Queue
	hub      *notify.Hub
	log      *tlog.Log
	proofs   proofs
	operator *catalog.Organization
	sandbox  rebuild.Sandbox // nil where there is no runtime
	pipeline *pipeline.Pipeline
	server   *rpc.Server
	health   *rpc.Health
	grpc     net.Listener
	http     net.Listener
	webTLS   *tls.Config
}

// proofs is what makes attestations, and what it takes to check them.
type proofs struct {
	signer      *attest.Signer
	publisher   *attest.Publisher
	trustedRoot []byte
}

// New returns a service that has not been started.
func New(cfg Config) *Service {
	s := &Service{cfg: cfg.withDefaults(), hub: notify.New()}
	for _, c := range []lifecycle.Component{
		s.folderPart(),
		s.catalogPart(),
		s.storePart(),
		s.logPart(),
		s.proofsPart(),
		s.sandboxPart(),
		s.listenPart(),
		s.operatorPart(),
		s.pipelinePart(),
		s.jobsPart(),
		s.healthPart(),
		s.webPart(),
		s.rpcPart(),
	} {
		s.group.Add(c)
	}
	return s
}

// Run starts the service, calls ready, and stops the service when ctx ends or a part of it fails.
func (s *Service) Run(ctx context.Context, ready func()) error { return s.group.Run(ctx, ready) }

// Start starts the service and returns when it serves.
func (s *Service) Start(ctx context.Context) error { return s.group.Start(ctx) }

// Stop lets what runs come to its end, and stops the service.
func (s *Service) Stop(ctx context.Context) error { return s.group.Stop(ctx) }

// Address is where gRPC listens.
func (s *Service) Address() string { return s.grpc.Addr().String() }

// Web is where HTTPS listens.
func (s *Service) Web() string { return s.http.Addr().String() }

// Profile is the path of the operator's profile.
func (s *Service) Profile() string { return s.state.ProfilePath() }
