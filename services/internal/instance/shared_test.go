package instance

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/countersign-escrow/countersign/escrow/blob"
	"github.com/countersign-escrow/countersign/escrow/blob/s3"
	"github.com/countersign-escrow/countersign/escrow/blob/s3/miniotest"
	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/catalog/pgtest"
	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/keyring/kekfile"
	"github.com/countersign-escrow/countersign/escrow/resource"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/config"
	"github.com/countersign-escrow/countersign/services/internal/rpc/rpctest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// place is what the processes of one service share.
type place struct {
	dir, database, objects string
}

// newPlace has real databases and objects: a bucket where there are to be several processes.
func newPlace(t *testing.T, database string, several bool) place {
	t.Helper()
	p := place{dir: t.TempDir(), database: database, objects: "{folder: objects}"}
	if several {
		server := miniotest.Start(t)
		p.write(t, "access", server.AccessKey)
		p.write(t, "secret", server.SecretKey)
		rpctest.Must[*s3.Store](t)(s3.CreateBucket(t.Context(), s3.Config{Endpoint: server.Endpoint, Bucket: "escrow",
			AccessKey: server.AccessKey, SecretKey: server.SecretKey, PlainHTTPUnsafe: true}))
		p.objects = fmt.Sprintf(`{s3: {endpoint: "http://%s", bucket: escrow, access_key_file: access, secret_key_file: secret}}`, server.Endpoint)
	}
	rpctest.Must[[]string](t)(CreateKeys("", p.file(t, "any", config.API)))
	return p
}

func (p place) write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// file is the configuration of one process.
func (p place) file(t *testing.T, name string, roles ...config.Role) *config.Config {
	t.Helper()
	text := fmt.Sprintf("listen: 127.0.0.1:0\nhttp: 127.0.0.1:0\noperator_country: CH\ndatabase: {url: %q}\nobjects: %s\n"+
		"keys: keys\nkek: {file: kek.json}\nlog: log\nwork: work/%s\nruntime: /nowhere/runc\n", p.database, p.objects, name)
	c, err := config.Parse(filepath.Join(p.dir, name+".yaml"), []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	c.Roles = roles
	return c
}

func (p place) config(t *testing.T, name string, roles ...config.Role) Config {
	t.Helper()
	cfg := FromFile(p.file(t, name, roles...))
	cfg.Grace, cfg.Logger = 2*time.Second, slog.New(slog.DiscardHandler)
	return cfg
}

func (p place) start(t *testing.T, name string, roles ...config.Role) *Service {
	t.Helper()
	return start(t, p.config(t, name, roles...))
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("%s has not come about", what)
}

func writes(s *Service) bool {
	_, err := s.log.writing()
	return err == nil
}

func TestOneWorkerWritesTheLogAndAnotherTakesOver(t *testing.T) {
	p := newPlace(t, pgtest.Start(t).URL(t), true)
	api := p.start(t, "api", config.API)
	workers := []*Service{p.start(t, "a", config.Worker), p.start(t, "b", config.Worker)}
	eventually(t, "a writer", func() bool { return writes(workers[0]) || writes(workers[1]) })
	if writes(workers[0]) == writes(workers[1]) || writes(api) {
		t.Fatal("one worker writes at a time, and no api")
	}
	if writes(workers[1]) {
		workers[0], workers[1] = workers[1], workers[0]
	}
	at := rpctest.Must[uint64](t)(workers[0].log.Append(t.Context(), []byte("one")))
	if _, err := api.log.Append(t.Context(), []byte("two")); !fault.Is(err, fault.Unavailable) {
		t.Errorf("an api appends: %v", err)
	}
	rpctest.Must[any](t)(api.log.Proof(t.Context(), at)) // what one writes, others prove
	stop(t, workers[0])
	if writes(workers[0]) {
		t.Error("a stopped worker writes")
	}
	eventually(t, "another writer", func() bool { return writes(workers[1]) })
	if next := rpctest.Must[uint64](t)(workers[1].log.Append(t.Context(), []byte("two"))); next != at+1 {
		t.Errorf("index %d, want %d", next, at+1)
	}
}

func TestAnAPIAnswersWhereItsPartsDo(t *testing.T) {
	server := pgtest.StartOwn(t, pgtest.Options{})
	p := newPlace(t, server.URL(t), true)
	api := p.start(t, "api", config.API)
	profile := filepath.Join(t.TempDir(), "operator")
	path := rpctest.Must[string](t)(IssueProfile(t.Context(), p.file(t, "any"), profile, api.Address(), "https://"+api.Web()))
	if _, err := IssueProfile(t.Context(), p.file(t, "any"), profile, "", ""); !fault.Is(err, fault.Exists) {
		t.Errorf("a profile over a profile: %v", err)
	}
	m := readProfile(t, path)
	conn := m.dial(t)
	client := grpc_health_v1.NewHealthClient(conn)
	serves := func(service string) bool {
		resp, err := client.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: service})
		return err == nil && resp.GetStatus() == grpc_health_v1.HealthCheckResponse_SERVING
	}
	directory, deposit := pb.DirectoryService_ServiceDesc.ServiceName, pb.DepositService_ServiceDesc.ServiceName
	if !serves(directory) || serves(deposit) {
		t.Error("before the log has begun, what needs no log is served, and nothing else")
	}
	list, err := pb.NewDirectoryServiceClient(conn).ListOrganizations(t.Context(), &pb.ListOrganizationsRequest{})
	if err != nil || len(list.GetOrganizations()) != 1 {
		t.Errorf("%v, %v", list, err)
	}
	p.start(t, "worker", config.Worker)
	eventually(t, "a log", func() bool { return serves(deposit) })

	server.Kill(t)
	eventually(t, "the loss of the database", func() bool { return !serves(directory) && !serves(deposit) })
	server.Resume(t)
	eventually(t, "the return of the database", func() bool { return serves(directory) && serves(deposit) })
}

