package objecttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"testing"

	"github.com/countersign-escrow/countersign/escrow/blob/object"
	"github.com/countersign-escrow/countersign/escrow/fault"
)

func putAndRead(t *testing.T, b Backend) {
	s := b.New(t)
	content := Content("a", 700_000)
	put(t, s, named("a"), content)
	WantHeld(t, s, named("a"), content)
	o, err := s.Open(t.Context(), named("a"))
	must(t, err)
	defer o.Close()                                                 //nolint:errcheck
	for _, at := range []int{0, 654_321, 123_456, 123_456 + 1000} { // back and forth, and one after the other
		part := make([]byte, 1000)
		if n, err := o.ReadAt(part, int64(at)); err != nil || !bytes.Equal(part[:n], content[at:at+1000]) {
			t.Errorf("ReadAt %d: %d, %v", at, n, err)
		}
	}
	part := make([]byte, 1000)
	if n, err := o.ReadAt(part, int64(len(content))-10); !errors.Is(err, io.EOF) || !bytes.Equal(part[:n], content[len(content)-10:]) {
		t.Errorf("ReadAt over the end: %d, %v", n, err)
	}
	if n, err := o.ReadAt(part, int64(len(content))); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("ReadAt behind the end: %d, %v", n, err)
	}
	if n, err := o.ReadAt(part, -1); err == nil {
		t.Errorf("ReadAt before the start: %d, %v", n, err)
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			part := make([]byte, 50_000)
			if n, err := o.ReadAt(part, int64(i)*50_000); err != nil || !bytes.Equal(part[:n], content[i*50_000:(i+1)*50_000]) {
				t.Errorf("reader %d: %d, %v", i, n, err)
			}
		})
	}
	wg.Wait()
}

func sizes(t *testing.T, b Backend) {
	s := b.New(t)
	list := []int{0, 1, 4095, 4096}
	if p := b.PartBytes; p > 0 {
		list = append(list, p-1, p, p+1, 2*p, 2*p+1)
	}
	for _, n := range list {
		content := Content(fmt.Sprint(n), n)
		put(t, s, named(fmt.Sprint(n)), content)
		WantHeld(t, s, named(fmt.Sprint(n)), content)
		unknown := named(fmt.Sprint("unknown", n))
		d := begin(t, s, unknown, -1, 0)
		write(t, d, content)
		must(t, d.Commit(t.Context()))
		must(t, d.Close())
		WantHeld(t, s, unknown, content)
	}
}

func nothingThere(t *testing.T, b Backend) {
	s := b.New(t)
	wantNone(t, s, named("a"))
	wantUnfinished(t, s, named("a"), 0, "")
	wantKind(t, "Keep", s.Keep(t.Context(), named("a"), object.Lock{Hold: true}), fault.NotFound)
	must(t, s.Delete(t.Context(), named("a")))
}

func invisibleUntilCommit(t *testing.T, b Backend) {
	s := b.New(t)
	content := Content("a", 5000)
	d := begin(t, s, named("a"), 5000, 0)
	write(t, d, content)
	wantNone(t, s, named("a"))
	must(t, d.Save(t.Context(), []byte("note")))
	wantNone(t, s, named("a"))
	wantUnfinished(t, s, named("a"), 5000, "note")
	must(t, d.Commit(t.Context()))
	WantHeld(t, s, named("a"), content)
	wantUnfinished(t, s, named("a"), 0, "")
	if _, err := d.Write([]byte("x")); err == nil {
		t.Error("a committed draft took another byte")
	}
	must(t, d.Close())
	must(t, d.Close())
	WantHeld(t, s, named("a"), content)
	WantHeld(t, b.Reopen(t, s), named("a"), content)
}

func dropDraft(t *testing.T, b Backend) {
	s := b.New(t)
	d := begin(t, s, named("a"), 5000, 0)
	write(t, d, Content("a", 2000))
	must(t, d.Save(t.Context(), []byte("note")))
	write(t, d, Content("a", 1000))
	must(t, d.Drop(t.Context()))
	if _, err := d.Write([]byte("x")); err == nil {
		t.Error("a dropped draft took a byte")
	}
	if err := d.Commit(t.Context()); err == nil {
		t.Error("a dropped draft was committed")
	}
	must(t, d.Close())
	wantUnfinished(t, s, named("a"), 0, "")
	wantNone(t, s, named("a"))
	put(t, s, named("a"), Content("b", 100))
	WantHeld(t, s, named("a"), Content("b", 100))
}

