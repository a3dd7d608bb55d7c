package jobs

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/catalog/pgtest"
)

// databases make an empty database and return what opens it, as often as it is called.
var databases = map[catalog.Dialect]func(t *testing.T) func() *catalog.Catalog{
	catalog.SQLite: func(t *testing.T) func() *catalog.Catalog {
		path := filepath.Join(t.TempDir(), "db")
		return func() *catalog.Catalog { return closed(t)(catalog.Open(t.Context(), path)) }
	},
	catalog.PostgreSQL: func(t *testing.T) func() *catalog.Catalog {
		url := pgtest.Start(t).URL(t)
		return func() *catalog.Catalog { return closed(t)(catalog.OpenPostgres(t.Context(), url)) }
	},
}

// each runs a test on each database.
func each(t *testing.T, test func(t *testing.T, open func() *catalog.Catalog)) {
	for name, database := range databases {
		t.Run(string(name), func(t *testing.T) { test(t, database(t)) })
	}
}

// closed closes a catalog with the test.
func closed(t *testing.T) func(*catalog.Catalog, error) *catalog.Catalog {
	return func(c *catalog.Catalog, err error) *catalog.Catalog {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() }) //nolint:errcheck // a test may have closed it
		return c
	}
}

func openQueue(t *testing.T, c *catalog.Catalog) *Queue {
	t.Helper()
	q, err := Open(t.Context(), c.DB(), Config{Dialect: c.Dialect(), Poll: 10 * time.Millisecond, Failed: func(kind string, attempt int, err error) {
		t.Logf("%s, attempt %d: %v", kind, attempt, err)
	}})
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func insert(t *testing.T, q *Queue, commit bool, a ...Args) {
	t.Helper()
	tx, err := q.db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if err := q.InsertTx(t.Context(), tx, a...); err != nil {
		t.Fatal(err)
	}
	end := tx.Commit
	if !commit {
		end = tx.Rollback
	}
	if err := end(); err != nil {
		t.Fatal(err)
	}
}

// recorder is handlers that tell what they were given.
type recorder struct {
	got chan Args
	do  func(context.Context, Args) error
}

func newRecorder() *recorder { return &recorder{got: make(chan Args, 100)} }

func (r *recorder) handle(ctx context.Context, a Args) error {
	r.got <- a
	if r.do != nil {
		return r.do(ctx, a)
	}
	return nil
}

func (r *recorder) handlers() Handlers {
	return Handlers{
		Publish:  func(ctx context.Context, a Publish) error { return r.handle(ctx, a) },
		Check:    func(ctx context.Context, a Check) error { return r.handle(ctx, a) },
		Rebuild:  func(ctx context.Context, a Rebuild) error { return r.handle(ctx, a) },
		Evaluate: func(ctx context.Context, a Evaluate) error { return r.handle(ctx, a) },
		Grant:    func(ctx context.Context, a Grant) error { return r.handle(ctx, a) },
		Retain:   func(ctx context.Context, a Retain) error { return r.handle(ctx, a) },
		Scrub:    func(ctx context.Context, a Scrub) error { return r.handle(ctx, a) },
		Rejudge:  func(ctx context.Context, a Rejudge) error { return r.handle(ctx, a) },
		Upkeep:   func(context.Context, Upkeep) error { return nil }, // it comes by itself
	}
}

func (r *recorder) next(t *testing.T) Args {
	t.Helper()
	select {
	case a := <-r.got:
		return a
	case <-time.After(10 * time.Second):
		t.Fatal("no job came")
		return nil
	}
}

func (r *recorder) quiet(t *testing.T) {
	t.Helper()
	select {
	case a := <-r.got:
		t.Fatalf("%v came, nothing was due", a)
	case <-time.After(150 * time.Millisecond):
	}
}

func start(t *testing.T, q *Queue, r *recorder, queues ...QueueName) {
	t.Helper()
	if err := q.Start(t.Context(), r.handlers(), queues...); err != nil {
		t.Fatal(err)
	}
	stopAtEnd(t, q)
}

func stopAtEnd(t *testing.T, q *Queue) {
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := q.Stop(ctx, time.Second); err != nil {
			t.Errorf("Stop: %v", err)
		}
	})
}

