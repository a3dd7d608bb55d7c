// Package blobtest is the suite that every blob.Store passes.
// It knows nothing of how any of them works.
package blobtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/escrow/blob"
	"github.com/countersign-escrow/countersign/escrow/blob/object"
	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
)

// Backend is one kind of store under test.
type Backend struct {
	// New makes an empty store.
	New func(t *testing.T) blob.Store
	// Reopen opens the store again as after a crash: what the former one had in memory is gone, its open uploads were
	// never closed.
	Reopen func(t *testing.T, former blob.Store) blob.Store
}

var vendor = resource.Organization{ID: "acme"}

// Run runs the suite.
func Run(t *testing.T, b Backend) {
	for name, test := range map[string]func(*testing.T, Backend){
		"put and read":         putAndRead,
		"nothing there":        nothingThere,
		"holders are apart":    holdersAreApart,
		"invisible until done": invisibleUntilDone,
		"resume after close":   resumeAfterClose,
		"resume after crash":   resumeAfterCrash,
		"another size":         anotherSize,
		"one writer":           oneWriter,
		"wrong digest":         wrongDigest,
		"too many bytes":       tooManyBytes,
		"too few bytes":        tooFewBytes,
		"held already":         heldAlready,
		"survives reopening":   survivesReopening,
		"ended context":        endedContext,
		"many at once":         manyAtOnce,
		"keep":                 keep,
	} {
		t.Run(name, func(t *testing.T) { test(t, b) })
	}
}

// Content makes n bytes that look random and are the same each time.
func Content(seed uint64, n int) []byte {
	var key [32]byte
	copy(key[:], fmt.Sprint(seed))
	b := make([]byte, n)
	_, _ = rand.NewChaCha8(key).Read(b) // never fails
	return b
}

func refOf(b []byte) blob.Ref { return blob.Ref{Holder: vendor, Digest: digest.Of(b)} }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantKind(t *testing.T, what string, err error, k fault.Kind) {
	t.Helper()
	if !fault.Is(err, k) {
		t.Fatalf("%s: %v, want a fault of kind %d", what, err, k)
	}
}

// begin resumes an upload, which must be at an offset, and closes it when the test ends.
func begin(t *testing.T, s blob.Store, ref blob.Ref, size int, offset int64) blob.Upload {
	t.Helper()
	u, err := s.Resume(context.Background(), ref, int64(size))
	must(t, err)
	t.Cleanup(func() { _ = u.Close() })
	if u.Offset() != offset {
		t.Fatalf("the upload is at %d, want %d", u.Offset(), offset)
	}
	return u
}

func write(t *testing.T, u blob.Upload, b []byte) {
	t.Helper()
	before := u.Offset()
	n, err := u.Write(b)
	must(t, err)
	if n != len(b) || u.Offset() != before+int64(n) {
		t.Fatalf("wrote %d of %d bytes, the offset went from %d to %d", n, len(b), before, u.Offset())
	}
}

func wantPartial(t *testing.T, s blob.Store, ref blob.Ref, want int64) {
	t.Helper()
	n, err := s.Partial(context.Background(), ref)
	must(t, err)
	if n != want {
		t.Fatalf("%d bytes are durable, want %d", n, want)
	}
}

// WantHeld checks that a store holds a blob, byte for byte.
func WantHeld(t *testing.T, s blob.Store, ref blob.Ref, want []byte) {
	t.Helper()
	size, err := s.Stat(context.Background(), ref)
	must(t, err)
	b, err := s.Open(context.Background(), ref)
	must(t, err)
	defer b.Close() //nolint:errcheck
	got, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
	must(t, err)
	if !bytes.Equal(got, want) || size != int64(len(want)) {
		t.Fatalf("%d bytes are held (Stat says %d), and they are not the %d that were stored", len(got), size, len(want))
	}
}

func wantNotHeld(t *testing.T, s blob.Store, ref blob.Ref) {
	t.Helper()
	_, err := s.Stat(context.Background(), ref)
	wantKind(t, "Stat", err, fault.NotFound)
	_, err = s.Open(context.Background(), ref)
	wantKind(t, "Open", err, fault.NotFound)
}

func put(t *testing.T, s blob.Store, content []byte) blob.Ref {
	t.Helper()
	ref := refOf(content)
	must(t, blob.Put(context.Background(), s, ref, int64(len(content)), bytes.NewReader(content)))
	return ref
}

