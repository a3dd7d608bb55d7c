package agent

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
)

// fakeFiles is a fake evaluation service that sends 3 bytes at a time and breaks off after each message while breaks last.
type fakeFiles struct {
	content string
	breaks  int
	err     error
	reads   int
}

func (f *fakeFiles) ReadBlob(_ context.Context, req *pb.ReadBlobRequest, _ ...grpc.CallOption) (grpc.ServerStreamingClient[pb.ReadBlobResponse], error) {
	f.reads++
	if f.err != nil {
		return nil, f.err
	}
	s := &fakeStream{rest: f.content[req.GetReadOffset():]}
	if f.breaks > 0 {
		f.breaks--
		s.breakOff = true
	}
	return s, nil
}

type fakeStream struct {
	grpc.ClientStream
	rest     string
	sent     bool
	breakOff bool
}

func (s *fakeStream) Recv() (*pb.ReadBlobResponse, error) {
	if s.breakOff && s.sent {
		return nil, &fault.Error{Kind: fault.Unavailable, Message: "broke off"}
	}
	if s.rest == "" {
		return nil, io.EOF
	}
	n := min(3, len(s.rest))
	part := s.rest[:n]
	s.rest, s.sent = s.rest[n:], true
	return &pb.ReadBlobResponse{Data: []byte(part)}, nil
}

var release = resource.Release{Product: resource.Product{Vendor: resource.Organization{ID: "acme"}, ID: "widget"}, Version: "1.0"}

func open(t *testing.T, c *Cache, d digest.Digest, size int64) (string, error) {
	t.Helper()
	f, err := c.Open(t.Context(), release, d, size)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(b), nil
}

func newCache(t *testing.T, f *fakeFiles) (*Cache, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "files")
	c, err := NewCache(dir, f)
	if err != nil {
		t.Fatal(err)
	}
	return c, dir
}

func TestCacheFetchesOnceAndGoesOn(t *testing.T) {
	f := &fakeFiles{content: "0123456789", breaks: 2}
	c, dir := newCache(t, f)
	d := digest.Of([]byte(f.content))
	for range 3 {
		if got, err := open(t, c, d, 10); err != nil || got != f.content {
			t.Fatalf("%q, %v", got, err)
		}
	}
	if f.reads != 3 {
		t.Errorf("%d reads, want 3: two that broke and one that went on", f.reads)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("%d files in the cache, want 1", len(entries))
	}
}

func TestCacheFetchesAgainWhatWentBad(t *testing.T) {
	f := &fakeFiles{content: "0123456789"}
	c, dir := newCache(t, f)
	d := digest.Of([]byte(f.content))
	if err := os.WriteFile(filepath.Join(dir, d.Hex()), []byte("something else"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := open(t, c, d, -1); err != nil || got != f.content || f.reads != 1 {
		t.Errorf("%q, %v, %d reads", got, err, f.reads)
	}
}

func TestCacheRefuses(t *testing.T) {
	content := "0123456789"
	d := digest.Of([]byte(content))
	for name, c := range map[string]struct {
		files fakeFiles
		size  int64
		want  fault.Kind
		words string
	}{
		"other bytes": {fakeFiles{content: "9876543210"}, 10, fault.Unavailable, "the service sent sha256:"},
		"too many":    {fakeFiles{content: content + content}, 10, fault.Corrupt, "more than the 10 bytes"},
		"wrong size":  {fakeFiles{content: content}, 11, fault.Corrupt, "the manifest says 11"},
		// A grant that ended must not look like a file that was never deposited: that would become a finding.
		"withdrawn": {fakeFiles{err: fault.NoSuch("x")}, 10, fault.Denied, "has the grant ended?"},
		"denied":    {fakeFiles{err: fault.Deniedf("NO_GRANT", "no")}, 10, fault.Denied, "no"},
	} {
		t.Run(name, func(t *testing.T) {
			cache, dir := newCache(t, &c.files)
			if _, err := open(t, cache, d, c.size); !fault.Is(err, c.want) || !strings.Contains(err.Error(), c.words) {
				t.Errorf("got %v", err)
			}
			if left, _ := filepath.Glob(filepath.Join(dir, "fetch-*")); len(left) != 0 {
				t.Errorf("left behind %v", left)
			}
		})
	}
}