func TestJobsRunWithTheirTransaction(t *testing.T) {
	each(t, func(t *testing.T, open func() *catalog.Catalog) {
		q, r := openQueue(t, open()), newRecorder()
		start(t, q, r)
		insert(t, q, false, Publish{"rolled-back"})
		r.quiet(t)
		insert(t, q, true, Publish{"a"}, Check{"r"}, Rebuild{"b"}, Evaluate{"r", "e"})
		seen := map[Args]bool{}
		for range 4 {
			seen[r.next(t)] = true
		}
		for _, want := range []Args{Publish{"a"}, Check{"r"}, Rebuild{"b"}, Evaluate{"r", "e"}} {
			if !seen[want] {
				t.Errorf("%s %v did not run", want.Kind(), want)
			}
		}
	})
}

func TestOnceAndMerge(t *testing.T) {
	each(t, func(t *testing.T, open func() *catalog.Catalog) {
		q, r := openQueue(t, open()), newRecorder()
		insert(t, q, true, Publish{"a"}, Publish{"a"}, Evaluate{"r", "e"}, Evaluate{"r", "e"})
		runs, release := make(chan struct{}, 10), make(chan struct{})
		r.do = func(_ context.Context, a Args) error {
			if _, ok := a.(Evaluate); ok {
				runs <- struct{}{}
				<-release
			}
			return nil
		}
		start(t, q, r)
		<-runs
		insert(t, q, true, Publish{"a"}, Evaluate{"r", "e"}) // the evaluation runs and may have looked too early
		<-runs
		close(release)
		counts := map[string]int{}
		for range 3 {
			counts[r.next(t).Kind()]++
		}
		r.quiet(t)
		if counts["publish"] != 1 || counts["evaluate"] != 2 {
			t.Errorf("ran %v, want one publish and two evaluations", counts)
		}
	})
}

// A job that was put off waits again: others like it are left to it.
func TestMergeWithWhatWasPutOff(t *testing.T) {
	each(t, func(t *testing.T, open func() *catalog.Catalog) {
		q, r := openQueue(t, open()), newRecorder()
		var runs atomic.Int32
		r.do = func(context.Context, Args) error {
			if runs.Add(1) == 1 {
				return Later(time.Second)
			}
			return nil
		}
		start(t, q, r)
		insert(t, q, true, Evaluate{"r", "e"})
		r.next(t)
		time.Sleep(50 * time.Millisecond) // until it is written down that it waits
		insert(t, q, true, Evaluate{"r", "e"}, Evaluate{"r", "e"})
		r.next(t)
		r.quiet(t)
	})
}

