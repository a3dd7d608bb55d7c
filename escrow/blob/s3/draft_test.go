package s3

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/countersign-escrow/countersign/escrow/blob/object"
	"github.com/countersign-escrow/countersign/escrow/blob/object/objecttest"
	"github.com/countersign-escrow/countersign/escrow/blob/s3/miniotest"
	"github.com/countersign-escrow/countersign/escrow/fault"
)

func named(s string) object.Name { return object.NameOf(sha256.Sum256([]byte(s))) }

func begin(t testing.TB, s object.Store, name object.Name, offset int) object.Draft {
	t.Helper()
	d, err := s.Draft(context.Background(), name, -1)
	must(t, err)
	t.Cleanup(func() { d.Close() })
	if at := d.Checkpoint().Offset; at != int64(offset) {
		t.Fatalf("the draft is at %d, want %d", at, offset)
	}
	return d
}

func write(t testing.TB, d object.Draft, b []byte) {
	t.Helper()
	if _, err := d.Write(b); err != nil {
		t.Fatal(err)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantKind(t *testing.T, err error, k fault.Kind, text string) {
	t.Helper()
	if !fault.Is(err, k) || !strings.Contains(err.Error(), text) {
		t.Fatalf("%v; want a fault of kind %d with %q", err, k, text)
	}
}

// versions counts the versions under a prefix, delete markers too.
func versions(t *testing.T, s *Store, prefix string) (n int) {
	t.Helper()
	for o := range s.core.ListObjectsIter(t.Context(), s.bucket, minio.ListObjectsOptions{Prefix: prefix, WithVersions: true, Recursive: true}) {
		must(t, o.Err)
		n++
	}
	return n
}

func uploads(t *testing.T, s *Store, name object.Name) (n int) {
	t.Helper()
	for u := range s.core.ListIncompleteUploads(t.Context(), s.bucket, s.objectKey(name), true) {
		must(t, u.Err)
		n++
	}
	return n
}

func versionsDoNotPileUp(t *testing.T, srv *miniotest.Server) {
	s, _ := newStore(t, srv)
	content := objecttest.Content("a", 2*firstPartBytes+1)
	d := begin(t, s, named("a"), 0)
	for i := range 20 {
		write(t, d, content[i*len(content)/20:(i+1)*len(content)/20])
		must(t, d.Save(t.Context(), []byte(fmt.Sprint(i))))
		if n := versions(t, s, draftsFolder); n != 1 {
			t.Fatalf("%d versions of one sidecar after checkpoint %d", n, i)
		}
	}
	must(t, d.Commit(t.Context()))
	must(t, d.Close())
	objecttest.WantHeld(t, s, named("a"), content)
	d = begin(t, s, named("b"), 0)
	write(t, d, content)
	must(t, d.Save(t.Context(), nil))
	must(t, d.Drop(t.Context()))
	must(t, s.Delete(t.Context(), named("a")))
	must(t, s.Ready(t.Context()))
	if n := versions(t, s, ""); n != 0 {
		t.Errorf("%d versions are left of nothing", n)
	}
	if n := uploads(t, s, named("b")); n != 0 {
		t.Errorf("%d uploads are left of nothing", n)
	}
}

// A checkpoint may come at any offset and as often as it likes: parts never get too small for S3, nor too many.
func TestPartSizes(t *testing.T) {
	if firstPartBytes/shortest < 5<<20 {
		t.Error("a part may become smaller than 5 MiB")
	}
	sum := int64(0)
	for n := 1; n <= maxParts; n++ {
		sum += int64(partBytes(n))
	}
	if sum != maxObjectBytes || sum < 4<<40 || partBytes(maxParts) != maxPartBytes || maxPartBytes > 5<<30 {
		t.Errorf("%d bytes in %d parts, the largest of %d", sum, maxParts, partBytes(maxParts))
	}
}

func TestServerKilledInTheMiddle(t *testing.T) {
	srv := miniotest.Start(t)
	s, cfg := newStore(t, srv)
	content := objecttest.Content("a", 4*firstPartBytes+12345)
	d := begin(t, s, named("a"), 0)
	const saved = 2*firstPartBytes + 999
	write(t, d, content[:saved])
	must(t, d.Save(t.Context(), []byte("two parts")))
	write(t, d, content[saved:3*firstPartBytes])

	srv.Kill()
	wantKind(t, d.Save(t.Context(), nil), fault.Unavailable, "see that the S3 server at "+srv.Endpoint+" runs")
	_, err := s.Open(t.Context(), named("a"))
	wantKind(t, err, fault.Unavailable, cfg.Bucket)
	must(t, d.Close())
	srv.Restart()

	s = open(t, cfg) // another process
	d = begin(t, s, named("a"), saved)
	if note := string(d.Checkpoint().Note); note != "two parts" {
		t.Fatalf("the note is %q", note)
	}
	write(t, d, content[saved:])
	must(t, d.Commit(t.Context()))
	objecttest.WantHeld(t, s, named("a"), content)
}

// What is open when a server restarts goes on.
func TestServerRestarts(t *testing.T) {
	srv := miniotest.Start(t)
	s, _ := newStore(t, srv)
	content := objecttest.Content("a", 3*firstPartBytes)
	d := begin(t, s, named("a"), 0)
	write(t, d, content[:2*firstPartBytes])
	must(t, d.(*draft).parts.wait())
	srv.Restart() // its connections are gone
	write(t, d, content[2*firstPartBytes:])
	must(t, d.Commit(t.Context()))
	objecttest.WantHeld(t, s, named("a"), content)

	o, err := s.Open(t.Context(), named("a"))
	must(t, err)
	defer o.Close()
	got := make([]byte, len(content))
	const step = 1 << 20
	for at := 0; at < len(got); at += step {
		if at == 5*step {
			srv.Restart()
		}
		_, err := o.ReadAt(got[at:at+step], int64(at))
		must(t, err)
	}
	if !bytes.Equal(got, content) {
		t.Error("other bytes were read")
	}
}

func memoryIsFlat(t *testing.T, srv *miniotest.Server) {
	s, _ := newStore(t, srv)
	const size, step = 200 << 20, 1 << 20
	block := objecttest.Content("block", step)
	d := begin(t, s, named("a"), 0)
	before, peak := heap(), int64(0)
	for at := 0; at < size; at += step {
		write(t, d, block)
		if at%(8*step) == 0 {
			peak = max(peak, heap()-before)
		}
	}
	must(t, d.Commit(t.Context()))
	t.Logf("peak %d MiB for %d MiB of unknown size", peak>>20, size>>20)
	if peak > (inFlight+1)*firstPartBytes+4<<20 {
		t.Errorf("%d MiB were in memory", peak>>20)
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestSweepFindsOrphans(t *testing.T) {
	srv := miniotest.Start(t)
	s, cfg := newStore(t, srv)
	d := begin(t, s, named("a"), 0)
	write(t, d, objecttest.Content("a", firstPartBytes+1)) // begins an upload that no checkpoint knows of
	must(t, d.(*draft).parts.wait())
	srv.Restart() // MinIO lists from memory what was begun since its start
	s = open(t, cfg)
	if n := uploads(t, s, named("a")); n != 1 {
		t.Fatalf("%d uploads, want the one that was begun", n)
	}
	n, err := s.Sweep(t.Context(), time.Now().Add(-time.Hour))
	if err != nil || n != 0 || uploads(t, s, named("a")) != 1 {
		t.Fatalf("%d drafts were swept before their time: %v", n, err)
	}
	if n, err = s.Sweep(t.Context(), time.Now().Add(time.Hour)); err != nil || n != 1 {
		t.Fatalf("%d drafts were swept: %v", n, err)
	}
	if uploads(t, s, named("a")) != 0 || versions(t, s, "") != 0 {
		t.Error("something is left")
	}
}

// The last part of a draft is overwritten by a process that was thought dead: nothing wrong is committed, and the name is free.
func spoiltByAnother(t *testing.T, srv *miniotest.Server) {
	s, cfg := newStore(t, srv)
	d := begin(t, s, named("a"), 0)
	write(t, d, objecttest.Content("first", firstPartBytes))
	must(t, d.Save(t.Context(), nil))
	other := begin(t, open(t, cfg), named("a"), firstPartBytes)
	write(t, d, objecttest.Content("one", firstPartBytes))
	must(t, d.Save(t.Context(), nil))
	write(t, other, objecttest.Content("two", firstPartBytes))
	must(t, other.(*draft).parts.wait())
	wantKind(t, other.Save(t.Context(), nil), fault.Aborted, "another process")
	wantKind(t, d.Commit(t.Context()), fault.Aborted, "another process")
	must(t, d.Close())
	must(t, other.Close())
	content := objecttest.Content("again", 2*firstPartBytes)
	d = begin(t, s, named("a"), 0)
	write(t, d, content)
	must(t, d.Commit(t.Context()))
	objecttest.WantHeld(t, s, named("a"), content)
}

// The loser of a race must not abort what the winner goes on with.
func loserLeavesTheUploadAlone(t *testing.T, srv *miniotest.Server) {
	s, cfg := newStore(t, srv)
	content := objecttest.Content("a", 2*firstPartBytes)
	d := begin(t, s, named("a"), 0)
	write(t, d, content[:firstPartBytes])
	must(t, d.Save(t.Context(), nil))
	other := begin(t, open(t, cfg), named("a"), firstPartBytes)
	write(t, other, content[firstPartBytes:])
	must(t, other.Save(t.Context(), nil))
	must(t, d.Drop(t.Context()))
	must(t, other.Commit(t.Context()))
	objecttest.WantHeld(t, s, named("a"), content)
}

func lostAnswers(t *testing.T, srv *miniotest.Server) {
	p, cfg := newProxy(t, srv)
	s, err := CreateBucket(t.Context(), cfg)
	must(t, err)
	isComplete := func(r *http.Request) bool { return r.Method == http.MethodPost && r.URL.Query().Has("uploadId") }
	isPut := func(folder string) func(*http.Request) bool {
		return func(r *http.Request) bool {
			return r.Method == http.MethodPut && strings.Contains(r.URL.Path, folder) && r.URL.RawQuery == ""
		}
	}
	for what, test := range map[string]struct {
		size int
		lose func(*http.Request) bool
	}{
		"of complete":     {2 * firstPartBytes, isComplete},
		"of a small put":  {1000, isPut(objectsFolder)},
		"of a checkpoint": {2 * firstPartBytes, isPut(draftsFolder)},
		"of a part": {2 * firstPartBytes, func(r *http.Request) bool {
			return r.Method == http.MethodPut && r.URL.Query().Has("partNumber")
		}},
	} {
		t.Run(what, func(t *testing.T) {
			content := objecttest.Content(what, test.size)
			d := begin(t, s, named(what), 0)
			p.loseNext(1, test.lose)
			write(t, d, content)
			if test.size > 1000 {
				must(t, d.Save(t.Context(), nil))
			}
			must(t, d.Commit(t.Context()))
			if p.losses() != 1 {
				t.Error("no answer was lost")
			}
			objecttest.WantHeld(t, s, named(what), content)
			d = begin(t, s, named(what+"2"), 0)
			must(t, d.Close())
			if n := versions(t, s, draftsFolder); n != 0 {
				t.Errorf("%d versions of sidecars are left", n)
			}
		})
	}
}

// A process dies between the server's commit and the removal of its sidecar.
func committedSidecarLeft(t *testing.T, srv *miniotest.Server) {
	s, cfg := newStore(t, srv)
	content := objecttest.Content("a", firstPartBytes)
	d := begin(t, s, named("a"), 0).(*draft)
	write(t, d, content)
	must(t, d.Save(t.Context(), []byte("note")))
	var opts minio.PutObjectOptions
	_, err := d.make(t.Context(), opts)
	must(t, err)
	s = open(t, cfg)
	at, err := s.Unfinished(t.Context(), named("a"))
	if err != nil || at.Offset != 0 {
		t.Errorf("a draft at %d (%v), though it is committed", at.Offset, err)
	}
	again := begin(t, s, named("a"), 0)
	write(t, again, content)
	wantKind(t, again.Commit(t.Context()), fault.Exists, "exists")
	if versions(t, s, draftsFolder) != 0 || versions(t, s, objectsFolder) != 1 || uploads(t, s, named("a")) != 0 {
		t.Error("more is left than the object")
	}
	objecttest.WantHeld(t, s, named("a"), content)
}
