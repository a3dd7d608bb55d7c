package objecttest

import (
	"fmt"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/escrow/blob/object"
	"github.com/countersign-escrow/countersign/escrow/fault"
)

// inSeconds returns the whole second that is n seconds ahead or a little more.
func inSeconds(n int) time.Time {
	return time.Now().UTC().Add(time.Duration(n+1) * time.Second).Truncate(time.Second)
}

func wantLock(t *testing.T, s object.Store, name object.Name, want object.Lock) {
	t.Helper()
	got, err := s.Kept(t.Context(), name)
	must(t, err)
	if !got.Until.Equal(want.Until) || got.Hold != want.Hold {
		t.Fatalf("the lock is %+v, want %+v", got, want)
	}
}

func locksGrow(t *testing.T, b Backend) {
	s := b.New(t)
	name := named("a")
	put(t, s, name, Content("a", 100))
	wantLock(t, s, name, object.Lock{})
	early, late := inSeconds(3600), inSeconds(7200)
	for _, step := range []struct{ keep, want object.Lock }{
		{object.Lock{}, object.Lock{}},
		{object.Lock{Hold: true}, object.Lock{Hold: true}},
		{object.Lock{Until: early, Hold: true}, object.Lock{Until: early, Hold: true}},
		{object.Lock{Until: late}, object.Lock{Until: late}},
		{object.Lock{Until: early}, object.Lock{Until: late}},
		{object.Lock{}, object.Lock{Until: late}},
		{object.Lock{Until: early, Hold: true}, object.Lock{Until: late, Hold: true}},
		{object.Lock{Until: late, Hold: true}, object.Lock{Until: late, Hold: true}},
		{object.Lock{}, object.Lock{Until: late}},
	} {
		must(t, s.Keep(t.Context(), name, step.keep))
		wantLock(t, s, name, step.want)
	}
	wantKind(t, "Delete", s.Delete(t.Context(), name), fault.Precondition)
	WantHeld(t, s, name, Content("a", 100))
}

func lockEnds(t *testing.T, b Backend) {
	s := b.New(t)
	held, dated := named("held"), named("dated")
	until := inSeconds(2)
	for _, name := range []object.Name{held, dated} {
		put(t, s, name, Content("a", 100))
		must(t, s.Keep(t.Context(), name, object.Lock{Until: until, Hold: name == held}))
		wantKind(t, "Delete under a lock", s.Delete(t.Context(), name), fault.Precondition)
		WantHeld(t, s, name, Content("a", 100))
	}
	time.Sleep(time.Until(until) + 300*time.Millisecond)
	must(t, s.Delete(t.Context(), dated))
	wantNone(t, s, dated)
	wantKind(t, "Delete under a hold", s.Delete(t.Context(), held), fault.Precondition)
	must(t, s.Keep(t.Context(), held, object.Lock{}))
	must(t, s.Delete(t.Context(), held))
	wantNone(t, s, held)
}

func locksOutliveAProcess(t *testing.T, b Backend) {
	s := b.New(t)
	put(t, s, named("a"), Content("a", 100))
	lock := object.Lock{Until: inSeconds(3600), Hold: true}
	must(t, s.Keep(t.Context(), named("a"), lock))
	s = b.Reopen(t, s)
	wantLock(t, s, named("a"), lock)
	wantKind(t, "Delete", s.Delete(t.Context(), named("a")), fault.Precondition)
}

func deleteObject(t *testing.T, b Backend) {
	s := b.New(t)
	put(t, s, named("a"), Content("a", 100))
	put(t, s, named("b"), Content("b", 100))
	must(t, s.Delete(t.Context(), named("a")))
	must(t, s.Delete(t.Context(), named("a")))
	wantNone(t, s, named("a"))
	wantNames(t, s, named("b"))
	put(t, s, named("a"), Content("c", 100)) // the name is free again, and without a lock
	WantHeld(t, s, named("a"), Content("c", 100))
	wantLock(t, s, named("a"), object.Lock{})
}

func sweep(t *testing.T, b Backend) {
	s := b.New(t)
	put(t, s, named("whole"), Content("whole", 100))
	for i := range 3 {
		d := begin(t, s, named(fmt.Sprint(i)), -1, 0)
		write(t, d, Content("draft", max(b.PartBytes, 1000)))
		must(t, d.Save(t.Context(), []byte("note")))
		must(t, d.Close())
	}
	open := begin(t, s, named("open"), -1, 0)
	write(t, open, Content("open", 1000))
	must(t, open.Save(t.Context(), []byte("note")))

	wantSwept(t, s, inSeconds(-3600), 0)
	wantUnfinished(t, s, named("0"), int64(max(b.PartBytes, 1000)), "note")
	wantSwept(t, s, inSeconds(3600), 3)
	wantSwept(t, s, inSeconds(3600), 0)
	for i := range 3 {
		wantUnfinished(t, s, named(fmt.Sprint(i)), 0, "")
	}
	must(t, open.Commit(t.Context()))
	WantHeld(t, s, named("open"), Content("open", 1000))
	WantHeld(t, s, named("whole"), Content("whole", 100))
	put(t, s, named("0"), Content("again", 100))
	WantHeld(t, s, named("0"), Content("again", 100))
}

func wantSwept(t *testing.T, s object.Store, since time.Time, want int) {
	t.Helper()
	n, err := s.Sweep(t.Context(), since)
	must(t, err)
	if n != want {
		t.Fatalf("%d drafts were swept, want %d", n, want)
	}
}
