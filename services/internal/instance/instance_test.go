package instance

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health/grpc_health_v1"

	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/rpc/rpctest"
	"github.com/countersign-escrow/countersign/services/internal/state"
)

func trial(dir string) Config {
	return Config{
		Data: dir, Listen: "127.0.0.1:0", HTTP: "127.0.0.1:0", Country: "CH", Grace: 2 * time.Second,
		Runtime: "/nowhere/runc", // rebuilds have their own tests
		Logger:  slog.New(slog.DiscardHandler),
	}
}

func start(t *testing.T, cfg Config) *Service {
	t.Helper()
	s := New(cfg)
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, s) })
	return s
}

func stop(t *testing.T, s *Service) {
	t.Helper()
	if err := s.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}

// member is what a profile gives to its holder.
type member struct {
	profile state.Profile
	tls     *tls.Config
}

func readProfile(t *testing.T, path string) member {
	t.Helper()
	var m member
	if err := yaml.Unmarshal(rpctest.Must[[]byte](t)(os.ReadFile(path)), &m.profile); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(path)
	pair := rpctest.Must[tls.Certificate](t)(tls.LoadX509KeyPair(filepath.Join(dir, m.profile.Certificate), filepath.Join(dir, m.profile.Key)))
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(rpctest.Must[[]byte](t)(os.ReadFile(filepath.Join(dir, m.profile.CA)))) {
		t.Fatal("no CA")
	}
	m.tls = &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13}
	return m
}

func (m member) dial(t *testing.T) *grpc.ClientConn {
	t.Helper()
	conn := rpctest.Must[*grpc.ClientConn](t)(grpc.NewClient(m.profile.Address, grpc.WithTransportCredentials(credentials.NewTLS(m.tls))))
	t.Cleanup(func() { _ = conn.Close() }) // a test may have closed it
	return conn
}

func (m member) get(t *testing.T, path string) (int, string) {
	t.Helper()
	config := m.tls.Clone()
	config.Certificates = nil
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}, Timeout: 5 * time.Second}
	resp, err := client.Get(m.profile.Web + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode, string(rpctest.Must[[]byte](t)(io.ReadAll(resp.Body)))
}

func TestTheOperatorsProfileWorks(t *testing.T) {
	s := start(t, trial(t.TempDir()))
	m := readProfile(t, s.Profile())
	conn := m.dial(t)
	list, err := pb.NewDirectoryServiceClient(conn).ListOrganizations(t.Context(), &pb.ListOrganizationsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if o := list.GetOrganizations(); len(o) != 1 || o[0].GetName() != m.profile.Organization || o[0].GetCountry() != "CH" ||
		o[0].GetKind() != pb.OrganizationKind_ORGANIZATION_KIND_OPERATOR {
		t.Errorf("organizations %v", o)
	}
	root, err := pb.NewAttestationServiceClient(conn).GetTrustedRoot(t.Context(), &pb.GetTrustedRootRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if status, body := m.get(t, "/trusted_root.json"); status != http.StatusOK || body != string(root.GetTrustedRoot()) {
		t.Errorf("trusted_root.json: status %d, %q", status, body)
	}
	if status, body := m.get(t, "/statement.pub"); status != http.StatusOK || !strings.HasPrefix(body, "-----BEGIN PUBLIC KEY-----") {
		t.Errorf("statement.pub: status %d, %q", status, body)
	}
	if status, body := m.get(t, "/checkpoint"); status != http.StatusOK || !strings.HasPrefix(body, s.log.Origin()+"\n") {
		t.Errorf("checkpoint: status %d, %q", status, body)
	}
}

func TestEveryServiceIsServedAndHealthy(t *testing.T) {
	s := start(t, trial(t.TempDir()))
	m := readProfile(t, s.Profile())
	client := grpc_health_v1.NewHealthClient(m.dial(t))
	for _, service := range []string{
		"", pb.DirectoryService_ServiceDesc.ServiceName, pb.DepositService_ServiceDesc.ServiceName,
		pb.EvaluationService_ServiceDesc.ServiceName, pb.RebuildService_ServiceDesc.ServiceName,
		pb.GrantService_ServiceDesc.ServiceName, pb.AttestationService_ServiceDesc.ServiceName,
		pb.CustodyService_ServiceDesc.ServiceName,
	} {
		resp, err := client.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: service})
		if err != nil || resp.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
			t.Errorf("%q: %v (%v)", service, resp, err)
		}
	}
	if status, body := m.get(t, "/healthz"); status != http.StatusOK || body != "ok\n" {
		t.Errorf("healthz: status %d, %q", status, body)
	}
}

