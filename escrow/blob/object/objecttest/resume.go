package objecttest

import (
	"fmt"
	"testing"

	"github.com/countersign-escrow/countersign/escrow/blob/object"
	"github.com/countersign-escrow/countersign/escrow/fault"
)

func unsavedIsLost(t *testing.T, b Backend) {
	s := b.New(t)
	d := begin(t, s, named("a"), 5000, 0)
	write(t, d, Content("a", 2000))
	must(t, d.Close())
	if _, err := d.Write([]byte("x")); err == nil {
		t.Error("a closed draft took a byte")
	}
	if err := d.Save(t.Context(), nil); err == nil {
		t.Error("a closed draft was saved")
	}
	wantUnfinished(t, s, named("a"), 0, "")
	d = begin(t, s, named("a"), 5000, 0)
	write(t, d, Content("b", 3000))
	must(t, d.Commit(t.Context()))
	WantHeld(t, s, named("a"), Content("b", 3000))
}

// steps are the lengths between checkpoints: short ones, and such that parts are filled in several ways.
func steps(b Backend) []int {
	all := []int{100_000, 1, 0, 99_999}
	if p := b.PartBytes; p > 0 {
		all = append(all, p-200_000, p, 17, p+3)
	}
	return all
}

func total(lengths []int) (sum int) {
	for _, n := range lengths {
		sum += n
	}
	return sum
}

func resumeAfterClose(t *testing.T, b Backend) {
	s := b.New(t)
	lengths := steps(b)
	content, at, note := Content("a", total(lengths)), 0, ""
	for i, n := range lengths {
		d := begin(t, s, named("a"), int64(len(content)), int64(at))
		if got := string(d.Checkpoint().Note); got != note {
			t.Fatalf("step %d begins with the note %q, want %q", i, got, note)
		}
		write(t, d, content[at:at+n])
		at, note = at+n, fmt.Sprint("note ", i)
		must(t, d.Save(t.Context(), []byte(note)))
		must(t, d.Close())
		wantUnfinished(t, s, named("a"), int64(at), note)
		wantNone(t, s, named("a"))
	}
	must(t, begin(t, s, named("a"), int64(len(content)), int64(at)).Commit(t.Context()))
	WantHeld(t, s, named("a"), content)
}

func resumeAfterCrash(t *testing.T, b Backend) {
	s := b.New(t)
	lengths := steps(b)
	content, at := Content("a", total(lengths)), 0
	for i, n := range lengths {
		d := begin(t, s, named("a"), -1, int64(at))
		write(t, d, content[at:at+n])
		at += n
		must(t, d.Save(t.Context(), []byte(fmt.Sprint("note ", i))))
		write(t, d, Content("what is lost", 10_000+n/2))
		s = b.Reopen(t, s)
		wantUnfinished(t, s, named("a"), int64(at), fmt.Sprint("note ", i))
		wantNone(t, s, named("a"))
	}
	must(t, begin(t, s, named("a"), -1, int64(at)).Commit(t.Context()))
	WantHeld(t, s, named("a"), content)
}

func notes(t *testing.T, b Backend) {
	s := b.New(t)
	d := begin(t, s, named("a"), 100, 0)
	longest := Content("note", object.MaxNoteBytes)
	for _, note := range [][]byte{nil, []byte("\x00"), longest, []byte("short")} {
		must(t, d.Save(t.Context(), note))
		wantUnfinished(t, s, named("a"), 0, string(note))
	}
	wantKind(t, "too long", d.Save(t.Context(), append(longest, 'x')), fault.Invalid)
	wantUnfinished(t, s, named("a"), 0, "short")
	must(t, d.Commit(t.Context()))
	WantHeld(t, s, named("a"), nil)
}
