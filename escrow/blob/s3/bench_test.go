//go:build bench

package s3

import (
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/countersign-escrow/countersign/escrow/blob/s3/miniotest"
)

const (
	rounds    = 5
	fileBytes = 1 << 30
)

// TestBenchDraft writes a file of noise as a draft, in pieces, and with a bare PutObject of the same file, in turn, and prints the
// ratio of the medians.
func TestBenchDraft(t *testing.T) {
	srv := miniotest.Start(t)
	s, cfg := newStore(t, srv)
	bare, err := minio.New(srv.Endpoint, &minio.Options{Creds: credentials.NewStaticV4(srv.AccessKey, srv.SecretKey, ""), Region: "us-east-1"})
	must(t, err)
	path := noise(t)
	var ours, peers []time.Duration
	for i := range rounds {
		name := named(fmt.Sprint(i))
		ours = append(ours, timed(t, path, func(f *os.File) error { return draftFrom(t, s, fmt.Sprint(i), f) }))
		peers = append(peers, timed(t, path, func(f *os.File) error {
			_, err := bare.PutObject(t.Context(), cfg.Bucket, "peer", f, fileBytes, minio.PutObjectOptions{})
			return err
		}))
		must(t, s.Delete(t.Context(), name))
		must(t, s.removeVersions(t.Context(), "peer"))
		t.Logf("round %d: ours %v, peer %v", i+1, ours[i], peers[i])
	}
	a, b := median(ours), median(peers)
	fmt.Printf("BENCH s3-draft ours=%.2fs peer=%.2fs ratio=%.3f aim=-\n", a.Seconds(), b.Seconds(), a.Seconds()/b.Seconds())
}

func draftFrom(t *testing.T, s *Store, name string, r io.Reader) error {
	d := begin(t, s, named(name), 0)
	defer d.Close()
	if _, err := io.CopyBuffer(struct{ io.Writer }{d}, struct{ io.Reader }{r}, make([]byte, 256<<10)); err != nil {
		return err
	}
	return d.Commit(t.Context())
}

func timed(t *testing.T, path string, put func(*os.File) error) time.Duration {
	t.Helper()
	f, err := os.Open(path)
	must(t, err)
	defer f.Close()
	begun := time.Now()
	must(t, put(f))
	return time.Since(begun)
}

func noise(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "noise")
	f, err := os.Create(path)
	must(t, err)
	_, err = io.CopyN(f, rand.Reader, fileBytes)
	must(t, err)
	must(t, f.Close())
	return path
}

func median(d []time.Duration) time.Duration {
	s := slices.Sorted(slices.Values(d))
	return s[len(s)/2]
}
