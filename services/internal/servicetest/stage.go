// Package servicetest puts up the whole service in a temporary folder, for tests of its parts: a real catalog, object
// store, log, queue, certificates and network. Only the sandbox is a Go function: what a build does in an OCI runtime is
// tested where that is the point.
package servicetest

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/countersign-escrow/countersign/escrow/blob"
	"github.com/countersign-escrow/countersign/escrow/blob/fs"
	"github.com/countersign-escrow/countersign/escrow/blob/object"
	"github.com/countersign-escrow/countersign/escrow/blob/seal"
	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/keyring"
	"github.com/countersign-escrow/countersign/escrow/keyring/kekfile"
	"github.com/countersign-escrow/countersign/escrow/resource"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/attestations"
	"github.com/countersign-escrow/countersign/services/internal/custody"
	"github.com/countersign-escrow/countersign/services/internal/deposit"
	"github.com/countersign-escrow/countersign/services/internal/directory"
	"github.com/countersign-escrow/countersign/services/internal/evaluation"
	"github.com/countersign-escrow/countersign/services/internal/grants"
	"github.com/countersign-escrow/countersign/services/internal/jobs"
	"github.com/countersign-escrow/countersign/services/internal/notify"
	"github.com/countersign-escrow/countersign/services/internal/pipeline"
	"github.com/countersign-escrow/countersign/services/internal/rebuilds"
	"github.com/countersign-escrow/countersign/services/internal/rpc/rpctest"
	"github.com/countersign-escrow/countersign/verifier/attest"
	"github.com/countersign-escrow/countersign/verifier/tlog"
)

// LeaseTTL is how long leases last here, unless a test says otherwise. Tests set the clock forward to outlive them.
const LeaseTTL = 30 * time.Second

// Stage is a whole service. All of it ends with the test.
type Stage struct {
	*rpctest.House
	Operator  resource.Organization
	Blobs     blob.Store
	Dir       string // of the object store and the log
	Log       *tlog.Log
	Queue     *jobs.Queue
	Hub       *notify.Hub
	Pipeline  *pipeline.Pipeline
	Publisher *attest.Publisher
	Sandbox   *Sandbox
	Root      []byte // trusted_root.json
	Statement *ecdsa.PublicKey
	Clock     *Clock
	Failures  atomic.Int64 // jobs that ended in an error so far
}

// Clock is the service's clock: the real time, moved by the test.
type Clock struct {
	mu    sync.Mutex
	ahead time.Duration
}

// Now returns the service's time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

// Forward sets the clock forward, or, by a negative duration, back.
func (c *Clock) Forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}

// New puts up a service that serves. Its jobs wait for Start.
func New(t testing.TB) *Stage {
	t.Helper()
	return NewWithLeases(t, LeaseTTL)
}

// NewWithLeases is New with leases that last so long.
func NewWithLeases(t testing.TB, ttl time.Duration) *Stage {
	t.Helper()
	return put(t, ttl, func(s object.Store) object.Store { return s })
}

// NewOver is New with something before the object store.
func NewOver(t testing.TB, over func(object.Store) object.Store) *Stage {
	t.Helper()
	return put(t, LeaseTTL, over)
}

func put(t testing.TB, ttl time.Duration, over func(object.Store) object.Store) *Stage {
	t.Helper()
	s := &Stage{House: rpctest.New(t), Hub: notify.New(), Sandbox: &Sandbox{}, Clock: &Clock{}}
	s.Operator = s.Organization(t, "operator", catalog.Operator, "CH")
	dir := t.TempDir()
	s.Dir = dir
	s.Blobs = s.openBlobs(t, dir, over)
	s.Queue = rpctest.Must[*jobs.Queue](t)(jobs.Open(t.Context(), s.Catalog.DB(), jobs.Config{
		Poll: 10 * time.Millisecond,
		Failed: func(kind string, attempt int, err error) {
			s.Failures.Add(1)
			t.Logf("job %s, attempt %d: %v", kind, attempt, err)
		},
	}))
	signer := s.openLog(t, filepath.Join(dir, "log"))
	s.Pipeline = pipeline.New(pipeline.Config{
		Catalog: s.Catalog, Blobs: s.Blobs, Jobs: s.Queue, Hub: s.Hub, Log: s.Log, Signer: signer, Publisher: s.Publisher,
		Operator: s.Operator, Country: "CH", Sandbox: s.Sandbox, WorkDir: filepath.Join(dir, "work"), LeaseTTL: ttl, Now: s.Clock.Now,
	})
	s.register(signer.PublicKeyPEM(), ttl)
	s.Serve(t)
	return s
}

// openBlobs makes the object store and the key-encryption key.
func (s *Stage) openBlobs(t testing.TB, dir string, over func(object.Store) object.Store) blob.Store {
	t.Helper()
	objects := rpctest.Must[*fs.Store](t)(fs.Open(filepath.Join(dir, "objects")))
	t.Cleanup(func() { check(t, objects.Close()) })
	file := filepath.Join(dir, "kek.json")
	check(t, kekfile.Generate(file, time.Now()))
	kek := rpctest.Must[*kekfile.KEK](t)(kekfile.Open(file))
	return seal.New(over(objects), keyring.New(catalog.VendorKeys{Catalog: s.Catalog}, kek))
}

