// Package objecttest is the suite that every object.Store passes.
// It knows nothing of how any of them works.
package objecttest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/countersign-escrow/countersign/escrow/blob/object"
	"github.com/countersign-escrow/countersign/escrow/fault"
)

// Backend is one kind of store under test.
type Backend struct {
	// New makes an empty store.
	New func(t *testing.T) object.Store
	// Reopen opens a store again as after a crash of its process: what the former one had in memory is gone, its drafts
	// were neither saved nor closed. The former one is not used afterwards.
	Reopen func(t *testing.T, former object.Store) object.Store
	// Beside opens a store over the same objects as another process would, while the first one goes on.
	Beside func(t *testing.T, first object.Store) object.Store
	// PartBytes is how much is written at once to where the objects are kept; 0 where that has no meaning. Objects of about
	// one and two parts are tried.
	PartBytes int
	// BufferBytes is how much memory one draft may take, whatever is written to it.
	BufferBytes int64
}

// Run runs the suite.
func Run(t *testing.T, b Backend) {
	for name, test := range map[string]func(*testing.T, Backend){
		"put and read":            putAndRead,
		"sizes":                   sizes,
		"nothing there":           nothingThere,
		"invisible until commit":  invisibleUntilCommit,
		"unsaved is lost":         unsavedIsLost,
		"resume after close":      resumeAfterClose,
		"resume after crash":      resumeAfterCrash,
		"notes":                   notes,
		"drop":                    dropDraft,
		"nothing is overwritten":  nothingIsOverwritten,
		"replace":                 replace,
		"one draft at a time":     oneDraftAtATime,
		"two processes":           twoProcesses,
		"large":                   large,
		"locks grow":              locksGrow,
		"lock ends":               lockEnds,
		"locks outlive a process": locksOutliveAProcess,
		"delete":                  deleteObject,
		"names":                   names,
		"sweep":                   sweep,
		"ended context":           endedContext,
		"many at once":            manyAtOnce,
		"ready":                   ready,
	} {
		t.Run(name, func(t *testing.T) { test(t, b) })
	}
}

// Content makes n bytes that look random and are the same each time.
func Content(seed string, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8(sha256.Sum256([]byte(seed))).Read(b) // never fails
	return b
}

func named(s string) object.Name { return object.NameOf(sha256.Sum256([]byte(s))) }

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

// begin begins a draft, which must be at an offset, and closes it when the test ends.
func begin(t *testing.T, s object.Store, name object.Name, size int64, offset int64) object.Draft {
	t.Helper()
	d, err := s.Draft(t.Context(), name, size)
	must(t, err)
	t.Cleanup(func() { _ = d.Close() })
	if at := d.Checkpoint(); at.Offset != offset {
		t.Fatalf("the draft is at %d, want %d", at.Offset, offset)
	}
	return d
}

func write(t *testing.T, d object.Draft, b []byte) {
	t.Helper()
	if n, err := d.Write(b); err != nil || n != len(b) {
		t.Fatalf("wrote %d of %d bytes: %v", n, len(b), err)
	}
}

// put writes an object in uneven pieces.
func put(t *testing.T, s object.Store, name object.Name, content []byte) {
	t.Helper()
	d := begin(t, s, name, int64(len(content)), 0)
	const piece = 300_001
	for rest := content; len(rest) > 0; rest = rest[min(piece, len(rest)):] {
		write(t, d, rest[:min(piece, len(rest))])
	}
	must(t, d.Commit(t.Context()))
	must(t, d.Close())
}

// WantHeld checks that a store holds an object, byte for byte.
func WantHeld(t *testing.T, s object.Store, name object.Name, want []byte) {
	t.Helper()
	o, err := s.Open(t.Context(), name)
	must(t, err)
	defer o.Close() //nolint:errcheck
	got, err := io.ReadAll(io.NewSectionReader(o, 0, o.Size()))
	must(t, err)
	if o.Size() != int64(len(want)) || !bytes.Equal(got, want) {
		t.Fatalf("%d bytes are there (Size says %d), and they are not the %d that were written", len(got), o.Size(), len(want))
	}
}

func wantNone(t *testing.T, s object.Store, name object.Name) {
	t.Helper()
	_, err := s.Open(t.Context(), name)
	wantKind(t, "Open", err, fault.NotFound)
	_, err = s.Kept(t.Context(), name)
	wantKind(t, "Kept", err, fault.NotFound)
}

func wantUnfinished(t *testing.T, s object.Store, name object.Name, offset int64, note string) {
	t.Helper()
	at, err := s.Unfinished(t.Context(), name)
	must(t, err)
	if at.Offset != offset || string(at.Note) != note {
		t.Fatalf("the draft was brought to %d with the note %.40q, want %d and %.40q", at.Offset, at.Note, offset, note)
	}
}

func wantNames(t *testing.T, s object.Store, want ...object.Name) {
	t.Helper()
	got := map[object.Name]int{}
	must(t, s.Names(t.Context(), func(n object.Name) error { got[n]++; return nil }))
	if len(got) != len(want) {
		t.Errorf("%d names, want %d", len(got), len(want))
	}
	for _, n := range want {
		if got[n] != 1 {
			t.Errorf("%s is named %d times", n, got[n])
		}
	}
}

func ready(t *testing.T, b Backend) {
	s := b.New(t)
	must(t, s.Ready(t.Context()))
	wantNames(t, s) // it has left nothing
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Ready(ended); err == nil {
		t.Error("ready in a context that has ended")
	}
}

func names(t *testing.T, b Backend) {
	s := b.New(t)
	wantNames(t, s)
	var all []object.Name
	for i := range 5 {
		n := named(fmt.Sprint(i))
		put(t, s, n, Content(n.String(), 10))
		all = append(all, n)
	}
	d := begin(t, s, named("a draft"), 10, 0)
	write(t, d, Content("x", 5))
	must(t, d.Save(t.Context(), []byte("note")))
	wantNames(t, s, all...)
	stop := fmt.Errorf("enough")
	calls := 0
	if err := s.Names(t.Context(), func(object.Name) error { calls++; return stop }); err != stop || calls != 1 {
		t.Errorf("an error after %d names ended in %v", calls, err)
	}
}