func putAndRead(t *testing.T, b Backend) {
	s := b.New(t)
	for _, n := range []int{0, 1, 4096, 3<<20 + 7} {
		content := Content(uint64(n), n)
		WantHeld(t, s, put(t, s, content), content)
	}
	content := Content(1, 100_000)
	open, err := s.Open(context.Background(), put(t, s, content))
	must(t, err)
	defer open.Close() //nolint:errcheck
	part := make([]byte, 1000)
	n, err := open.ReadAt(part, 54_321)
	if err != nil || !bytes.Equal(part[:n], content[54_321:55_321]) {
		t.Errorf("ReadAt in the middle: %d, %v", n, err)
	}
	n, err = open.ReadAt(part, int64(len(content))-10)
	if !errors.Is(err, io.EOF) || !bytes.Equal(part[:n], content[len(content)-10:]) {
		t.Errorf("ReadAt over the end: %d, %v", n, err)
	}
	if n, err := open.ReadAt(part, -1); err == nil {
		t.Errorf("ReadAt before the start: %d, %v", n, err)
	}
}

func nothingThere(t *testing.T, b Backend) {
	s := b.New(t)
	wantNotHeld(t, s, refOf([]byte("never stored")))
	wantPartial(t, s, refOf([]byte("never stored")), 0)
	_, err := s.Resume(context.Background(), refOf([]byte("x")), -1)
	wantKind(t, "negative size", err, fault.Invalid)
}

func holdersAreApart(t *testing.T, b Backend) {
	s := b.New(t)
	content := Content(1, 5000)
	other := blob.Ref{Holder: resource.Organization{ID: "umbrella"}, Digest: digest.Of(content)}
	ref := put(t, s, content)
	wantNotHeld(t, s, other)
	u := begin(t, s, other, len(content), 0)
	write(t, u, content)
	must(t, u.Commit(context.Background()))
	WantHeld(t, s, other, content)
	WantHeld(t, s, ref, content)
}

func invisibleUntilDone(t *testing.T, b Backend) {
	s := b.New(t)
	content := Content(1, 5000)
	u := begin(t, s, refOf(content), len(content), 0)
	write(t, u, content)
	wantNotHeld(t, s, refOf(content))
	must(t, u.Commit(context.Background()))
	WantHeld(t, s, refOf(content), content)
	must(t, u.Commit(context.Background()))
	if _, err := u.Write([]byte("x")); err == nil {
		t.Error("a committed upload took another byte")
	}
	must(t, u.Close())
	must(t, u.Close())
	WantHeld(t, s, refOf(content), content)
	wantPartial(t, s, refOf(content), 0)
}

func resumeAfterClose(t *testing.T, b Backend) {
	s := b.New(t)
	content := Content(1, 300_000)
	ref := refOf(content)
	for at := 0; at < len(content); at += 100_000 {
		u := begin(t, s, ref, len(content), int64(at))
		write(t, u, content[at:at+100_000])
		must(t, u.Close())
		wantPartial(t, s, ref, int64(at)+100_000)
		wantNotHeld(t, s, ref)
		if at == 0 {
			err := blob.Put(context.Background(), s, ref, int64(len(content)), bytes.NewReader(content[:1000]))
			wantKind(t, "Put of less than is there", err, fault.Invalid)
		}
	}
	// Put begins with the first byte, whatever is there already.
	must(t, blob.Put(context.Background(), s, ref, int64(len(content)), bytes.NewReader(content)))
	WantHeld(t, s, ref, content)
}

func resumeAfterCrash(t *testing.T, b Backend) {
	s := b.New(t)
	content := Content(1, 300_000)
	ref := refOf(content)
	write(t, begin(t, s, ref, len(content), 0), content[:123_456])
	s = b.Reopen(t, s)
	wantNotHeld(t, s, ref)
	durable, err := s.Partial(context.Background(), ref)
	must(t, err)
	if durable > 123_456 {
		t.Fatalf("%d bytes are durable, %d were written", durable, 123_456)
	}
	u := begin(t, s, ref, len(content), durable)
	write(t, u, content[durable:])
	must(t, u.Commit(context.Background()))
	WantHeld(t, s, ref, content)
}

func anotherSize(t *testing.T, b Backend) {
	s := b.New(t)
	content := Content(1, 5000)
	u := begin(t, s, refOf(content), 10_000, 0)
	write(t, u, content[:2000])
	must(t, u.Close())
	u = begin(t, s, refOf(content), len(content), 0)
	write(t, u, content)
	must(t, u.Commit(context.Background()))
	WantHeld(t, s, refOf(content), content)
}

func oneWriter(t *testing.T, b Backend) {
	s := b.New(t)
	content := Content(1, 5000)
	first := begin(t, s, refOf(content), len(content), 0)
	write(t, first, content[:100])
	_, err := s.Resume(context.Background(), refOf(content), int64(len(content)))
	wantKind(t, "second writer", err, fault.Aborted)
	write(t, begin(t, s, refOf(content[:99]), 99, 0), content[:99]) // of another blob
	must(t, first.Close())
	if _, err := first.Write(content[100:]); err == nil {
		t.Error("a closed upload took bytes")
	}
	second := begin(t, s, refOf(content), len(content), 100)
	must(t, first.Close()) // again: must not give up the second writer
	_, err = s.Resume(context.Background(), refOf(content), int64(len(content)))
	wantKind(t, "third writer", err, fault.Aborted)
	write(t, second, content[100:])
	must(t, second.Commit(context.Background()))
	WantHeld(t, s, refOf(content), content)
}

