package instance

import (
	"context"
	"crypto/tls"
	"net"

	"github.com/countersign-escrow/countersign/escrow/blob"
	"github.com/countersign-escrow/countersign/escrow/blob/object"
	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/services/internal/config"
	"github.com/countersign-escrow/countersign/services/internal/jobs"
	"github.com/countersign-escrow/countersign/services/internal/lifecycle"
	"github.com/countersign-escrow/countersign/services/internal/notify"
	"github.com/countersign-escrow/countersign/services/internal/pipeline"
	"github.com/countersign-escrow/countersign/services/internal/rpc"
	"github.com/countersign-escrow/countersign/services/internal/state"
	"github.com/countersign-escrow/countersign/verifier/attest"
	"github.com/countersign-escrow/countersign/verifier/rebuild"
)

// Service is one process of a service: the whole of it, or what its roles say.
type Service struct {
	cfg    Config
	places places
	folder *folder // the places of the whole service in one process; nil where there are others
	group  lifecycle.Group

	// Each part is there from its component's start on.
	keys     *state.Keys
	catalog  *catalog.Catalog
	objects  object.Store
	blobs    blob.Store
	jobs     *jobs.Queue
	hub      *notify.Hub
	log      *sharedLog
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

// New returns a process that has not been started.
func New(cfg Config) *Service {
	s := &Service{cfg: cfg.withDefaults(), hub: notify.New()}
	if cfg.Shared != nil {
		s.places = &shared{Config: cfg.Shared, roles: cfg.roles()}
	} else {
		s.folder = &folder{dir: cfg.Data}
		s.places = s.folder
	}
	for _, c := range s.parts() {
		s.group.Add(c)
	}
	return s
}

// parts are the parts in the order of their start. Those that others build on come first; whoever answers comes last.
func (s *Service) parts() []lifecycle.Component {
	api, worker := s.cfg.has(config.API), s.cfg.has(config.Worker)
	parts := []lifecycle.Component{s.placesPart(), s.catalogPart(), s.storePart(), s.logPart(), s.proofsPart()}
	if worker {
		parts = append(parts, s.sweepPart(), s.sandboxPart())
	}
	if api {
		parts = append(parts, s.listenPart())
	}
	parts = append(parts, s.operatorPart(), s.pipelinePart())
	if worker {
		parts = append(parts, s.jobsPart(), s.publishPart())
	}
	if api {
		parts = append(parts, s.healthPart(), s.webPart(), s.rpcPart())
	}
	return parts
}

// Run starts the process, calls ready, and stops it when ctx ends or a part of it fails.
func (s *Service) Run(ctx context.Context, ready func()) error { return s.group.Run(ctx, ready) }

// Start starts the process and returns when it works.
func (s *Service) Start(ctx context.Context) error { return s.group.Start(ctx) }

// Stop lets what runs come to its end, and stops the process.
func (s *Service) Stop(ctx context.Context) error { return s.group.Stop(ctx) }

// Address is where gRPC listens; "" where the process does not answer.
func (s *Service) Address() string { return addressOf(s.grpc) }

// Web is where HTTPS listens; "" where the process does not answer.
func (s *Service) Web() string { return addressOf(s.http) }

func addressOf(l net.Listener) string {
	if l == nil {
		return ""
	}
	return l.Addr().String()
}

// Profile is the path of the operator's profile; "" for one process of many, which has none.
func (s *Service) Profile() string {
	if s.folder == nil {
		return ""
	}
	return s.folder.Operator().Path()
}

// Roles are what the process does.
func (s *Service) Roles() string { return s.cfg.roles() }