// The key-encryption key changes under running processes: what was sealed before can be read, and what is sealed after.
func TestKeysAreRotatedUnderARunningProcess(t *testing.T) {
	p := newPlace(t, pgtest.Start(t).URL(t), false)
	s := p.start(t, "one", config.API, config.Worker)
	for _, id := range []string{"acme", "rival"} {
		insertVendor(t, s, id)
	}
	put := func(id string) blob.Ref {
		content := []byte(rand.Text())
		ref := blob.Ref{Holder: resource.Organization{ID: id}, Digest: digest.Of(content)}
		if err := blob.Put(t.Context(), s.blobs, ref, int64(len(content)), bytes.NewReader(content)); err != nil {
			t.Fatal(err)
		}
		return ref
	}
	first := put("acme")
	cfg := p.config(t, "any")
	if n, err := RotateKeys(t.Context(), cfg, Rotation{DryRun: true}); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	var told []string
	n, err := RotateKeys(t.Context(), cfg, Rotation{Retire: true, Each: func(o resource.Organization) { told = append(told, o.ID) }})
	if n != 1 || err != nil || len(told) != 1 || told[0] != "acme" {
		t.Errorf("%d, %v, %v", n, told, err)
	}
	second := put("rival") // wrapped under a generation that came after the start
	stop(t, s)
	s = p.start(t, "two", config.API, config.Worker)
	if n, err := RotateKeys(t.Context(), cfg, Rotation{}); n != 2 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	for _, ref := range []blob.Ref{first, second} { // unwrapped for the first time in this process
		if _, err := s.blobs.Stat(t.Context(), ref); err != nil {
			t.Errorf("%s: %v", ref.Holder, err)
		}
	}
}

