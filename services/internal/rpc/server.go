package rpc

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
)

// MaxMessage bounds one message in either direction, in bytes. Larger things are streamed.
const MaxMessage = 8 << 20

const (
	handshakeTime  = 20 * time.Second
	maxStreams     = 100 // at a time in one connection
	maxHeaderBytes = 16 << 10
	pingEvery      = 30 * time.Second // into a quiet connection, so that a dead client is noticed
	pingTimeout    = 20 * time.Second
	clientPingMin  = 10 * time.Second // a client that pings more often is cut off

	// What may be under way towards the server: enough to keep a distant client's line full, and a bound on what a stream that
	// is not read, and a connection, can hold of memory, or lose when it breaks.
	streamWindow     = 2 << 20
	connectionWindow = 8 << 20
	bufferBytes      = 128 << 10 // of a connection in each direction
)

// Config is what a server needs.
type Config struct {
	TLS        *tls.Config // as ServerTLS makes it
	Members    Members
	Logger     *slog.Logger
	Reflection bool // answer gRPC reflection, to members
}

// Server is a gRPC server whose every call is authenticated, authorized, and answered with errors that callers
// understand.
type Server struct {
	grpc    *grpc.Server
	members Members
	logger  *slog.Logger

	closing   chan struct{} // closed when watches are to end
	closeOnce sync.Once
}

// NewServer makes a server; services register with Registrar before Serve.
func NewServer(c Config) *Server {
	s := &Server{members: c.Members, logger: c.Logger, closing: make(chan struct{})}
	s.grpc = grpc.NewServer(
		grpc.Creds(credentials.NewTLS(c.TLS)),
		grpc.ConnectionTimeout(handshakeTime),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.MaxHeaderListSize(maxHeaderBytes),
		grpc.InTapHandle(turnAway),
		grpc.InitialWindowSize(streamWindow),
		grpc.InitialConnWindowSize(connectionWindow),
		grpc.ReadBufferSize(bufferBytes),
		grpc.WriteBufferSize(bufferBytes),
		grpc.MaxRecvMsgSize(MaxMessage),
		grpc.MaxSendMsgSize(MaxMessage),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: pingEvery, Timeout: pingTimeout}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: clientPingMin, PermitWithoutStream: true}),
		grpc.ChainUnaryInterceptor(s.unaryErrors, s.unaryAccess),
		grpc.ChainStreamInterceptor(s.streamErrors, s.streamAccess),
	)
	if c.Reflection {
		reflection.Register(s.grpc)
	}
	return s
}

// Registrar takes the services.
func (s *Server) Registrar() grpc.ServiceRegistrar { return s.grpc }

// Serve answers calls until Shutdown.
func (s *Server) Serve(l net.Listener) error { return s.grpc.Serve(l) }

// Shutdown ends the watches, waits for the other calls, and cuts off those that still run when ctx ends.
func (s *Server) Shutdown(ctx context.Context) error {
	s.closeOnce.Do(func() { close(s.closing) })
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.grpc.GracefulStop()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		s.grpc.Stop()
		<-done
		return ctx.Err()
	}
}