// Whoever leaves its work to a job that waits must have committed before that job starts.
func TestAMergedJobStartsAfterWhoeverLeftItsWorkToIt(t *testing.T) {
	each(t, func(t *testing.T, open func() *catalog.Catalog) {
		c := open()
		q, r := openQueue(t, c), newRecorder()
		if _, err := q.db.Exec(`CREATE TABLE facts (fact BIGINT)`); err != nil {
			t.Fatal(err)
		}
		insert(t, q, true, Evaluate{"r", "e"})
		seen := make(chan int, 2)
		r.do = func(ctx context.Context, _ Args) error {
			var n int
			err := q.db.QueryRowContext(ctx, `SELECT COUNT(*) FROM facts`).Scan(&n)
			seen <- n
			return err
		}
		err := c.Update(t.Context(), func(tx *catalog.Tx) error {
			if err := q.InsertTx(t.Context(), tx.SQL(), Evaluate{"r", "e"}); err != nil {
				return err
			}
			if c.Dialect() == catalog.PostgreSQL { // on SQLite its one connection keeps the queue out
				start(t, q, r)
				r.quiet(t) // after this the job was taken; it waits for the commit
			}
			_, err := tx.SQL().Exec(`INSERT INTO facts (fact) VALUES (1)`)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if c.Dialect() == catalog.SQLite {
			start(t, q, r)
		}
		if n := <-seen; n != 1 {
			t.Error("the job looked before the commit of what was left to it")
		}
	})
}

func TestFailedJobsAreTriedAgain(t *testing.T) {
	each(t, func(t *testing.T, open func() *catalog.Catalog) {
		q, r := openQueue(t, open()), newRecorder()
		var n atomic.Int32
		r.do = func(context.Context, Args) error {
			switch n.Add(1) {
			case 1:
				return errors.New("the disk is full")
			case 2:
				panic("a bug")
			case 3:
				return Later(10 * time.Millisecond)
			}
			return nil
		}
		start(t, q, r)
		insert(t, q, true, Publish{"a"})
		for range 4 {
			r.next(t)
		}
		r.quiet(t)
	})
}

func TestStopCancelsWhatDoesNotEndInGrace(t *testing.T) {
	each(t, func(t *testing.T, open func() *catalog.Catalog) {
		c := open()
		q, r := openQueue(t, c), newRecorder()
		r.do = func(ctx context.Context, _ Args) error { <-ctx.Done(); return ctx.Err() }
		insert(t, q, true, Rebuild{"b"})
		for range 3 {
			if err := q.Start(t.Context(), r.handlers()); err != nil {
				t.Fatal(err)
			}
			r.next(t)
			if err := q.Stop(t.Context(), 50*time.Millisecond); err != nil {
				t.Fatalf("Stop: %v", err)
			}
			var state string
			var attempt int
			err := q.db.QueryRow(`SELECT CAST(state AS TEXT), attempt FROM river_job WHERE kind = 'rebuild'`).Scan(&state, &attempt)
			if err != nil || state != "available" || attempt != 0 {
				t.Errorf("after a stop: %s, %d attempts, %v", state, attempt, err)
			}
		}
		q2, r2 := openQueue(t, c), newRecorder()
		start(t, q2, r2)
		if got := r2.next(t); got != (Rebuild{"b"}) {
			t.Errorf("%v ran", got)
		}
	})
}

// A process works on what it was told to, and what nobody can do waits.
func TestQueuesAreChosen(t *testing.T) {
	each(t, func(t *testing.T, open func() *catalog.Catalog) {
		q, r := openQueue(t, open()), newRecorder()
		h := Handlers{Check: r.handlers().Check, Rejudge: r.handlers().Rejudge, Retain: r.handlers().Retain}
		if err := q.Start(t.Context(), h, Checks, Rebuilds); err == nil {
			t.Error("started with nothing that does rebuilds")
		}
		if err := q.Start(t.Context(), h, "no such"); err == nil {
			t.Error("started on a queue that is not there")
		}
		if err := q.Start(t.Context(), h, Checks); err != nil {
			t.Fatal(err)
		}
		stopAtEnd(t, q)
		insert(t, q, true, Check{"r"}, Publish{"a"}, Rebuild{"b"})
		if got := r.next(t); got != (Check{"r"}) {
			t.Errorf("%v ran", got)
		}
		r.quiet(t)
	})
}

func TestPublishingStartsAndStops(t *testing.T) {
	each(t, func(t *testing.T, open func() *catalog.Catalog) {
		q, r := openQueue(t, open()), newRecorder()
		start(t, q, r, Quick, Checks, Rebuilds, Scrubs)
		for i := range 3 {
			insert(t, q, true, Publish{fmt.Sprint(i)})
			r.quiet(t)
			if err := q.StartPublishing(t.Context(), r.handlers().Publish); err != nil {
				t.Fatal(err)
			}
			if got := r.next(t); got != (Publish{fmt.Sprint(i)}) {
				t.Errorf("%v ran", got)
			}
			if err := q.StopPublishing(t.Context(), time.Second); err != nil {
				t.Fatal(err)
			}
		}
	})
}
