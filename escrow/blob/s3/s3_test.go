package s3

import (
	"bytes"
	"context"
	"crypto/rand"
	"net/http"
	"strings"
	"testing"

	"github.com/countersign-escrow/countersign/escrow/blob"
	"github.com/countersign-escrow/countersign/escrow/blob/blobtest"
	"github.com/countersign-escrow/countersign/escrow/blob/object"
	"github.com/countersign-escrow/countersign/escrow/blob/object/objecttest"
	"github.com/countersign-escrow/countersign/escrow/blob/s3/miniotest"
	"github.com/countersign-escrow/countersign/escrow/blob/seal/sealtest"
)

func configOf(srv *miniotest.Server) Config {
	return Config{Endpoint: srv.Endpoint, AccessKey: srv.AccessKey, SecretKey: srv.SecretKey, PlainHTTPUnsafe: true,
		Bucket: "bucket-" + strings.ToLower(rand.Text())}
}

// newStore makes a bucket on a server.
func newStore(t testing.TB, srv *miniotest.Server) (*Store, Config) {
	t.Helper()
	cfg := configOf(srv)
	s, err := CreateBucket(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s, cfg
}

func open(t testing.TB, cfg Config) *Store {
	t.Helper()
	s, err := Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func suite(t *testing.T, srv *miniotest.Server) {
	configs := map[object.Store]Config{}
	again := func(t *testing.T, former object.Store) object.Store {
		cfg := configs[former]
		s := open(t, cfg)
		configs[s] = cfg
		return s
	}
	objecttest.Run(t, objecttest.Backend{
		New: func(t *testing.T) object.Store {
			s, cfg := newStore(t, srv)
			configs[s] = cfg
			return s
		},
		Reopen: again, Beside: again, PartBytes: firstPartBytes, BufferBytes: (inFlight + 1) * firstPartBytes,
	})
}

// TestOnOneServer runs what leaves the server as it is: a server takes a while to start.
func TestOnOneServer(t *testing.T) {
	srv := miniotest.Start(t)
	for name, test := range map[string]func(*testing.T, *miniotest.Server){
		"suite":                        suite,
		"sealed":                       sealed,
		"versions do not pile up":      versionsDoNotPileUp,
		"memory is flat":               memoryIsFlat,
		"spoilt by another":            spoiltByAnother,
		"loser leaves the upload":      loserLeavesTheUploadAlone,
		"lost answers":                 lostAnswers,
		"committed, sidecar left":      committedSidecarLeft,
		"server refuses":               serverRefuses,
		"unfit buckets":                unfitBuckets,
		"prefix":                       prefix,
		"documented rights are enough": documentedRights,
		"damage is corrupt":            damageIsCorrupt,
		"sequential reads":             sequentialReads,
		"keys from the environment":    keysFromTheEnvironment,
	} {
		t.Run(name, func(t *testing.T) { test(t, srv) })
	}
}

// sequentialReads counts the requests that reading takes.
func sequentialReads(t *testing.T, srv *miniotest.Server) {
	p, cfg := newProxy(t, srv)
	s, err := CreateBucket(t.Context(), cfg)
	must(t, err)
	content := objecttest.Content("a", 3<<20)
	put(t, s, named("a"), content)
	gets := 0
	p.loseNext(1, func(r *http.Request) bool {
		if r.Method == http.MethodGet {
			gets++
		}
		return false
	})
	o, err := s.Open(t.Context(), named("a"))
	must(t, err)
	defer o.Close()
	got := make([]byte, 0, len(content))
	for at := 0; at < len(content); at += 64 << 10 {
		piece := make([]byte, 64<<10)
		if _, err := o.ReadAt(piece, int64(at)); err != nil {
			t.Fatal(err)
		}
		got = append(got, piece...)
	}
	if !bytes.Equal(got, content) {
		t.Error("other bytes came")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if gets != 2 { // the first read knows nothing of the second
		t.Errorf("%d requests for reads that follow one another", gets)
	}
}

// sealed runs the suite of blob stores over sealed objects in a bucket.
func sealed(t *testing.T, srv *miniotest.Server) {
	type place struct {
		cfg     Config
		records *sealtest.Records
	}
	places := map[blob.Store]place{}
	at := func(t *testing.T, p place) blob.Store {
		s := sealtest.Over(open(t, p.cfg), p.records)
		places[s] = p
		return s
	}
	blobtest.Run(t, blobtest.Backend{
		New: func(t *testing.T) blob.Store {
			_, cfg := newStore(t, srv)
			return at(t, place{cfg, &sealtest.Records{}})
		},
		Reopen: func(t *testing.T, former blob.Store) blob.Store { return at(t, places[former]) },
	})
}

func keysFromTheEnvironment(t *testing.T, srv *miniotest.Server) {
	s, cfg := newStore(t, srv)
	put(t, s, named("a"), []byte("content"))
	cfg.AccessKey, cfg.SecretKey = "", ""
	t.Setenv("AWS_ACCESS_KEY_ID", srv.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", srv.SecretKey)
	objecttest.WantHeld(t, open(t, cfg), named("a"), []byte("content"))
}
