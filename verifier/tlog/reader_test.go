package tlog

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

func openReader(t *testing.T, dir string, key ed25519.PrivateKey) *Reader {
	t.Helper()
	r, err := OpenReader(dir, origin, key.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestReaderSeesWhatIsPublished(t *testing.T) {
	dir, key := t.TempDir(), newKey(t)
	r := openReader(t, dir, key)
	if _, err := r.Checkpoint(t.Context()); !fault.Is(err, fault.Unavailable) {
		t.Errorf("checkpoint of a log that has not begun: %v", err)
	}
	if n, err := r.Size(t.Context()); n != 0 || err != nil {
		t.Errorf("size of a log that has not begun: %d, %v", n, err)
	}
	l := open(t, dir, key)
	for i := range 300 { // the first tile becomes full, and its partial ones may go, while the reader reads
		entry := fmt.Sprint(i)
		if i%50 != 0 && i < 250 {
			go func() { _, _ = l.Append(context.Background(), []byte(entry)) }() // only there to fill the tile
			continue
		}
		at := mustAppend(t, l, entry)
		leaf := LeafHash([]byte(entry))
		p, err := r.Proof(t.Context(), at)
		if err != nil {
			t.Fatal(err)
		}
		if err := proof.VerifyInclusion(rfc6962.DefaultHasher, p.Index, p.TreeSize, leaf.Bytes(), p.Hashes, p.RootHash); err != nil {
			t.Errorf("entry %d: %v", at, err)
		}
		if index, found, err := r.Find(t.Context(), leaf, 0); err != nil || !found || index != at {
			t.Errorf("Find = %d, %v, %v; want %d", index, found, err, at)
		}
	}
	if _, found, err := r.Find(t.Context(), LeafHash([]byte("not there")), 0); found || err != nil {
		t.Errorf("Find of what is not there: %v, %v", found, err)
	}
	if string(r.ID()) != string(l.ID()) || r.Origin() != l.Origin() {
		t.Error("the reader takes the log for another")
	}
}

func TestReaderRefusesAnotherLog(t *testing.T) {
	dir, key := t.TempDir(), newKey(t)
	shut(t, open(t, dir, key))
	for name, c := range map[string]struct {
		origin string
		public ed25519.PublicKey
		want   fault.Kind
	}{
		"another key":  {origin, newKey(t).Public().(ed25519.PublicKey), fault.Precondition},
		"another name": {"other.test", key.Public().(ed25519.PublicKey), fault.Precondition},
		"no key":       {origin, nil, fault.Invalid},
		"no name":      {"", key.Public().(ed25519.PublicKey), fault.Invalid},
	} {
		if _, err := OpenReader(dir, c.origin, c.public); !fault.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	r := openReader(t, dir, key)
	forged := []byte("log.test\n7\nAAAA\n\n— log.test AAAAAAAA\n")
	if err := os.WriteFile(filepath.Join(dir, "checkpoint"), forged, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Proof(t.Context(), 0); err == nil {
		t.Error("a proof against a checkpoint that nobody signed")
	}
	if _, err := r.Size(t.Context()); err == nil {
		t.Error("a size from a checkpoint that nobody signed")
	}
}

func TestTheNextWriterWaits(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), Origin: origin, Key: newKey(t)}
	first, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := OpenWhenFree(ctx, cfg); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("OpenWhenFree of a log in use: %v", err)
	}
	type result struct {
		log *Log
		err error
	}
	next := make(chan result, 1)
	go func() {
		l, err := OpenWhenFree(context.Background(), cfg)
		next <- result{l, err}
	}()
	mustAppend(t, first, "first")
	select {
	case <-next:
		t.Error("two writers at a time")
	default:
	}
	shut(t, first)
	second := <-next
	if second.err != nil {
		t.Fatal(second.err)
	}
	defer shut(t, second.log)
	if at := mustAppend(t, second.log, "second"); at != 1 {
		t.Errorf("index %d, want 1", at)
	}
	if _, err := OpenWhenFree(t.Context(), Config{Dir: t.TempDir(), Origin: "A B", Key: cfg.Key}); !fault.Is(err, fault.Invalid) {
		t.Errorf("OpenWhenFree waits for what never comes: %v", err)
	}
}

// The lock of a writer that was killed is free.
func TestTheLockOfADeadProcessIsFree(t *testing.T) {
	const dirVar = "TLOG_TEST_LOCK"
	if dir := os.Getenv(dirVar); dir != "" {
		if _, err := lock(dir); err != nil {
			t.Fatal(err)
		}
		fmt.Println("locked")
		select {}
	}
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run", "^TestTheLockOfADeadProcessIsFree$")
	cmd.Env = append(os.Environ(), dirVar+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 7)); err != nil {
		t.Fatal(err)
	}
	if _, err := lock(dir); !fault.Is(err, fault.Precondition) {
		t.Errorf("the lock of a living process: %v", err)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait() // it was killed
	unlock, err := lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	_ = unlock()
}
