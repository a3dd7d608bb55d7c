// Package rpctest puts up a server on loopback with a real CA, a real catalog and real certificates, for tests of what
// is served. It knows nothing of any service.
package rpctest

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
	"github.com/countersign-escrow/countersign/services/internal/ca"
	"github.com/countersign-escrow/countersign/services/internal/rpc"
	"github.com/countersign-escrow/countersign/services/internal/rpc/rpcfault"
)

// House is a server with what it stands on. All of it ends with the test.
type House struct {
	CA      *ca.Authority
	Catalog *catalog.Catalog
	Server  *rpc.Server

	address string
	log     lockedBuffer
}

// Certificate is a client certificate.
type Certificate struct {
	Pair   tls.Certificate
	Serial string
}

// New puts up a house. Services are registered with its server before Serve.
func New(t testing.TB) *House {
	t.Helper()
	h := &House{CA: NewAuthority(t)}
	h.Catalog = Must[*catalog.Catalog](t)(catalog.Open(t.Context(), filepath.Join(t.TempDir(), "catalog.db")))
	t.Cleanup(func() { check(t, h.Catalog.Close()) })
	cert := Must[*ca.ServerCertificate](t)(h.CA.NewServerCertificate([]string{"localhost", "127.0.0.1"}, time.Now))
	h.Server = rpc.NewServer(rpc.Config{
		TLS:     rpc.ServerTLS(cert.Get, h.CA.Pool()),
		Members: rpc.CatalogMembers{Catalog: h.Catalog},
		Logger:  slog.New(slog.NewTextHandler(&h.log, nil)),
	})
	return h
}

// Serve opens the house on a free port of loopback.
func (h *House) Serve(t testing.TB) {
	t.Helper()
	listener := Must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
	h.address = listener.Addr().String()
	served := make(chan error, 1)
	go func() { served <- h.Server.Serve(listener) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		check(t, errors.Join(h.Server.Shutdown(ctx), <-served))
	})
}

// Address is where the house listens.
func (h *House) Address() string { return h.address }

// Log is what the server logged so far.
func (h *House) Log() string { return h.log.String() }

// NewAuthority makes a CA.
func NewAuthority(t testing.TB) *ca.Authority {
	t.Helper()
	cert, key, err := ca.Create(time.Now())
	check(t, err)
	return Must[*ca.Authority](t)(ca.Load(cert, key))
}

// Register writes an organization into the catalog.
func (h *House) Register(t testing.TB, id string, kind catalog.Kind) resource.Organization {
	t.Helper()
	name := resource.Organization{ID: id}
	check(t, h.Catalog.Update(t.Context(), func(tx *catalog.Tx) error {
		return tx.InsertOrganization(catalog.Organization{Name: name, Kind: kind, Country: "DE", Created: time.Now()})
	}))
	return name
}

// Issue makes a client certificate with that authority, and tells nobody.
func Issue(t testing.TB, authority *ca.Authority, org resource.Organization, member string) Certificate {
	t.Helper()
	key := Must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	issued := Must[*ca.Issued](t)(authority.IssueClient(Must[[]byte](t)(ca.NewRequest(key)), org, member, time.Now()))
	pair := Must[tls.Certificate](t)(tls.X509KeyPair(issued.PEM, Must[[]byte](t)(ca.EncodeKey(key))))
	return Certificate{Pair: pair, Serial: issued.Serial}
}

// Enrol makes a client certificate that counts.
func (h *House) Enrol(t testing.TB, org resource.Organization, member string) Certificate {
	t.Helper()
	c := Issue(t, h.CA, org, member)
	check(t, h.Catalog.Update(t.Context(), func(tx *catalog.Tx) error {
		return tx.InsertCertificate(catalog.Certificate{
			Serial: c.Serial, Organization: org, Member: member, NotAfter: time.Now().Add(time.Hour),
		})
	}))
	return c
}

// Revoke makes a certificate count no more.
func (h *House) Revoke(t testing.TB, c Certificate) {
	t.Helper()
	check(t, h.Catalog.Update(t.Context(), func(tx *catalog.Tx) error { return tx.RevokeCertificate(c.Serial, time.Now()) }))
}

// Dial connects with a certificate, or as a stranger without one.
func (h *House) Dial(t testing.TB, certs ...Certificate) *grpc.ClientConn {
	t.Helper()
	config := &tls.Config{RootCAs: h.CA.Pool(), MinVersion: tls.VersionTLS13}
	for _, c := range certs {
		config.Certificates = append(config.Certificates, c.Pair)
	}
	conn := Must[*grpc.ClientConn](t)(grpc.NewClient(h.address, grpc.WithTransportCredentials(credentials.NewTLS(config))))
	t.Cleanup(func() { check(t, conn.Close()) })
	return conn
}

// Member registers nothing and connects as a new member of an organization.
func (h *House) Member(t testing.TB, org resource.Organization) *grpc.ClientConn {
	t.Helper()
	return h.Dial(t, h.Enrol(t, org, "member"))
}

// WantCode fails the test unless err is a status of that code and, where one is given, that reason.
func WantCode(t testing.TB, what string, err error, code codes.Code, reason string) {
	t.Helper()
	if status.Code(err) != code {
		t.Errorf("%s: error %v, want %s", what, err, code)
		return
	}
	var f *fault.Error
	if reason != "" && (!errors.As(rpcfault.FromStatus(err), &f) || f.Reason != reason) {
		t.Errorf("%s: error %v has not the reason %s", what, rpcfault.FromStatus(err), reason)
	}
}

// Must returns a function that ends the test at an error and passes the value on.
func Must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		check(t, err)
		return v
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// lockedBuffer is written by the server while a test reads it.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
