package tlog

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/client"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
)

const origin = "log.test"

func newKey(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func open(t testing.TB, dir string, key ed25519.PrivateKey) *Log {
	t.Helper()
	l, err := Open(t.Context(), Config{Dir: dir, Origin: origin, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shut(t, l) })
	return l
}

func shut(t testing.TB, l *Log) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := l.Close(ctx); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func mustAppend(t testing.TB, l *Log, entry string) uint64 {
	t.Helper()
	i, err := l.Append(t.Context(), []byte(entry))
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func checkProof(t testing.TB, l *Log, index uint64, entry []byte) {
	t.Helper()
	p, err := l.Proof(t.Context(), index)
	if err != nil {
		t.Error(err)
		return
	}
	leaf := LeafHash(entry)
	if err := proof.VerifyInclusion(rfc6962.DefaultHasher, p.Index, p.TreeSize, leaf.Bytes(), p.Hashes, p.RootHash); err != nil {
		t.Errorf("entry %d: %v", index, err)
	}
}

func TestAppendIsCoveredWhenItReturns(t *testing.T) {
	l := open(t, t.TempDir(), newKey(t))
	var all sync.WaitGroup
	var mu sync.Mutex
	seen := make(map[uint64]bool)
	for i := range 300 { // more than one tile and one batch
		all.Go(func() {
			entry := fmt.Appendf(nil, "entry %d", i)
			at, err := l.Append(t.Context(), entry)
			if err != nil {
				t.Error(err)
				return
			}
			checkProof(t, l, at, entry)
			mu.Lock()
			defer mu.Unlock()
			if seen[at] {
				t.Errorf("index %d given twice", at)
			}
			seen[at] = true
		})
	}
	all.Wait()
	if len(seen) != 300 {
		t.Errorf("%d entries, want 300", len(seen))
	}
}

func TestReopenGoesOn(t *testing.T) {
	dir, key := t.TempDir(), newKey(t)
	l := open(t, dir, key)
	mustAppend(t, l, "first")
	shut(t, l)
	if _, err := l.Append(t.Context(), []byte("late")); !fault.Is(err, fault.Unavailable) {
		t.Errorf("Append after Close: %v", err)
	}
	l = open(t, dir, key)
	if at := mustAppend(t, l, "second"); at != 1 {
		t.Errorf("index %d after reopening, want 1", at)
	}
	checkProof(t, l, 0, []byte("first"))
}

func TestCloseWaitsForAppends(t *testing.T) {
	l := open(t, t.TempDir(), newKey(t))
	began, ended := make(chan struct{}), make(chan error)
	go func() {
		close(began)
		_, err := l.Append(context.Background(), []byte("in flight"))
		ended <- err
	}()
	<-began
	for size(l) == 0 {
		time.Sleep(time.Millisecond)
	}
	go shut(t, l)
	if err := <-ended; err != nil {
		t.Errorf("an append under way at Close: %v", err)
	}
}

// size returns how many entries are in the tree, published or not.
func size(l *Log) uint64 {
	n, err := l.tree.IntegratedSize(context.Background())
	if err != nil {
		return 0
	}
	return n
}

// A Close that may not wait still ends, and ends those who wait.
func TestCloseInAHurry(t *testing.T) {
	l := open(t, t.TempDir(), newKey(t))
	ended := make(chan error, 8)
	for range cap(ended) {
		go func() {
			_, err := l.Append(context.Background(), []byte("in flight"))
			ended <- err
		}()
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := l.Close(ctx); err == nil {
		t.Log("there was nothing to wait for")
	}
	for range cap(ended) {
		<-ended // in the log or not: Find will tell
	}
}

func TestFindAfterCrash(t *testing.T) {
	dir, key := t.TempDir(), newKey(t)
	l := open(t, dir, key)
	for i := range 10 {
		mustAppend(t, l, fmt.Sprint(i))
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond) // the caller goes away in the middle of its append
	defer cancel()
	if _, err := l.Append(ctx, []byte("orphan")); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("Append whose context has ended: %v", err)
	}
	for size(l) < 11 {
		time.Sleep(time.Millisecond)
	}
	crash(t, l)

	l = open(t, dir, key)
	at, found, err := l.Find(t.Context(), LeafHash([]byte("orphan")), 5)
	if err != nil || !found || at != 10 {
		t.Fatalf("Find = %d, %v, %v; want 10", at, found, err)
	}
	checkProof(t, l, at, []byte("orphan"))
	if _, found, err := l.Find(t.Context(), LeafHash([]byte("4")), 5); err != nil || found {
		t.Errorf("Find looked before the index to begin at: %v, %v", found, err)
	}
	if at, found, err := l.Find(t.Context(), LeafHash([]byte("7")), 0); err != nil || !found || at != 7 {
		t.Errorf("Find = %d, %v, %v; want 7", at, found, err)
	}
	if _, found, err := l.Find(t.Context(), digest.Of(nil), 1<<40); err != nil || found {
		t.Errorf("Find beyond the end: %v, %v", found, err)
	}
}

// crash ends a log's work without the shutdown that Close does.
func crash(t *testing.T, l *Log) {
	t.Helper()
	l.cancel()
	l.wait.stop()
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	if err := l.unlock(); err != nil {
		t.Fatal(err)
	}
}

func TestOneAtATime(t *testing.T) {
	dir, key := t.TempDir(), newKey(t)
	l := open(t, dir, key)
	if _, err := Open(t.Context(), Config{Dir: dir, Origin: origin, Key: key}); !fault.Is(err, fault.Precondition) {
		t.Errorf("second Open: %v", err)
	}
	shut(t, l)
	open(t, dir, key)
}

func TestRefuses(t *testing.T) {
	dir, key := t.TempDir(), newKey(t)
	shut(t, open(t, dir, key))
	for name, c := range map[string]struct {
		cfg  Config
		kind fault.Kind
	}{
		"another key":       {Config{Dir: dir, Origin: origin, Key: newKey(t)}, fault.Precondition},
		"another name":      {Config{Dir: dir, Origin: "other.test", Key: key}, fault.Precondition},
		"a URL as name":     {Config{Dir: t.TempDir(), Origin: "https://log.test", Key: key}, fault.Invalid},
		"upper case":        {Config{Dir: t.TempDir(), Origin: "Log.test", Key: key}, fault.Invalid},
		"a port":            {Config{Dir: t.TempDir(), Origin: "log.test:443", Key: key}, fault.Invalid},
		"no name":           {Config{Dir: t.TempDir(), Key: key}, fault.Invalid},
		"no key":            {Config{Dir: t.TempDir(), Origin: origin}, fault.Invalid},
		"a truncated key":   {Config{Dir: t.TempDir(), Origin: origin, Key: key[:63]}, fault.Invalid},
		"two names in one":  {Config{Dir: t.TempDir(), Origin: "a+b", Key: key}, fault.Invalid},
		"a name with a gap": {Config{Dir: t.TempDir(), Origin: "a b", Key: key}, fault.Invalid},
	} {
		if l, err := Open(t.Context(), c.cfg); !fault.Is(err, c.kind) {
			t.Errorf("%s: %v", name, err)
			if err == nil {
				shut(t, l)
			}
		}
	}
	l := open(t, dir, key)
	for _, n := range []int{0, MaxEntryBytes + 1} {
		if _, err := l.Append(t.Context(), make([]byte, n)); !fault.Is(err, fault.Invalid) {
			t.Errorf("entry of %d bytes: %v", n, err)
		}
	}
	if _, err := l.Proof(t.Context(), 0); !fault.Is(err, fault.NotFound) {
		t.Errorf("proof from an empty log: %v", err)
	}
}

// The files that the log serves are read by somebody else's client, with nothing but the folder and the public key.
func TestFolderIsTiles(t *testing.T) {
	l := open(t, t.TempDir(), newKey(t))
	entries := make([][]byte, 5)
	for i := range entries {
		entries[i] = fmt.Appendf(nil, "entry %d", i)
		mustAppend(t, l, string(entries[i]))
	}
	files := client.FileFetcher{Root: l.Dir()}
	cp, _, _, err := client.FetchCheckpoint(t.Context(), files.ReadCheckpoint, l.key.verifier, l.Origin())
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := client.GetEntryBundle(t.Context(), files.ReadEntryBundle, 0, cp.Size)
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range bundle.Entries {
		if !bytes.Equal(e, entries[i]) {
			t.Errorf("entry %d is %q", i, e)
		}
	}
	f, err := os.Open(filepath.Join(l.Dir(), "checkpoint"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	onDisk, err := io.ReadAll(f)
	if got, err2 := l.Checkpoint(t.Context()); err != nil || err2 != nil || !bytes.Equal(got, onDisk) {
		t.Errorf("Checkpoint is not the file: %v, %v", err, err2)
	}
}

func FuzzCheckpoint(f *testing.F) {
	k, err := newNoteKey(origin, newKey(f).Public().(ed25519.PublicKey))
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte("log.test\n1\nAAAA\n\n— log.test AAAA\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := k.parse(b); err == nil {
			t.Errorf("a checkpoint nobody signed: %q", b)
		}
	})
}
