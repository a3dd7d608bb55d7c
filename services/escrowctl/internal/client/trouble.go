package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/services/internal/rpc/rpcfault"
)

// callTime bounds a call that is not a stream and for which nobody set another bound.
const callTime = 2 * time.Minute

// trouble remembers why the newest attempt to connect failed. gRPC itself only passes on a sentence about it.
type trouble struct {
	address, caFile string

	mu   sync.Mutex
	last error
}

func (t *trouble) note(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = err
}

func (t *trouble) newest() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.last
}

// watchedTLS tells trouble how handshakes end.
type watchedTLS struct {
	credentials.TransportCredentials
	trouble *trouble
}

func watch(config *tls.Config, t *trouble) credentials.TransportCredentials {
	return watchedTLS{credentials.NewTLS(config), t}
}

// ClientHandshake does what the TLS credentials do.
func (w watchedTLS) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := w.TransportCredentials.ClientHandshake(ctx, authority, raw)
	w.trouble.note(err)
	return conn, info, err
}

// Clone returns credentials that tell the same trouble.
func (w watchedTLS) Clone() credentials.TransportCredentials {
	return watchedTLS{w.TransportCredentials.Clone(), w.trouble}
}

func (t *trouble) unary(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, callTime)
		defer cancel()
	}
	return t.explain(invoke(ctx, method, req, reply, cc, opts...))
}

func (t *trouble) stream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, streamer grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	s, err := streamer(ctx, desc, cc, method, opts...)
	if err != nil {
		return nil, t.explain(err)
	}
	return explainedStream{s, t}, nil
}

type explainedStream struct {
	grpc.ClientStream
	trouble *trouble
}

// RecvMsg receives a message or the explained reason why there is none.
func (s explainedStream) RecvMsg(m any) error { return s.trouble.explain(s.ClientStream.RecvMsg(m)) }

// explain turns what gRPC answers into a domain error with advice.
func (t *trouble) explain(err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	st, ok := status.FromError(err)
	if ok && strings.Contains(st.Message(), "unexpected HTTP status code") {
		return (&fault.Error{Kind: fault.Invalid, Reason: "NOT_GRPC", Field: "address", Message: t.address + " does not speak gRPC"}).
			WithAdvice("is that the address of the service's HTTP side?")
	}
	if !ok || st.Code() != codes.Unavailable || len(st.Details()) > 0 {
		return t.advise(rpcfault.FromStatus(err))
	}
	return t.unavailable(st.Message())
}

// advise adds what only the client knows: which service it spoke to, and as whom.
func (t *trouble) advise(err error) error {
	var f *fault.Error
	if !errors.As(err, &f) || f.Advice != "" {
		return err
	}
	switch {
	case f.Kind == fault.Internal:
		f.Advice = "the service at " + t.address + " failed; its operator finds the cause in its log"
	case f.Reason == "KIND_NOT_ALLOWED":
		f.Advice = "it is for organizations of another kind; is this the right --profile?"
	}
	return err
}

func (t *trouble) unavailable(message string) error {
	f := &fault.Error{Kind: fault.Unavailable, Reason: "UNREACHABLE"}
	cause := t.newest()
	var (
		unknown x509.UnknownAuthorityError
		name    x509.HostnameError
		invalid x509.CertificateInvalidError
		record  tls.RecordHeaderError
		lookup  *net.DNSError
	)
	switch {
	case errors.As(cause, &unknown):
		f.Message = "the service at " + t.address + " has a certificate of another CA than " + t.caFile
		f.Reason = "WRONG_CA"
		return f.WithAdvice("is the address right? if the service was set up anew, enrol again with its present CA")
	case errors.As(cause, &name):
		f.Message = "the service's certificate is not for " + t.address + ": " + name.Error()
		f.Reason = "WRONG_NAME"
		return f.WithAdvice("use an address that the certificate names")
	case errors.As(cause, &invalid):
		f.Message = "the service's certificate does not hold: " + invalid.Error()
		f.Reason = "CERTIFICATE_INVALID"
		return f.WithAdvice("if it expired, its operator renews it; see also that this machine's clock is right")
	case errors.As(cause, &record):
		f.Message = t.address + " does not speak TLS"
		return f.WithAdvice("is that the service's gRPC address?")
	case strings.Contains(message, "remote error: tls:"):
		f.Message = "the service at " + t.address + " refuses the client certificate: " + afterLast(message, "remote error: ")
		f.Reason = "CERTIFICATE_REFUSED"
		return f.WithAdvice("it may have ended or be of another service: enrol again")
	case errors.As(cause, &lookup):
		f.Message = "no such host: " + lookup.Name
		return f.WithAdvice("is the address in the profile right?")
	case errors.Is(cause, syscall.ECONNREFUSED):
		f.Message = "nobody answers at " + t.address
		return f.WithAdvice("is the service running, and is the address right?")
	case cause != nil:
		f.Message = "cannot reach " + t.address + ": " + cause.Error()
	default:
		f.Message = "the connection to " + t.address + " broke: " + message
		return f.WithAdvice("try again; if it goes on like this, the client certificate may be refused: enrol again")
	}
	return f.WithAdvice("try again")
}

func afterLast(s, sep string) string {
	if i := strings.LastIndex(s, sep); i >= 0 {
		s = s[i+len(sep):]
	}
	return strings.TrimRight(s, `"`)
}
