package scrub

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/escrow/blob"
	"github.com/countersign-escrow/countersign/escrow/blob/object"
	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
)

// memory stands for a store, so that a test says when what fails. What a real store does with flipped bits is tested over
// a real one.
type memory struct {
	mu    sync.Mutex
	blobs map[blob.Ref]*held
	reads func(ref blob.Ref, at int64) // called before each read
}

type held struct {
	content []byte
	open    error
	badAt   int64 // reads of this byte fail; -1: none
	lock    object.Lock
	lockErr error
}

func (m *memory) get(ref blob.Ref) (*held, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	h, ok := m.blobs[ref]
	if !ok {
		return nil, fault.NoSuch(ref.String())
	}
	return h, h.open
}

func (m *memory) Open(_ context.Context, ref blob.Ref) (blob.Blob, error) {
	h, err := m.get(ref)
	if err != nil {
		return nil, err
	}
	return &reader{m, ref, h}, nil
}

func (m *memory) Kept(_ context.Context, ref blob.Ref) (object.Lock, error) {
	h, err := m.get(ref)
	if err != nil {
		return object.Lock{}, err
	}
	return h.lock, h.lockErr
}

type reader struct {
	m   *memory
	ref blob.Ref
	*held
}

func (r *reader) Size() int64  { return int64(len(r.content)) }
func (r *reader) Close() error { return nil }

func (r *reader) ReadAt(p []byte, at int64) (int, error) {
	if r.m.reads != nil {
		r.m.reads(r.ref, at)
	}
	if r.badAt >= at && r.badAt < at+int64(len(p)) {
		return 0, fault.Corruptf(r.ref.String(), "bad chunk")
	}
	return bytes.NewReader(r.content).ReadAt(p, at)
}

var holder = resource.Organization{ID: "acme"}

// fill makes a store that holds blobs of these sizes, and says what it ought to hold.
func fill(sizes ...int) (*memory, []Item) {
	m := &memory{blobs: map[blob.Ref]*held{}}
	var items []Item
	for i, size := range sizes {
		content := make([]byte, size)
		_, _ = rand.NewChaCha8([32]byte{byte(i), byte(i >> 8)}).Read(content)
		ref := blob.Ref{Holder: holder, Digest: digest.Of(content)}
		m.blobs[ref] = &held{content: content, badAt: -1}
		items = append(items, Item{Ref: ref, Size: int64(size)})
	}
	return m, items
}

func each(items []Item) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		for _, it := range items {
			if !yield(it, nil) {
				return
			}
		}
	}
}

// total is all steps of a scrub together.
type total struct {
	Step
	steps int
}

func (a *total) note(s Step) error {
	a.steps++
	if s.Last != nil {
		a.Last = s.Last
	}
	a.Blobs += s.Blobs
	a.Bytes += s.Bytes
	a.Reading = s.Reading
	a.Damages = append(a.Damages, s.Damages...)
	return nil
}

func TestWhatIsWrongIsFound(t *testing.T) {
	until := time.Date(2031, 5, 7, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		spoil func(m *memory, h *held, it *Item)
		kind  Kind
		at    int64
	}{
		"nothing":        {func(*memory, *held, *Item) {}, "", 0},
		"gone":           {func(m *memory, _ *held, it *Item) { delete(m.blobs, it.Ref) }, Missing, -1},
		"shorter":        {func(_ *memory, h *held, _ *Item) { h.content = h.content[:100] }, Damaged, 100},
		"longer":         {func(_ *memory, h *held, it *Item) { h.content = append(slices.Clone(h.content), 1) }, Damaged, 3 << 20},
		"other bytes":    {func(_ *memory, h *held, _ *Item) { h.content[77] ^= 1 }, Damaged, -1},
		"a bad header":   {func(_ *memory, h *held, _ *Item) { h.open = fault.Corruptf("x", "header") }, Damaged, 0},
		"the first byte": {func(_ *memory, h *held, _ *Item) { h.badAt = 0 }, Damaged, 0},
		"in the middle":  {func(_ *memory, h *held, _ *Item) { h.badAt = 1<<20 + 200_000 }, Damaged, 1<<20 + 3*pieceBytes},
		"the last byte":  {func(_ *memory, h *held, _ *Item) { h.badAt = 3<<20 - 1 }, Damaged, 3<<20 - pieceBytes},
		"not now":        {func(_ *memory, h *held, _ *Item) { h.open = &fault.Error{Kind: fault.Unavailable, Message: "away"} }, Unreadable, -1},
		"an odd error":   {func(_ *memory, h *held, _ *Item) { h.open = errors.New("input/output error") }, Unreadable, -1},
		"a good lock": {func(_ *memory, h *held, it *Item) {
			it.Lock, h.lock = object.Lock{Until: until, Hold: true}, object.Lock{Until: until, Hold: true}
		}, "", 0},
		"a longer lock":  {func(_ *memory, h *held, it *Item) { it.Lock.Until, h.lock.Until = until, until.AddDate(1, 0, 0) }, "", 0},
		"no lock":        {func(_ *memory, _ *held, it *Item) { it.Lock.Until = until }, Unprotected, -1},
		"a shorter lock": {func(_ *memory, h *held, it *Item) { it.Lock.Until, h.lock.Until = until, until.Add(-time.Second) }, Unprotected, -1},
		"a damaged lock": {func(_ *memory, h *held, it *Item) { it.Lock.Until, h.lockErr = until, fault.Corruptf("x", "lock") }, Unprotected, -1},
		"no hold": {func(_ *memory, h *held, it *Item) {
			it.Lock = object.Lock{Until: until, Hold: true}
			h.lock.Until = until
		}, Unprotected, -1},
	} {
		m, items := fill(10, 3<<20, 0, 20)
		c.spoil(m, m.blobs[items[1].Ref], &items[1])
		var sum total
		if err := Run(t.Context(), m, each(items), Options{Parallel: 2}, sum.note); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if sum.Blobs != 4 || sum.Bytes != 30+3<<20 || sum.Reading != 0 || *sum.Last != items[3].Ref {
			t.Errorf("%s: looked at %d blobs, %d bytes, up to %v, and still reads %d", name, sum.Blobs, sum.Bytes, sum.Last, sum.Reading)
		}
		switch d := sum.Damages; {
		case c.kind == "" && len(d) != 0:
			t.Errorf("%s: found %+v", name, d)
		case c.kind != "" && (len(d) != 1 || d[0].Kind != c.kind || d[0].At != c.at || d[0].Item != items[1] || d[0].Problem == ""):
			t.Errorf("%s: found %+v, want %s at %d", name, d, c.kind, c.at)
		}
	}
}