func nothingIsOverwritten(t *testing.T, b Backend) {
	s := b.New(t)
	content := Content("a", 5000)
	put(t, s, named("a"), content)
	for i, n := range []int{0, 5000, b.PartBytes + 1, 2 * b.PartBytes} {
		d := begin(t, s, named("a"), int64(n), 0)
		write(t, d, Content("b", n))
		if i > 1 {
			must(t, d.Save(t.Context(), []byte("note")))
		}
		wantKind(t, "Commit over an object", d.Commit(t.Context()), fault.Exists)
		must(t, d.Close())
		WantHeld(t, s, named("a"), content)
		wantUnfinished(t, s, named("a"), 0, "")
	}
	WantHeld(t, b.Reopen(t, s), named("a"), content)
}

func replace(t *testing.T, b Backend) {
	s := b.New(t)
	lock := object.Lock{Until: inSeconds(3600), Hold: true}
	for i, n := range []int{0, 5000, b.PartBytes + 1} {
		put(t, s, named(fmt.Sprint(i)), Content("damaged", 4000))
		must(t, s.Keep(t.Context(), named(fmt.Sprint(i)), lock))
		d := begin(t, s, named(fmt.Sprint(i)), int64(n), 0)
		write(t, d, Content("mended", n))
		must(t, d.Replace(t.Context()))
		must(t, d.Close())
		WantHeld(t, s, named(fmt.Sprint(i)), Content("mended", n))
		wantLock(t, s, named(fmt.Sprint(i)), lock)
	}
	wantNames(t, s, named("0"), named("1"), named("2"))
	d := begin(t, s, named("new"), 10, 0)
	write(t, d, Content("new", 10))
	must(t, d.Replace(t.Context()))
	WantHeld(t, s, named("new"), Content("new", 10))
}

// large writes 40 MiB and measures what is held in memory meanwhile.
func large(t *testing.T, b Backend) {
	s := b.New(t)
	const step = 1 << 20
	size := int64(max(40<<20, 3*b.PartBytes))
	d := begin(t, s, named("large"), size, 0)
	before := heap()
	for at := int64(0); at < size; at += step {
		write(t, d, Content(fmt.Sprint(at), int(min(step, size-at))))
		if used := heap() - before; at%(8*step) == 0 && used > b.BufferBytes+2*step {
			t.Fatalf("%d MiB are in memory after %d MiB were written", used>>20, at>>20)
		}
	}
	must(t, d.Commit(t.Context()))
	must(t, d.Close())
	o, err := s.Open(t.Context(), named("large"))
	must(t, err)
	defer o.Close() //nolint:errcheck
	buffer := make([]byte, step)
	for at := int64(0); at < size; at += step {
		part := buffer[:min(step, size-at)]
		if n, err := o.ReadAt(part, at); n != len(part) || (err != nil && err != io.EOF) {
			t.Fatalf("ReadAt %d: %d, %v", at, n, err)
		}
		if !bytes.Equal(part, Content(fmt.Sprint(at), len(part))) {
			t.Fatalf("the bytes at %d are not what was written", at)
		}
	}
	if used := heap() - before; used > b.BufferBytes+3*step {
		t.Errorf("%d MiB are in memory after all was read", used>>20)
	}
}

// heap returns how many bytes are in use.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func endedContext(t *testing.T, b Backend) {
	s := b.New(t)
	put(t, s, named("there"), []byte("x"))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for what, err := range map[string]error{
		"Open":       second(s.Open(ended, named("there"))),
		"Draft":      second(s.Draft(ended, named("a"), 1)),
		"Unfinished": second(s.Unfinished(ended, named("a"))),
		"Keep":       s.Keep(ended, named("there"), object.Lock{Hold: true}),
		"Kept":       second(s.Kept(ended, named("there"))),
		"Delete":     s.Delete(ended, named("there")),
		"Names":      s.Names(ended, func(object.Name) error { return nil }),
		"Sweep":      second(s.Sweep(ended, inSeconds(3600))),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", what, err)
		}
	}
	d := begin(t, s, named("a"), 10, 0)
	write(t, d, Content("a", 10))
	if err := d.Save(ended, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Save: %v", err)
	}
	if err := d.Commit(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("Commit: %v", err)
	}
	wantNone(t, s, named("a"))
	WantHeld(t, s, named("there"), []byte("x"))
	wantLock(t, s, named("there"), object.Lock{})
	must(t, d.Close())
	put(t, s, named("a"), Content("a", 10)) // nobody is in the way
}

func second[T any](_ T, err error) error { return err }
