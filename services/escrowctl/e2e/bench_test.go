//go:build bench

package e2e_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/countersign-escrow/countersign/escrow/blob/s3/miniotest"
	"github.com/countersign-escrow/countersign/escrow/catalog/pgtest"
)

// Depositing a file of 1 GiB in a service that keeps it in MinIO, against a bare PutObject of that file into the same
// server. Both end when the server says that it has it. ROUNDS and SIZE_MIB may say otherwise.
func TestBenchS3(t *testing.T) {
	rounds, size := numberOf("ROUNDS", 5), int64(numberOf("SIZE_MIB", 1024))<<20
	server := miniotest.Start(t)
	c := benchCluster(t, server)
	peer := newPeer(t, server)
	noise := c.path("noise/widget")
	c.write("noise/widget", "")
	fillNoise(t, noise, size)

	var ours, theirs []time.Duration
	for round := range rounds {
		c.round(round, noise)
		ours = append(ours, timed(func() { c.ctl("noise", "--profile", c.path("acme0"), "release", "submit", "release.yaml") }))
		theirs = append(theirs, timed(func() { peer.put(t, noise) }))
		fmt.Fprintf(os.Stderr, "round %d: ours %s, peer %s\n", round+1, ours[round], theirs[round])
	}
	mine, other := medianOf(ours), medianOf(theirs)
	fmt.Printf("BENCH upload-1GiB-s3 ours=%.2fs peer=%.2fs ratio=%.3f aim=1.15\n", mine.Seconds(), other.Seconds(), mine.Seconds()/other.Seconds())
}

func numberOf(variable string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(variable)); err == nil {
		return n
	}
	return otherwise
}

func timed(f func()) time.Duration {
	begun := time.Now()
	f()
	return time.Since(begun)
}

func medianOf(all []time.Duration) time.Duration {
	all = slices.Sorted(slices.Values(all))
	return all[len(all)/2]
}

// benchCluster is a service of one process over PostgreSQL and MinIO.
func benchCluster(t *testing.T, server *miniotest.Server) *cluster {
	c := &cluster{crash: &crash{T: t, dir: t.TempDir(), receipts: map[string][]byte{}}}
	c.database = pgtest.StartOwn(t, pgtest.Options{Durable: true}).URL(t)
	c.addresses = []string{freeAddress(t)}
	bucket := c.bucketIn(server)
	p := &process{name: "one", role: clusterAPI + "," + clusterWorker, config: c.path("one.yaml")}
	c.write("one.yaml", fmt.Sprintf(clusterConfig, c.addresses[0], c.database, bucket, "one", "/nonexistent"))
	c.processes = []*process{p}
	c.escrowd("keys", "create", "--config", p.config)
	c.escrowd("bucket", "create", "--config", p.config)
	t.Cleanup(c.killAll)
	c.startProcess(p)
	c.enrol()
	return c
}

// round makes the noise another, as what is held is not sent again, and signs a release of it.
func (c *cluster) round(n int, noise string) {
	c.Helper()
	f, err := os.OpenFile(noise, os.O_WRONLY, 0)
	if err != nil {
		c.Fatal(err)
	}
	if _, err := fmt.Fprintf(f, "round %d", n); err != nil {
		c.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		c.Fatal(err)
	}
	if err := f.Close(); err != nil {
		c.Fatal(err)
	}
	c.write("noise/release.yaml", fmt.Sprintf(crashRelease, strconv.Itoa(n+1), c.path("src.tar"), c.path("env.oci.tar")))
	c.ctl("noise", "sign", "release.yaml", "--key", c.path("release.key"))
}

func fillNoise(t *testing.T, name string, size int64) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(f, rand.NewChaCha8([32]byte{}), size); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// peer is what everybody would write who only wants a file in a bucket.
type peer struct{ *minio.Client }

func newPeer(t *testing.T, server *miniotest.Server) peer {
	t.Helper()
	c, err := minio.New(server.Endpoint, &minio.Options{Creds: credentials.NewStaticV4(server.AccessKey, server.SecretKey, "")})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.MakeBucket(t.Context(), "plain", minio.MakeBucketOptions{}); err != nil {
		t.Fatal(err)
	}
	return peer{c}
}

func (p peer) put(t *testing.T, name string) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.PutObject(t.Context(), "plain", "noise", f, info.Size(), minio.PutObjectOptions{}); err != nil {
		t.Fatal(err)
	}
}