func TestASecondStartGoesOn(t *testing.T) {
	dir := t.TempDir()
	first := start(t, trial(dir))
	before := readProfile(t, first.Profile())
	stop(t, first)

	cfg := trial(dir)
	cfg.Country = ""
	second := start(t, cfg)
	after := readProfile(t, second.Profile())
	if !bytes.Equal(before.tls.Certificates[0].Certificate[0], after.tls.Certificates[0].Certificate[0]) {
		t.Error("the operator's certificate changed")
	}
	if after.profile.Address != second.Address() {
		t.Errorf("the profile says %s, the service listens at %s", after.profile.Address, second.Address())
	}
	before.profile = after.profile
	if _, err := pb.NewDirectoryServiceClient(before.dial(t)).ListOrganizations(t.Context(), &pb.ListOrganizationsRequest{}); err != nil {
		t.Error(err)
	}
}

func TestALostProfileIsMadeAnew(t *testing.T) {
	for _, lost := range []string{"certificate.pem", "key.pem", "profile.yaml"} {
		dir := t.TempDir()
		first := start(t, trial(dir))
		stop(t, first)
		if err := os.Remove(filepath.Join(dir, "operator", lost)); err != nil {
			t.Fatal(err)
		}
		second := start(t, trial(dir))
		m := readProfile(t, second.Profile())
		if _, err := pb.NewDirectoryServiceClient(m.dial(t)).ListOrganizations(t.Context(), &pb.ListOrganizationsRequest{}); err != nil {
			t.Errorf("without %s: %v", lost, err)
		}
		stop(t, second)
	}
}

func TestNothingInTheFolderIsForOthers(t *testing.T) {
	dir := t.TempDir()
	s := start(t, trial(dir))
	top := rpctest.Must[fs.FileInfo](t)(os.Stat(dir))
	if top.Mode().Perm() != 0o700 {
		t.Errorf("%s has mode %s", dir, top.Mode())
	}
	for _, sub := range []string{"keys", "operator", "objects", "log", "work", "cache"} {
		if info := rpctest.Must[fs.FileInfo](t)(os.Stat(filepath.Join(dir, sub))); info.Mode().Perm() != 0o700 {
			t.Errorf("%s has mode %s", sub, info.Mode())
		}
	}
	for _, path := range []string{s.Profile(), s.folder.Operator().Key()} {
		if info := rpctest.Must[fs.FileInfo](t)(os.Stat(path)); info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %s", path, info.Mode())
		}
	}
}

func TestStartsThatAreRefused(t *testing.T) {
	dir := t.TempDir()
	running := start(t, trial(dir))
	second := New(trial(dir))
	if err := second.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "another escrowd") {
		t.Errorf("a second service on the folder: %v", err)
	}
	if _, err := pb.NewDirectoryServiceClient(readProfile(t, running.Profile()).dial(t)).ListOrganizations(t.Context(), &pb.ListOrganizationsRequest{}); err != nil {
		t.Errorf("the first one suffered: %v", err)
	}
	stop(t, running)

	taken := rpctest.Must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
	defer taken.Close()
	for name, c := range map[string]struct {
		spoil func(*Config)
		want  string
	}{
		"--listen":  {func(c *Config) { c.Listen = taken.Addr().String() }, "--listen"},
		"--http":    {func(c *Config) { c.HTTP = taken.Addr().String() }, "--http"},
		"country":   {func(c *Config) { c.Country = "DE" }, "cannot become DE"},
		"malformed": {func(c *Config) { c.Country = "Schweiz" }, "--operator-country"},
	} {
		cfg := trial(dir)
		c.spoil(&cfg)
		if err := New(cfg).Start(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	start(t, trial(dir)) // what was refused left nothing locked
}

func TestAnOpenWatchDoesNotHoldUpTheStop(t *testing.T) {
	s := New(trial(t.TempDir()))
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	conn := readProfile(t, s.Profile()).dial(t)
	watch, err := grpc_health_v1.NewHealthClient(conn).Watch(t.Context(), &grpc_health_v1.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := watch.Recv(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	stop(t, s)
	if d := time.Since(began); d > time.Second {
		t.Errorf("the stop took %s", d)
	}
	for err == nil {
		_, err = watch.Recv()
	}
	rpctest.WantCode(t, "watch", err, codes.Unavailable, "SHUTTING_DOWN")
}
