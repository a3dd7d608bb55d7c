package faulty_test

import (
	"crypto/sha256"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/escrow/blob/object"
	"github.com/countersign-escrow/countersign/escrow/blob/object/faulty"
	"github.com/countersign-escrow/countersign/escrow/blob/object/objecttest"
	"github.com/countersign-escrow/countersign/escrow/blob/seal/sealtest"
	"github.com/countersign-escrow/countersign/escrow/fault"
)

func named(s string) object.Name { return object.NameOf(sha256.Sum256([]byte(s))) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func begin(t *testing.T, s object.Store, name object.Name) object.Draft {
	t.Helper()
	d, err := s.Draft(t.Context(), name, -1)
	must(t, err)
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func put(t *testing.T, s object.Store, name object.Name, content []byte) {
	t.Helper()
	d := begin(t, s, name)
	_, err := d.Write(content)
	must(t, err)
	must(t, d.Commit(t.Context()))
	must(t, d.Close())
}

func wantUnavailable(t *testing.T, err error) {
	t.Helper()
	if !fault.Is(err, fault.Unavailable) {
		t.Fatalf("%v, want fault.Unavailable", err)
	}
}

func TestRefusedCommit(t *testing.T) {
	inner := sealtest.Folder(t)
	s := faulty.New(inner, faulty.Nth(faulty.Commit, 1, faulty.Refuse))
	d := begin(t, s, named("a"))
	_, err := d.Write([]byte("content"))
	must(t, err)
	wantUnavailable(t, d.Commit(t.Context()))
	if _, err := inner.Open(t.Context(), named("a")); !fault.Is(err, fault.NotFound) {
		t.Fatalf("a refused commit had an effect: %v", err)
	}
	must(t, d.Commit(t.Context()))
	objecttest.WantHeld(t, s, named("a"), []byte("content"))
}

func TestLostAnswers(t *testing.T) {
	s := faulty.New(sealtest.Folder(t), faulty.Nth(faulty.Commit, 1, faulty.Lose))
	d := begin(t, s, named("a"))
	_, err := d.Write([]byte("content"))
	must(t, err)
	wantUnavailable(t, d.Commit(t.Context()))
	objecttest.WantHeld(t, s, named("a"), []byte("content"))
	must(t, d.Commit(t.Context()))

	s = faulty.New(sealtest.Folder(t), faulty.Nth(faulty.Save, 2, faulty.Lose))
	d = begin(t, s, named("a"))
	must(t, d.Save(t.Context(), []byte("first")))
	_, err = d.Write([]byte("content"))
	must(t, err)
	wantUnavailable(t, d.Save(t.Context(), []byte("second")))
	at, err := s.Unfinished(t.Context(), named("a"))
	if err != nil || at.Offset != 7 || string(at.Note) != "second" {
		t.Fatalf("%d, %s, %v", at.Offset, at.Note, err)
	}
}

func TestCut(t *testing.T) {
	inner := sealtest.Folder(t)
	s := faulty.New(inner, faulty.Nth(faulty.Write, 2, faulty.Cut))
	d := begin(t, s, named("a"))
	_, err := d.Write([]byte("0123"))
	must(t, err)
	n, err := d.Write([]byte("456789"))
	wantUnavailable(t, err)
	must(t, d.Commit(t.Context()))
	if n != 3 {
		t.Errorf("%d bytes were written", n)
	}
	objecttest.WantHeld(t, inner, named("a"), []byte("0123456"))

	s = faulty.New(inner, faulty.Nth(faulty.ReadAt, 1, faulty.Cut))
	o, err := s.Open(t.Context(), named("a"))
	must(t, err)
	defer o.Close()
	p := make([]byte, 4)
	n, err = o.ReadAt(p, 1)
	wantUnavailable(t, err)
	if n != 2 || string(p[:n]) != "12" {
		t.Errorf("read %q", p[:n])
	}

	for i := range 9 {
		put(t, inner, named(strconv.Itoa(i)), nil)
	}
	s = faulty.New(inner, faulty.Nth(faulty.Names, 1, faulty.Cut))
	some := 0
	wantUnavailable(t, s.Names(t.Context(), func(object.Name) error { some++; return nil }))
	if some == 0 || some >= 10 {
		t.Errorf("%d of 10 names", some)
	}
}

// Every operation can be hit, each time the fault is counted, and none is left after Heal.
func TestEveryOperation(t *testing.T) {
	inner := sealtest.Folder(t)
	put(t, inner, named("there"), []byte("content"))
	for op, call := range map[faulty.Op]func(object.Store, object.Draft) error{
		faulty.Open:       func(s object.Store, _ object.Draft) error { return second(s.Open(t.Context(), named("there"))) },
		faulty.Unfinished: func(s object.Store, _ object.Draft) error { return second(s.Unfinished(t.Context(), named("a"))) },
		faulty.Draft:      func(s object.Store, _ object.Draft) error { return second(s.Draft(t.Context(), named("b"), 1)) },
		faulty.Write:      func(_ object.Store, d object.Draft) error { return second(d.Write([]byte("x"))) },
		faulty.Save:       func(_ object.Store, d object.Draft) error { return d.Save(t.Context(), nil) },
		faulty.Commit:     func(_ object.Store, d object.Draft) error { return d.Commit(t.Context()) },
		faulty.Replace:    func(_ object.Store, d object.Draft) error { return d.Replace(t.Context()) },
		faulty.Drop:       func(_ object.Store, d object.Draft) error { return d.Drop(t.Context()) },
		faulty.Keep:       func(s object.Store, _ object.Draft) error { return s.Keep(t.Context(), named("there"), object.Lock{}) },
		faulty.Kept:       func(s object.Store, _ object.Draft) error { return second(s.Kept(t.Context(), named("there"))) },
		faulty.Delete:     func(s object.Store, _ object.Draft) error { return s.Delete(t.Context(), named("none")) },
		faulty.Names: func(s object.Store, _ object.Draft) error {
			return s.Names(t.Context(), func(object.Name) error { return nil })
		},
		faulty.Sweep: func(s object.Store, _ object.Draft) error { return second(s.Sweep(t.Context(), time.Time{})) },
		faulty.Ready: func(s object.Store, _ object.Draft) error { return s.Ready(t.Context()) },
	} {
		for _, f := range []faulty.Fault{faulty.Refuse, faulty.Break, faulty.Lose} {
			s := faulty.New(inner, faulty.Nth(op, 1, f))
			var d object.Draft
			if op != faulty.Draft {
				d = begin(t, s, named(fmt.Sprint(op, f)))
			}
			err := call(s, d)
			if err == nil || fault.Is(err, fault.Unavailable) != (f != faulty.Break) {
				t.Errorf("%s, fault %d: %v", op, f, err)
			}
			if got, _ := s.Injected(); got[f] != 1 {
				t.Errorf("%s, fault %d: counted %v", op, f, got)
			}
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestRandom(t *testing.T) {
	chances := faulty.Chances{Refuse: 0.1, Break: 0.1, Lose: 0.1, Cut: 0.1, Bytes: 0.1, Slow: 0.5, Longest: time.Second}
	one, same, other := faulty.Random(1, chances), faulty.Random(1, chances), faulty.Random(2, chances)
	equal, hit := true, map[faulty.Op]int{}
	for range 10_000 {
		for _, op := range []faulty.Op{faulty.Write, faulty.Commit} {
			a, b, c := one(op), same(op), other(op)
			if a != b {
				t.Fatal("the same seed gives another plan")
			}
			equal = equal && a == c
			if a.Fault != faulty.None {
				hit[op]++
			}
		}
	}
	if equal {
		t.Error("another seed gives the same plan")
	}
	if hit[faulty.Commit] < 3500 || hit[faulty.Commit] > 4500 || hit[faulty.Write] < 300 || hit[faulty.Write] > 500 {
		t.Errorf("faults in 10,000 calls each: %v", hit)
	}
}

func TestHeal(t *testing.T) {
	always := func(faulty.Op) faulty.Trouble { return faulty.Trouble{Fault: faulty.Refuse} }
	s := faulty.New(sealtest.Folder(t), always)
	wantUnavailable(t, s.Ready(t.Context()))
	s.Heal()
	must(t, s.Ready(t.Context()))
}
