package client

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"

	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/profile"
	"github.com/countersign-escrow/countersign/services/internal/rpc/rpcfault"
)

// authority is a small CA.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{key: newKey(t), file: filepath.Join(t.TempDir(), "ca.pem")}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	check(t, err)
	a.cert, err = x509.ParseCertificate(der)
	check(t, err)
	check(t, os.WriteFile(a.file, pemOf("CERTIFICATE", der), 0o644))
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	return key
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// issue makes a certificate for an address that ends at a time.
func (a *authority) issue(t *testing.T, ip string, end time.Time) (der []byte, key *ecdsa.PrivateKey) {
	t.Helper()
	key = newKey(t)
	template := &x509.Certificate{SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: end,
		IPAddresses: []net.IP{net.ParseIP(ip)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	check(t, err)
	return der, key
}

// directory is a fake: it answers each call with one error.
type directory struct {
	pb.UnimplementedDirectoryServiceServer
	err error
}

func (d *directory) ListOrganizations(context.Context, *pb.ListOrganizationsRequest) (*pb.ListOrganizationsResponse, error) {
	return &pb.ListOrganizationsResponse{}, d.err
}

// serve runs a service with a certificate and returns its address.
func serve(t *testing.T, d *directory, clients *authority, der []byte, key *ecdsa.PrivateKey) string {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(clients.cert)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS13, ClientCAs: pool,
		ClientAuth: tls.RequireAndVerifyClientCert, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})))
	pb.RegisterDirectoryServiceServer(server, d)
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	return listener.Addr().String()
}

// profileOf writes a client's files and returns its profile.
func profileOf(t *testing.T, address, caFile string, der []byte, key *ecdsa.PrivateKey) *profile.Profile {
	t.Helper()
	dir := t.TempDir()
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	check(t, err)
	p := &profile.Profile{Path: filepath.Join(dir, "profile.yaml"), Address: address, CA: caFile, Certificate: filepath.Join(dir, "cert.pem"),
		Key: filepath.Join(dir, "key.pem"), Organization: resource.Organization{ID: "acme"}}
	check(t, os.WriteFile(p.Certificate, pemOf("CERTIFICATE", der), 0o644))
	check(t, os.WriteFile(p.Key, pemOf("PRIVATE KEY", keyDER), 0o600))
	return p
}

func call(t *testing.T, p *profile.Profile) error {
	t.Helper()
	c, err := Dial(p)
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.Directory.ListOrganizations(t.Context(), &pb.ListOrganizationsRequest{})
	return err
}

func TestErrors(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	later, before := time.Now().Add(time.Hour), time.Now().Add(-time.Hour)
	serverDER, serverKey := ca.issue(t, "127.0.0.1", later)
	staleDER, staleKey := ca.issue(t, "127.0.0.1", before)
	elsewhereDER, elsewhereKey := ca.issue(t, "127.0.0.9", later)
	clientDER, clientKey := ca.issue(t, "127.0.0.1", later)
	endedDER, endedKey := ca.issue(t, "127.0.0.1", before)
	strangerDER, strangerKey := other.issue(t, "127.0.0.1", later)

	good := serve(t, &directory{}, ca, serverDER, serverKey)
	stale := serve(t, &directory{}, ca, staleDER, staleKey)
	elsewhere := serve(t, &directory{}, ca, elsewhereDER, elsewhereKey)
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	check(t, silent.Close())

	for name, c := range map[string]struct {
		profile *profile.Profile
		want    string
	}{
		"good":               {profileOf(t, good, ca.file, clientDER, clientKey), ""},
		"nobody there":       {profileOf(t, silent.Addr().String(), ca.file, clientDER, clientKey), "nobody answers at 127.0.0.1:"},
		"another CA":         {profileOf(t, good, other.file, clientDER, clientKey), "has a certificate of another CA than " + other.file},
		"service's ended":    {profileOf(t, stale, ca.file, clientDER, clientKey), "the service's certificate does not hold"},
		"service's name":     {profileOf(t, elsewhere, ca.file, clientDER, clientKey), "the service's certificate is not for 127.0.0.1:"},
		"client's ended":     {profileOf(t, good, ca.file, endedDER, endedKey), "ask an administrator of organizations/acme for a new enrolment token"},
		"client's CA":        {profileOf(t, good, ca.file, strangerDER, strangerKey), "enrol again"}, // the alert may be lost with the connection
		"another's key":      {profileOf(t, good, ca.file, clientDER, endedKey), "certificate or key"},
		"malformed address":  {profileOf(t, "escrow", ca.file, clientDER, clientKey), `"escrow" must have the form host:port`},
		"CA file is missing": {profileOf(t, good, "none.pem", clientDER, clientKey), "ca: open none.pem"},
	} {
		t.Run(name, func(t *testing.T) {
			err := call(t, c.profile)
			if (c.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestDialRefusesReadableKey(t *testing.T) {
	ca := newAuthority(t)
	der, key := ca.issue(t, "127.0.0.1", time.Now().Add(time.Hour))
	p := profileOf(t, "127.0.0.1:1", ca.file, der, key)
	check(t, os.Chmod(p.Key, 0o644))
	if _, err := Dial(p); err == nil || !strings.Contains(err.Error(), "chmod 600 "+p.Key) {
		t.Errorf("got %v", err)
	}
}

func TestStatusesBecomeFaults(t *testing.T) {
	ca := newAuthority(t)
	der, key := ca.issue(t, "127.0.0.1", time.Now().Add(time.Hour))
	sent := fault.Invalidf("organization.country", "is %q", "XX").WithAdvice("use ISO 3166-1")
	address := serve(t, &directory{err: rpcfault.Detailed(codes.InvalidArgument, sent).Err()}, ca, der, key)
	err := call(t, profileOf(t, address, ca.file, der, key))
	if !fault.Is(err, fault.Invalid) || err.Error() != `organization.country: is "XX" (use ISO 3166-1)` {
		t.Errorf("got %v", err)
	}
	denied := fault.Deniedf("KIND_NOT_ALLOWED", "organizations/acme may not call this")
	address = serve(t, &directory{err: rpcfault.Detailed(codes.PermissionDenied, denied).Err()}, ca, der, key)
	if err := call(t, profileOf(t, address, ca.file, der, key)); !fault.Is(err, fault.Denied) || !strings.Contains(err.Error(), "is this the right --profile?") {
		t.Errorf("got %v", err)
	}
}