// openLog makes the log and all keys.
func (s *Stage) openLog(t testing.TB, dir string) *attest.Signer {
	t.Helper()
	_, logKey, err := ed25519.GenerateKey(rand.Reader)
	check(t, err)
	s.Log = rpctest.Must[*tlog.Log](t)(tlog.Open(t.Context(), tlog.Config{Dir: dir, Origin: "log.countersign.test", Key: logKey}))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		check(t, s.Log.Close(ctx))
	})
	now := time.Now()
	tsaKey, statementKey := newKey(t), newKey(t)
	chain := rpctest.Must[[]*x509.Certificate](t)(attest.MakeTimestampCertificates("Countersign test", tsaKey.Public(), now))
	authority := rpctest.Must[*attest.TimestampAuthority](t)(attest.NewTimestampAuthority(tsaKey, chain))
	s.Publisher = attest.NewPublisher(s.Log, authority)
	s.Statement = &statementKey.PublicKey
	s.Root = rpctest.Must[[]byte](t)(attest.TrustedRoot(attest.Trust{
		Logs:        []attest.TrustedLog{{Origin: s.Log.Origin(), Key: s.Log.PublicKey(), From: chain[0].NotBefore}},
		Authorities: []attest.TrustedAuthority{{Chain: chain, From: chain[0].NotBefore}},
	}))
	return rpctest.Must[*attest.Signer](t)(attest.NewSigner(statementKey))
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	return rpctest.Must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
}

func (s *Stage) register(statementKey string, ttl time.Duration) {
	r, now := s.Server.Registrar(), s.Clock.Now
	pb.RegisterDirectoryServiceServer(r, directory.New(directory.Config{Catalog: s.Catalog, CA: s.CA, Judge: s.Pipeline, Now: now}))
	pb.RegisterDepositServiceServer(r, deposit.New(deposit.Config{Catalog: s.Catalog, Blobs: s.Blobs, Pipeline: s.Pipeline, Hub: s.Hub, Now: now}))
	pb.RegisterEvaluationServiceServer(r, evaluation.New(evaluation.Config{Catalog: s.Catalog, Blobs: s.Blobs, Pipeline: s.Pipeline, Hub: s.Hub, Now: now}))
	pb.RegisterRebuildServiceServer(r, rebuilds.New(rebuilds.Config{Catalog: s.Catalog, Pipeline: s.Pipeline, LeaseTTL: ttl, Now: now}))
	pb.RegisterGrantServiceServer(r, grants.New(grants.Config{Catalog: s.Catalog, Reevaluator: s.Pipeline, Now: now}))
	pb.RegisterCustodyServiceServer(r, custody.New(custody.Config{Catalog: s.Catalog, Custodian: s.Pipeline, Now: now}))
	pb.RegisterAttestationServiceServer(r, attestations.New(attestations.Config{
		Catalog: s.Catalog, Log: s.Log, TrustedRoot: s.Root, StatementKey: statementKey, Now: now}))
}

// Start recovers and begins to work on jobs, as a process does at its start.
func (s *Stage) Start(t testing.TB) {
	t.Helper()
	check(t, s.Pipeline.Recover(t.Context()))
	check(t, s.Queue.Start(t.Context(), s.Pipeline.Handlers()))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		check(t, s.Queue.Stop(ctx, 100*time.Millisecond))
	})
}

// Organization registers an organization.
func (s *Stage) Organization(t testing.TB, id string, kind catalog.Kind, country string) resource.Organization {
	t.Helper()
	name := resource.Organization{ID: id}
	check(t, s.Catalog.Update(t.Context(), func(tx *catalog.Tx) error {
		return tx.InsertOrganization(catalog.Organization{Name: name, Kind: kind, Country: country, Created: time.Now()})
	}))
	return name
}

// Connect registers an organization and connects as a member of it.
func (s *Stage) Connect(t testing.TB, id string, kind catalog.Kind, country string) (resource.Organization, *grpc.ClientConn) {
	t.Helper()
	org := s.Organization(t, id, kind, country)
	return org, s.Member(t, org)
}

// Anchor registers a key as a trust anchor of an organization, for one product or for all.
func (s *Stage) Anchor(t testing.TB, org resource.Organization, purpose catalog.Purpose, key *ecdsa.PrivateKey, product *resource.Product) {
	t.Helper()
	signer := rpctest.Must[*attest.Signer](t)(attest.NewSigner(key))
	check(t, s.Catalog.Update(t.Context(), func(tx *catalog.Tx) error {
		return tx.InsertTrustAnchor(catalog.TrustAnchor{ID: "key-" + signer.KeyID()[:12], Organization: org, Purpose: purpose, Product: product,
			Kind: catalog.AnchorPublicKey, Material: signer.PublicKeyPEM(), KeyID: signer.KeyID(), Created: time.Now()})
	}))
}

// Eventually waits until ok is true, for some seconds.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("%s: has not come about", what)
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