func TestAnErrorThatPassesAtOnceIsNone(t *testing.T) {
	m, items := fill(2 << 20)
	h, reads := m.blobs[items[0].Ref], 0
	h.badAt = 1 << 20
	m.reads = func(_ blob.Ref, at int64) {
		if reads++; at == h.badAt && reads > 2 { // the second of both times that it is read
			h.badAt = -1
		}
	}
	var sum total
	if err := Run(t.Context(), m, each(items), Options{}, sum.note); err != nil || len(sum.Damages) != 0 {
		t.Errorf("found %+v (%v)", sum.Damages, err)
	}
}

// However a scrub is stopped, going on after the last step looks at every blob, and at none twice that was noted.
func TestAStoppedScrubGoesOn(t *testing.T) {
	sizes := make([]int, 60)
	for i := range sizes {
		sizes[i] = 1 + i*1000%70_000
	}
	for seed := range uint64(30) {
		m, items := fill(sizes...)
		random := rand.New(rand.NewPCG(seed, 0))
		for _, i := range []int{3, 30, 59} {
			m.blobs[items[i].Ref].content[0] ^= 1
		}
		var sum total
		rest, runs := items, 0
		for ; len(rest) > 0; runs++ {
			ctx, cancel := context.WithCancel(t.Context())
			left := random.IntN(20) + 5
			var mu sync.Mutex
			m.reads = func(blob.Ref, int64) {
				mu.Lock()
				defer mu.Unlock()
				if left--; left == 0 {
					cancel()
				}
			}
			err := Run(ctx, m, each(rest), Options{Parallel: 3, Every: time.Microsecond}, sum.note)
			if err != nil && !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			rest = items[sum.Blobs:]
			if sum.Last != nil && sum.Blobs > 0 && *sum.Last != items[sum.Blobs-1].Ref {
				t.Fatalf("%d blobs were looked at, and the last is %s", sum.Blobs, sum.Last)
			}
			if err == nil && len(rest) > 0 {
				t.Fatalf("ended well with %d blobs to go", len(rest))
			}
			cancel()
		}
		if sum.Blobs != 60 || len(sum.Damages) != 3 || runs < 2 {
			t.Errorf("seed %d: %d runs, %d blobs, damages %d", seed, runs, sum.Blobs, len(sum.Damages))
		}
	}
}

func TestErrorsEndAScrub(t *testing.T) {
	m, items := fill(10, 20, 30)
	broken := errors.New("broken")
	var sum total
	err := Run(t.Context(), m, func(yield func(Item, error) bool) {
		_ = yield(items[0], nil) && yield(Item{}, broken) && yield(items[1], nil)
	}, Options{}, sum.note)
	if !errors.Is(err, broken) || sum.Blobs != 1 {
		t.Errorf("items that break off: %v after %d blobs", err, sum.Blobs)
	}
	err = Run(t.Context(), m, each(items), Options{Parallel: 4, Every: time.Nanosecond}, func(Step) error { return broken })
	if !errors.Is(err, broken) {
		t.Errorf("a note that fails: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	sum = total{}
	if err := Run(ended, m, each(items), Options{}, sum.note); !errors.Is(err, context.Canceled) || sum.Blobs != 0 {
		t.Errorf("after the end: %v after %d blobs", err, sum.Blobs)
	}
}

func TestTheRateIsKept(t *testing.T) {
	m, items := fill(1<<20, 1<<20, 1<<20)
	began := time.Now()
	var sum total
	if err := Run(t.Context(), m, each(items), Options{Rate: 4 << 20, Parallel: 3, Every: 20 * time.Millisecond}, sum.note); err != nil {
		t.Fatal(err)
	}
	// The first MiB is free: the other two take half a second.
	if took := time.Since(began); took < 450*time.Millisecond || took > 5*time.Second {
		t.Errorf("3 MiB took %s", took)
	}
	if sum.steps < 5 {
		t.Errorf("only %d steps were noted", sum.steps)
	}
}

func TestParallelIsBounded(t *testing.T) {
	m, items := fill(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)
	var mu sync.Mutex
	now, most := map[blob.Ref]bool{}, 0
	m.reads = func(ref blob.Ref, _ int64) {
		mu.Lock()
		now[ref] = true
		most = max(most, len(now))
		mu.Unlock()
		time.Sleep(5 * time.Millisecond)
		mu.Lock()
		delete(now, ref)
		mu.Unlock()
	}
	if err := Run(t.Context(), m, each(items), Options{Parallel: 100}, func(Step) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if most < 2 || most > MaxParallel {
		t.Errorf("%d blobs were read at a time", most)
	}
}
