// Package client connects to a service as a profile says, over mutually authenticated TLS, and turns what goes wrong into
// domain errors that say what to do. It knows nothing of what is asked of the service.
package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"github.com/countersign-escrow/countersign/escrow/fault"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/profile"
)

// maxMessage bounds one message, as the service does.
const maxMessage = 8 << 20

// What may be under way towards the client, as the service has it in the other direction.
const (
	streamWindow     = 2 << 20
	connectionWindow = 8 << 20
	bufferBytes      = 128 << 10 // of the connection in each direction
)

// Client speaks to one service as one member of one organization.
type Client struct {
	Profile     *profile.Profile
	Directory   pb.DirectoryServiceClient
	Deposit     pb.DepositServiceClient
	Evaluation  pb.EvaluationServiceClient
	Rebuild     pb.RebuildServiceClient
	Grant       pb.GrantServiceClient
	Attestation pb.AttestationServiceClient
	Custody     pb.CustodyServiceClient

	conn *grpc.ClientConn
}

// Dial prepares a connection; it is made with the first call. What is wrong with the profile's own files is told here.
func Dial(p *profile.Profile) (*Client, error) {
	config, err := tlsConfig(p)
	if err != nil {
		return nil, err
	}
	c, err := dial(p.Address, p.CA, config)
	if err != nil {
		return nil, err
	}
	c.Profile = p
	return c, nil
}

// DialStranger prepares a connection without a client certificate, for enrolment.
func DialStranger(address, caFile string) (*Client, error) {
	roots, err := readRoots(caFile)
	if err != nil {
		return nil, err
	}
	return dial(address, caFile, &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13})
}

// Close ends the connection.
func (c *Client) Close() { _ = c.conn.Close() } // it fails only if it was closed before

func dial(address, caFile string, config *tls.Config) (*Client, error) {
	if _, _, err := net.SplitHostPort(address); err != nil {
		return nil, fault.Invalidf("address", "%q must have the form host:port", address)
	}
	t := &trouble{address: address, caFile: caFile}
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	conn, err := grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(watch(config, t)),
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
			c, err := dialer.DialContext(ctx, "tcp", addr)
			t.note(err)
			return c, err
		}),
		grpc.WithChainUnaryInterceptor(t.unary),
		grpc.WithChainStreamInterceptor(t.stream),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage)),
		grpc.WithInitialWindowSize(streamWindow),
		grpc.WithInitialConnWindowSize(connectionWindow),
		grpc.WithReadBufferSize(bufferBytes),
		grpc.WithWriteBufferSize(bufferBytes),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 20 * time.Second}),
	)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", address, err)
	}
	return &Client{conn: conn, Directory: pb.NewDirectoryServiceClient(conn), Deposit: pb.NewDepositServiceClient(conn),
		Evaluation: pb.NewEvaluationServiceClient(conn), Rebuild: pb.NewRebuildServiceClient(conn),
		Grant: pb.NewGrantServiceClient(conn), Attestation: pb.NewAttestationServiceClient(conn),
		Custody: pb.NewCustodyServiceClient(conn)}, nil
}

func readRoots(caFile string) (*x509.CertPool, error) {
	b, err := os.ReadFile(caFile)
	if err != nil {
		return nil, fault.Invalidf("ca", "%v", err).WithAdvice("name the file with the service's CA certificate; its operator has it")
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(b) {
		return nil, fault.Invalidf("ca", "%s holds no PEM certificate", caFile)
	}
	return roots, nil
}

func tlsConfig(p *profile.Profile) (*tls.Config, error) {
	roots, err := readRoots(p.CA)
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(p.Key); err == nil && info.Mode().Perm()&0o077 != 0 {
		return nil, fault.Invalidf("key", "%s can be read by others (mode %04o)", p.Key, info.Mode().Perm()).WithAdvice("chmod 600 %s", p.Key)
	}
	pair, err := tls.LoadX509KeyPair(p.Certificate, p.Key)
	if err != nil {
		return nil, fault.Invalidf(p.Path, "certificate or key: %v", err).WithAdvice("enrol again")
	}
	if now := time.Now(); now.After(pair.Leaf.NotAfter) {
		return nil, (&fault.Error{Kind: fault.Denied, Reason: "CERTIFICATE_EXPIRED",
			Message: fmt.Sprintf("the client certificate %s ended on %s", p.Certificate, pair.Leaf.NotAfter.Format(time.RFC3339))}).
			WithAdvice("ask an administrator of %s for a new enrolment token and enrol again", p.Organization)
	}
	return &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13}, nil
}
