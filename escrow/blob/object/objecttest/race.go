package objecttest

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/countersign-escrow/countersign/escrow/blob/object"
	"github.com/countersign-escrow/countersign/escrow/fault"
)

func oneDraftAtATime(t *testing.T, b Backend) {
	s := b.New(t)
	first := begin(t, s, named("a"), 5000, 0)
	write(t, first, Content("a", 100))
	_, err := s.Draft(t.Context(), named("a"), 5000)
	wantKind(t, "second draft", err, fault.Aborted)
	must(t, begin(t, s, named("b"), 10, 0).Close()) // another object's
	must(t, first.Save(t.Context(), nil))
	must(t, first.Close())
	second := begin(t, s, named("a"), 5000, 100)
	must(t, first.Close()) // again: must not give up the second draft
	_, err = s.Draft(t.Context(), named("a"), 5000)
	wantKind(t, "third draft", err, fault.Aborted)
	write(t, second, Content("b", 50))
	must(t, second.Commit(t.Context()))
	WantHeld(t, s, named("a"), append(Content("a", 100), Content("b", 50)...))
}

// twoProcesses brings one object about in two stores at the same time, in lockstep and with different bytes.
func twoProcesses(t *testing.T, b Backend) {
	first := b.New(t)
	stores := []object.Store{first, b.Beside(t, first)}
	n := max(b.PartBytes, 100_000) + 17
	contents := [][]byte{Content("one", n), Content("two", n)}
	for _, saves := range []bool{false, true} {
		name := named(fmt.Sprint(saves))
		drafts := draftBoth(t, stores, name)
		for i, d := range drafts {
			if d == nil {
				continue
			}
			write(t, d, contents[i][:n/2])
			if saves {
				_ = d.Save(t.Context(), []byte(fmt.Sprint("of ", i))) // the other one may have won
			}
		}
		winner := commitBoth(t, drafts, contents)
		if winner < 0 {
			continue
		}
		for _, s := range stores {
			WantHeld(t, s, name, contents[winner])
		}
	}
}

// draftBoth begins a draft in each store; nil where it is refused because the other one has one.
func draftBoth(t *testing.T, stores []object.Store, name object.Name) []object.Draft {
	t.Helper()
	drafts := make([]object.Draft, len(stores))
	for i, s := range stores {
		d, err := s.Draft(t.Context(), name, -1)
		if err != nil && (i == 0 || !fault.Is(err, fault.Aborted)) {
			t.Fatalf("store %d: %v", i, err)
		}
		if err == nil {
			drafts[i] = d
			t.Cleanup(func() { _ = d.Close() })
		}
	}
	return drafts
}

// commitBoth writes the second halves, commits the drafts, and returns which one was.
func commitBoth(t *testing.T, drafts []object.Draft, contents [][]byte) (winner int) {
	t.Helper()
	winner = -1
	for i, d := range drafts {
		if d == nil {
			continue
		}
		_, err := d.Write(contents[i][len(contents[i])/2:])
		if err == nil {
			err = d.Commit(t.Context())
		}
		switch {
		case err == nil && winner < 0:
			winner = i
		case err == nil:
			t.Error("both drafts of one name were committed")
		case !fault.Is(err, fault.Exists) && !fault.Is(err, fault.Aborted):
			t.Errorf("draft %d: %v", i, err)
		}
	}
	if winner < 0 {
		t.Error("no draft was committed")
	}
	return winner
}

func manyAtOnce(t *testing.T, b Backend) {
	s := b.New(t)
	const writers, kinds = 24, 6
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			err := putOnce(t.Context(), s, named(fmt.Sprint(i%kinds)), Content(fmt.Sprint(i%kinds), 50_000+i%kinds))
			if err != nil && !fault.Is(err, fault.Aborted) && !fault.Is(err, fault.Exists) {
				t.Errorf("writer %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	var all []object.Name
	for i := range kinds {
		WantHeld(t, s, named(fmt.Sprint(i)), Content(fmt.Sprint(i), 50_000+i))
		all = append(all, named(fmt.Sprint(i)))
	}
	wantNames(t, s, all...)
}

func putOnce(ctx context.Context, s object.Store, name object.Name, content []byte) error {
	d, err := s.Draft(ctx, name, int64(len(content)))
	if err != nil {
		return err
	}
	defer d.Close() //nolint:errcheck
	if _, err := d.Write(content); err != nil {
		return err
	}
	return d.Commit(ctx)
}