// Vendors' keys move from one key-encryption key to another, and the former one is then needed no more.
func TestKeysMoveToAnotherKEK(t *testing.T) {
	p := newPlace(t, pgtest.Start(t).URL(t), false)
	s := p.start(t, "one", config.API, config.Worker)
	insertVendor(t, s, "acme")
	content := []byte("moves")
	ref := blob.Ref{Holder: resource.Organization{ID: "acme"}, Digest: digest.Of(content)}
	if err := blob.Put(t.Context(), s.blobs, ref, int64(len(content)), bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	stop(t, s)

	file := p.file(t, "one", config.API, config.Worker)
	former := file.KEK
	file.KEK.File = filepath.Join(p.dir, "other.json")
	rpctest.Must[[]string](t)(CreateKeys("", file))
	if err := New(FromFile(file)).Start(t.Context()); err == nil || !strings.Contains(err.Error(), "which is not here") {
		t.Errorf("a start without the key that wrapped: %v", err)
	}
	file.FormerKEKs = []config.KEK{former}
	if n, err := RotateKeys(t.Context(), FromFile(file), Rotation{}); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	file.FormerKEKs = nil
	cfg := FromFile(file)
	cfg.Logger = slog.New(slog.DiscardHandler)
	s = start(t, cfg)
	if _, err := s.blobs.Stat(t.Context(), ref); err != nil {
		t.Error(err)
	}
}

// A key file that is exchanged for another's is not taken in by a running process.
func TestAnExchangedKeyFileIsNotUsed(t *testing.T) {
	dir := t.TempDir()
	path, other := filepath.Join(dir, "kek.json"), filepath.Join(dir, "other.json")
	for _, file := range []string{path, other} {
		if err := kekfile.Generate(file, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	k := rpctest.Must[*fileKEK](t)(openFileKEK(path))
	wrapped := rpctest.Must[[]byte](t)(k.Wrap(t.Context(), make([]byte, 32), nil))
	if err := os.Rename(other, path); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Wrap(t.Context(), make([]byte, 32), nil); err == nil || !strings.Contains(err.Error(), "has become another key") {
		t.Errorf("wrapped with another key: %v", err)
	}
	if _, err := k.Unwrap(t.Context(), wrapped, nil); err != nil {
		t.Errorf("what is known is unwrapped all the same: %v", err)
	}
}

func insertVendor(t *testing.T, s *Service, id string) {
	t.Helper()
	err := s.catalog.Update(t.Context(), func(tx *catalog.Tx) error {
		return tx.InsertOrganization(catalog.Organization{Name: resource.Organization{ID: id}, Kind: catalog.Vendor, Country: "SE", Created: time.Now()})
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestOneProcessOfManyIsRefused(t *testing.T) {
	p := newPlace(t, pgtest.Start(t).URL(t), false)
	s := p.start(t, "one", config.API, config.Worker)
	stop(t, s)
	for name, c := range map[string]struct {
		spoil func(*config.Config)
		want  string
	}{
		"no keys":         {func(c *config.Config) { c.Keys += "-lost" }, "keys"},
		"another country": {func(c *config.Config) { c.OperatorCountry = "DE" }, "cannot become DE"},
		"no key file":     {func(c *config.Config) { c.KEK.File += "-lost" }, "kek"},
		"no database":     {func(c *config.Config) { c.Database.URL = "postgres://me@127.0.0.1:1/none?connect_timeout=1" }, "catalog"},
	} {
		file := p.file(t, "one", config.API, config.Worker)
		c.spoil(file)
		if err := New(FromFile(file)).Start(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	first := p.start(t, "one", config.API, config.Worker)
	if err := New(p.config(t, "one", config.API, config.Worker)).Start(t.Context()); err == nil || !strings.Contains(err.Error(), "another escrowd") {
		t.Errorf("two processes on one work folder: %v", err)
	}
	if err := New(p.config(t, "two", config.API, config.Worker)).Start(t.Context()); err == nil || !strings.Contains(err.Error(), "objects") {
		t.Errorf("two processes on one folder of objects: %v", err)
	}
	stop(t, first)
	p.start(t, "one", config.API, config.Worker) // what was refused left nothing locked
}

// A log folder that is not there any more, as under a mount point, is not begun anew.
func TestALostLogIsNotBegunAnew(t *testing.T) {
	p := newPlace(t, pgtest.Start(t).URL(t), false)
	s := p.start(t, "one", config.Worker)
	eventually(t, "a writer", func() bool { return writes(s) })
	insertPublished(t, s)
	stop(t, s)
	if err := os.Rename(filepath.Join(p.dir, "log"), filepath.Join(p.dir, "log-before")); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	cfg := p.config(t, "one", config.Worker)
	cfg.Logger = slog.New(slog.NewTextHandler(&said, nil))
	again := New(cfg)
	if err := again.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * time.Second)
	if writes(again) {
		t.Error("the log was begun anew")
	}
	stop(t, again)
	if !strings.Contains(said.String(), "had 1 before") {
		t.Errorf("said %s", said.String())
	}
	if _, err := os.Stat(filepath.Join(p.dir, "log", "checkpoint")); err == nil {
		t.Error("there is a checkpoint of another log")
	}
}

// insertPublished records that an entry is in the log.
func insertPublished(t *testing.T, s *Service) {
	t.Helper()
	insertVendor(t, s, "acme")
	vendor := resource.Organization{ID: "acme"}
	product := resource.Product{Vendor: vendor, ID: "p"}
	release := resource.Release{Product: product, Version: "1"}
	err := s.catalog.Update(context.Background(), func(tx *catalog.Tx) error {
		now := time.Now()
		if err := tx.InsertProduct(catalog.Product{Name: product, Created: now}); err != nil {
			return err
		}
		if err := tx.InsertRelease(catalog.Release{Name: release, Created: now}); err != nil {
			return err
		}
		if err := tx.InsertAttestation(catalog.Attestation{ID: "a", Release: release, Owner: vendor, Signer: vendor, PredicateType: "t",
			Envelope: []byte("{}"), Stamp: []byte("s"), State: catalog.AttestationPending, LeafHash: digest.Of(nil), Created: now}); err != nil {
			return err
		}
		return tx.MarkPublished("a", 0, []byte("{}"))
	})
	if err != nil {
		t.Fatal(err)
	}
}
