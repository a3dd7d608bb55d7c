package rpc

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/services/internal/rpc/rpcfault"
)

// recheckAfter is how long a stream goes on before its caller's certificate is looked at again.
const recheckAfter = time.Second

func (s *Server) unaryErrors(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (resp any, err error) {
	err = s.guard(ctx, info.FullMethod, func() error {
		resp, err = next(ctx, req)
		return err
	})
	if err != nil {
		return nil, err
	}
	return resp, nil
}

func (s *Server) streamErrors(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	return s.guard(stream.Context(), info.FullMethod, func() error { return next(srv, stream) })
}

// guard runs a call and turns what it returns, or the panic that it ends in, into a status.
func (s *Server) guard(ctx context.Context, method string, call func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = s.hide(ctx, method, fmt.Errorf("panic: %v", p), slog.String("stack", string(debug.Stack())))
		}
	}()
	if err = call(); err == nil {
		return nil
	}
	if st, ok := rpcfault.ToStatus(err); ok {
		return st.Err()
	}
	if ctx.Err() != nil { // the failure is what the caller's going away looks like from below
		return status.FromContextError(ctx.Err()).Err()
	}
	return s.hide(ctx, method, err)
}

// hide logs a failure under an id and returns a status that tells the caller nothing but the id.
func (s *Server) hide(ctx context.Context, method string, err error, attrs ...slog.Attr) error {
	id := uuid.NewString()
	attrs = append(attrs, slog.String("id", id), slog.String("method", method), slog.String("error", err.Error()))
	s.logger.LogAttrs(ctx, slog.LevelError, "call failed", attrs...)
	f := &fault.Error{
		Kind:    fault.Internal,
		Reason:  "INTERNAL",
		Message: "the service failed; its log knows this failure as " + id,
		Advice:  "try again; if it stays, tell the operator this id",
	}
	return rpcfault.Detailed(codes.Internal, f).Err()
}

// enter returns the context of a call by somebody who may make it.
func (s *Server) enter(ctx context.Context, method string) (context.Context, error) {
	id, known, err := s.authenticate(ctx)
	if err != nil {
		return nil, err
	}
	if err := authorize(method, id, known); err != nil {
		return nil, err
	}
	if known {
		ctx = WithCaller(ctx, id)
	}
	return ctx, nil
}

func (s *Server) unaryAccess(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	ctx, err := s.enter(ctx, info.FullMethod)
	if err != nil {
		return nil, err
	}
	return next(ctx, req)
}

func (s *Server) streamAccess(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	ctx, err := s.enter(stream.Context(), info.FullMethod)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := info.IsServerStream && !info.IsClientStream
	if watch {
		defer s.cancelAtClose(cancel)()
	}
	checked := &checkedStream{ServerStream: stream, ctx: ctx, server: s, cert: certificateOf(ctx)}
	checked.last.Store(time.Now().UnixNano())
	err = next(srv, checked)
	if cause := context.Cause(ctx); err != nil && fault.Is(cause, fault.Unavailable) {
		return cause
	}
	return err
}

// cancelAtClose cancels a watch, which would never end by itself, when the server closes. The caller must call the
// returned function when the watch has ended.
func (s *Server) cancelAtClose(cancel context.CancelCauseFunc) (stop func()) {
	ended := make(chan struct{})
	go func() {
		select {
		case <-s.closing:
			cancel(&fault.Error{Kind: fault.Unavailable, Reason: "SHUTTING_DOWN", Message: "the service is shutting down",
				Advice: "connect again and resume after the last sequence number"})
		case <-ended:
		}
	}()
	return func() { close(ended) }
}

// checkedStream looks at the caller's certificate again while messages flow, so that a revocation ends a long stream.
type checkedStream struct {
	grpc.ServerStream
	ctx    context.Context
	server *Server
	cert   *x509.Certificate // nil for a stranger
	last   atomic.Int64      // when it was last looked at, Unix nanoseconds; one goroutine may send while another receives
}

// Context returns the context that carries the caller.
func (c *checkedStream) Context() context.Context { return c.ctx }

// SendMsg sends a message unless the caller's certificate has ceased to count.
func (c *checkedStream) SendMsg(m any) error {
	if err := c.recheck(); err != nil {
		return err
	}
	return c.ServerStream.SendMsg(m)
}

// RecvMsg receives a message unless the caller's certificate has ceased to count.
func (c *checkedStream) RecvMsg(m any) error {
	if err := c.recheck(); err != nil {
		return err
	}
	return c.ServerStream.RecvMsg(m)
}

func (c *checkedStream) recheck() error {
	now, last := time.Now().UnixNano(), c.last.Load()
	if c.cert == nil || now-last < int64(recheckAfter) || !c.last.CompareAndSwap(last, now) {
		return nil
	}
	_, err := c.server.check(c.ctx, c.cert)
	return err
}
