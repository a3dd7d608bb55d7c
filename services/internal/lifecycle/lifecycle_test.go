package lifecycle

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"
)

// diary records the order of what happens.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) note(s string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, s)
}

func (d *diary) part(name string, start, stop error) Component {
	return Component{
		Name:  name,
		Start: func(context.Context) error { d.note("+" + name); return start },
		Stop:  func(context.Context) error { d.note("-" + name); return stop },
	}
}

func TestOrder(t *testing.T) {
	var d diary
	var g Group
	boom := errors.New("boom")
	for _, c := range []Component{d.part("a", nil, nil), d.part("b", nil, boom), d.part("c", nil, nil), {Name: "empty"}} {
		g.Add(c)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err := g.Run(ctx, cancel)
	if !errors.Is(err, boom) {
		t.Errorf("error %v does not tell of the part that failed to stop", err)
	}
	if want := []string{"+a", "+b", "+c", "-c", "-b", "-a"}; !slices.Equal(d.lines, want) {
		t.Errorf("order %q, want %q", d.lines, want)
	}
}

func TestAFailedStartStopsWhatWasStarted(t *testing.T) {
	var d diary
	var g Group
	boom := errors.New("boom")
	for _, c := range []Component{d.part("a", nil, nil), d.part("b", boom, nil), d.part("c", nil, nil)} {
		g.Add(c)
	}
	err := g.Run(t.Context(), func() { t.Error("said to be ready") })
	if !errors.Is(err, boom) {
		t.Errorf("error %v", err)
	}
	if want := []string{"+a", "+b", "-a"}; !slices.Equal(d.lines, want) {
		t.Errorf("order %q, want %q", d.lines, want)
	}
}

func TestAFailureInTheBackgroundEndsRun(t *testing.T) {
	var d diary
	var g Group
	boom := errors.New("boom")
	g.Add(d.part("a", nil, nil))
	err := g.Run(t.Context(), func() { g.Fail("a", boom); g.Fail("a", errors.New("later")) })
	if !errors.Is(err, boom) {
		t.Errorf("error %v", err)
	}
	if want := []string{"+a", "-a"}; !slices.Equal(d.lines, want) {
		t.Errorf("order %q, want %q", d.lines, want)
	}
}

func TestAPartThatDoesNotEndIsLeftBehind(t *testing.T) {
	var d diary
	var g Group
	g.Add(d.part("a", nil, nil))
	hangs := make(chan struct{})
	defer close(hangs)
	g.Add(Component{
		Name:       "stuck",
		Stop:       func(context.Context) error { <-hangs; return nil },
		StopWithin: 10 * time.Millisecond,
	})
	if err := g.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := g.Stop(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	if want := []string{"+a", "-a"}; !slices.Equal(d.lines, want) {
		t.Errorf("order %q, want %q", d.lines, want)
	}
}

func TestPeriodic(t *testing.T) {
	calls, ended := make(chan int), make(chan struct{})
	n := 0
	c := Periodic("again", time.Millisecond, func(ctx context.Context) {
		n++
		select {
		case calls <- n:
		case <-ctx.Done():
			close(ended)
		}
	})
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for want := 1; want <= 3; want++ {
		if got := <-calls; got != want {
			t.Errorf("call %d, want %d", got, want)
		}
	}
	time.Sleep(5 * time.Millisecond) // a call waits now
	if err := c.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	select {
	case <-ended:
	default:
		t.Error("stopped before the last call had ended")
	}
}