func wrongDigest(t *testing.T, b Backend) {
	s := b.New(t)
	content := Content(1, 5000)
	bad := bytes.Clone(content)
	bad[4321] ^= 1
	err := blob.Put(context.Background(), s, refOf(content), int64(len(bad)), bytes.NewReader(bad))
	wantKind(t, "Put", err, fault.Invalid)
	for _, d := range []digest.Digest{digest.Of(content), digest.Of(bad)} {
		if !bytes.Contains([]byte(err.Error()), []byte(d.String())) {
			t.Errorf("the error does not name %s: %v", d, err)
		}
	}
	wantNotHeld(t, s, refOf(content))
	wantNotHeld(t, s, refOf(bad))
	wantPartial(t, s, refOf(content), 0)
	WantHeld(t, s, put(t, s, content), content)
}

func tooManyBytes(t *testing.T, b Backend) {
	s := b.New(t)
	content := Content(1, 5000)
	u := begin(t, s, refOf(content), len(content), 0)
	write(t, u, content[:4000])
	n, err := u.Write(Content(2, 1001))
	wantKind(t, "one byte more than announced", err, fault.Invalid)
	if n != 0 || u.Offset() != 4000 {
		t.Errorf("%d bytes were written, the offset is %d", n, u.Offset())
	}
	write(t, u, content[4000:])
	must(t, u.Commit(context.Background()))
	WantHeld(t, s, refOf(content), content)
}

func tooFewBytes(t *testing.T, b Backend) {
	s := b.New(t)
	content := Content(1, 5000)
	u := begin(t, s, refOf(content), len(content), 0)
	write(t, u, content[:4999])
	wantKind(t, "Commit", u.Commit(context.Background()), fault.Precondition)
	wantNotHeld(t, s, refOf(content))
	write(t, u, content[4999:])
	must(t, u.Commit(context.Background()))
	WantHeld(t, s, refOf(content), content)
}

func heldAlready(t *testing.T, b Backend) {
	s := b.New(t)
	content := Content(1, 5000)
	ref := put(t, s, content)
	put(t, s, content)
	u := begin(t, s, ref, len(content), 5000)
	_, err := u.Write([]byte("x"))
	wantKind(t, "Write", err, fault.Invalid)
	must(t, u.Commit(context.Background()))
	must(t, u.Close())
	_, err = s.Resume(context.Background(), ref, 4999)
	wantKind(t, "another size", err, fault.Invalid)
	WantHeld(t, s, ref, content)
}

func survivesReopening(t *testing.T, b Backend) {
	s := b.New(t)
	content := Content(1, 5000)
	ref := put(t, s, content)
	s = b.Reopen(t, s)
	WantHeld(t, s, ref, content)
	must(t, begin(t, s, ref, len(content), 5000).Commit(context.Background()))
}

func endedContext(t *testing.T, b Backend) {
	s := b.New(t)
	content := Content(1, 5000)
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	err := blob.Put(ended, s, refOf(content), int64(len(content)), bytes.NewReader(content))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Put: %v", err)
	}
	wantNotHeld(t, s, refOf(content))
	// Whoever comes next must not find a writer that is gone.
	WantHeld(t, s, put(t, s, content), content)
}

func keep(t *testing.T, b Backend) {
	s := b.New(t)
	lock := object.Lock{Until: time.Now().Add(time.Hour).Truncate(time.Second)}
	wantKind(t, "of what is not held", s.Keep(context.Background(), refOf([]byte("never stored")), lock), fault.NotFound)
	content := Content(1, 5000)
	ref := put(t, s, content)
	must(t, s.Keep(context.Background(), ref, lock))
	must(t, s.Keep(context.Background(), ref, object.Lock{}))
	WantHeld(t, s, ref, content)
	put(t, s, content)
}

func manyAtOnce(t *testing.T, b Backend) {
	s := b.New(t)
	const writers, kinds = 24, 6
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			content := Content(uint64(i%kinds), 50_000+i%kinds)
			err := blob.Put(context.Background(), s, refOf(content), int64(len(content)), bytes.NewReader(content))
			if err != nil && !fault.Is(err, fault.Aborted) {
				t.Errorf("writer %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	for i := range kinds {
		content := Content(uint64(i), 50_000+i)
		WantHeld(t, s, refOf(content), content)
	}
}
