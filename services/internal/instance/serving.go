package instance

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/attestations"
	"github.com/countersign-escrow/countersign/services/internal/custody"
	"github.com/countersign-escrow/countersign/services/internal/deposit"
	"github.com/countersign-escrow/countersign/services/internal/directory"
	"github.com/countersign-escrow/countersign/services/internal/evaluation"
	"github.com/countersign-escrow/countersign/services/internal/grants"
	"github.com/countersign-escrow/countersign/services/internal/lifecycle"
	"github.com/countersign-escrow/countersign/services/internal/rebuilds"
	"github.com/countersign-escrow/countersign/services/internal/rpc"
	"github.com/countersign-escrow/countersign/services/internal/web"
)

// listenPart takes the addresses, so that a taken one is told early, and makes the gRPC server. Nothing is answered yet.
func (s *Service) listenPart() lifecycle.Component {
	return lifecycle.Component{
		Name: "listeners",
		Start: func(context.Context) error {
			cert, err := s.keys.CA.NewServerCertificate(s.cfg.names(), time.Now)
			if err != nil {
				return err
			}
			s.webTLS = rpc.ServerTLS(cert.Get, nil)
			s.server = rpc.NewServer(rpc.Config{
				TLS:        rpc.ServerTLS(cert.Get, s.keys.CA.Pool()),
				Members:    rpc.CatalogMembers{Catalog: s.catalog},
				Logger:     s.cfg.Logger,
				Reflection: s.cfg.Reflection,
			})
			if s.grpc, err = net.Listen("tcp", s.cfg.Listen); err != nil {
				return fmt.Errorf("--listen: %w", err)
			}
			if s.http, err = net.Listen("tcp", s.cfg.HTTP); err != nil {
				return errors.Join(fmt.Errorf("--http: %w", err), s.grpc.Close())
			}
			return nil
		},
		Stop: func(context.Context) error { return errors.Join(closeListener(s.grpc), closeListener(s.http)) },
	}
}

// closeListener closes a listener that its server may have closed already.
func closeListener(l net.Listener) error {
	if err := l.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// register puts every service into the server.
func (s *Service) register() {
	r := s.server.Registrar()
	pb.RegisterDirectoryServiceServer(r, directory.New(directory.Config{Catalog: s.catalog, CA: s.keys.CA, Judge: s.pipeline}))
	pb.RegisterDepositServiceServer(r, deposit.New(deposit.Config{
		Catalog: s.catalog, Blobs: s.blobs, Pipeline: s.pipeline, Hub: s.hub,
	}))
	pb.RegisterEvaluationServiceServer(r, evaluation.New(evaluation.Config{
		Catalog: s.catalog, Blobs: s.blobs, Pipeline: s.pipeline, Hub: s.hub,
	}))
	pb.RegisterRebuildServiceServer(r, rebuilds.New(rebuilds.Config{Catalog: s.catalog, Pipeline: s.pipeline}))
	pb.RegisterGrantServiceServer(r, grants.New(grants.Config{Catalog: s.catalog, Reevaluator: s.pipeline}))
	pb.RegisterCustodyServiceServer(r, custody.New(custody.Config{Catalog: s.catalog, Custodian: s.pipeline}))
	pb.RegisterAttestationServiceServer(r, attestations.New(attestations.Config{
		Catalog: s.catalog, Log: s.log, TrustedRoot: s.proofs.trustedRoot, StatementKey: s.proofs.signer.PublicKeyPEM(),
	}))
}

// logWorks says whether the log can be read.
func (s *Service) logWorks(ctx context.Context) error {
	_, err := s.log.Checkpoint(ctx)
	return err
}

// healthPart registers the services and keeps asking whether what they depend on works.
func (s *Service) healthPart() lifecycle.Component {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	return lifecycle.Component{
		Name: "health",
		Start: func(start context.Context) error {
			s.register()
			custody, proving := []rpc.Check{s.catalog.Ping}, []rpc.Check{s.catalog.Ping, s.logWorks}
			holding := append(proving, s.objects.Ready)
			s.health = rpc.NewHealth(s.server.Registrar(), map[string][]rpc.Check{
				pb.DirectoryService_ServiceDesc.ServiceName:   custody,
				pb.GrantService_ServiceDesc.ServiceName:       custody,
				pb.CustodyService_ServiceDesc.ServiceName:     custody,
				pb.DepositService_ServiceDesc.ServiceName:     holding,
				pb.EvaluationService_ServiceDesc.ServiceName:  holding,
				pb.RebuildService_ServiceDesc.ServiceName:     proving,
				pb.AttestationService_ServiceDesc.ServiceName: proving,
			})
			s.health.Poll(start)
			go func() {
				defer close(ended)
				s.health.Run(ctx)
			}()
			return nil
		},
		Stop: func(context.Context) error {
			cancel()
			<-ended
			return nil
		},
	}
}

func (s *Service) webPart() lifecycle.Component {
	var server *http.Server
	var done func() error
	return lifecycle.Component{
		Name: "https",
		Start: func(context.Context) (err error) {
			var handler http.Handler
			handler, done, err = web.Handler(web.Config{
				Healthy: func(ctx context.Context) error {
					return errors.Join(s.catalog.Ping(ctx), s.logWorks(ctx), s.objects.Ready(ctx))
				},
				TrustedRoot: s.proofs.trustedRoot,
				Statement:   []byte(s.proofs.signer.PublicKeyPEM()),
				LogDir:      s.log.Dir(),
			})
			if err != nil {
				return err
			}
			server = web.NewServer(handler, s.webTLS, s.cfg.Logger)
			go func() {
				if err := server.ServeTLS(s.http, "", ""); !errors.Is(err, http.ErrServerClosed) {
					s.group.Fail("https", err)
				}
			}()
			return nil
		},
		Stop: func(ctx context.Context) error {
			err := server.Shutdown(ctx)
			if err != nil {
				err = server.Close()
			}
			return errors.Join(err, done())
		},
	}
}

func (s *Service) rpcPart() lifecycle.Component {
	return lifecycle.Component{
		Name: "grpc",
		Start: func(context.Context) error {
			go func() {
				if err := s.server.Serve(s.grpc); err != nil {
					s.group.Fail("grpc", err)
				}
			}()
			return nil
		},
		Stop: func(ctx context.Context) error {
			s.health.Shutdown()
			ctx, cancel := context.WithTimeout(ctx, s.cfg.Grace)
			defer cancel()
			if err := s.server.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
				return err
			}
			return nil // calls were cut off: their clients try again
		},
		StopWithin: s.cfg.Grace + lifecycle.DefaultStop,
	}
}
