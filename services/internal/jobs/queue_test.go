package jobs

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/escrow/catalog"
)

func openDB(t *testing.T, path string) *sql.DB {
	t.Helper()
	cat, err := catalog.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cat.Close() }) //nolint:errcheck // a test may have closed it
	return cat.DB()
}

func openQueue(t *testing.T, db *sql.DB) *Queue {
	t.Helper()
	q, err := Open(t.Context(), db, Config{Poll: 10 * time.Millisecond, Failed: func(kind string, attempt int, err error) {
		t.Logf("%s, attempt %d: %v", kind, attempt, err)
	}})
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func insert(t *testing.T, db *sql.DB, q *Queue, commit bool, a ...Args) {
	t.Helper()
	tx, err := db.Begin()
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

func start(t *testing.T, q *Queue, r *recorder) {
	t.Helper()
	if err := q.Start(t.Context(), r.handlers()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := q.Stop(ctx, time.Second); err != nil {
			t.Errorf("Stop: %v", err)
		}
	})
}

func TestJobsRunWithTheirTransaction(t *testing.T) {
	db := openDB(t, filepath.Join(t.TempDir(), "db"))
	q, r := openQueue(t, db), newRecorder()
	start(t, q, r)
	insert(t, db, q, false, Publish{"rolled-back"})
	r.quiet(t)
	insert(t, db, q, true, Publish{"a"}, Check{"r"}, Rebuild{"b"}, Evaluate{"r", "e"})
	seen := map[Args]bool{}
	for range 4 {
		seen[r.next(t)] = true
	}
	for _, want := range []Args{Publish{"a"}, Check{"r"}, Rebuild{"b"}, Evaluate{"r", "e"}} {
		if !seen[want] {
			t.Errorf("%s %v did not run", want.Kind(), want)
		}
	}
}

func TestOnceAndMerge(t *testing.T) {
	db := openDB(t, filepath.Join(t.TempDir(), "db"))
	q, r := openQueue(t, db), newRecorder()
	insert(t, db, q, true, Publish{"a"}, Publish{"a"}, Evaluate{"r", "e"}, Evaluate{"r", "e"})
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
	insert(t, db, q, true, Publish{"a"}, Evaluate{"r", "e"}) // the evaluation runs and may have looked too early
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
}

func TestFailedJobsAreTriedAgain(t *testing.T) {
	db := openDB(t, filepath.Join(t.TempDir(), "db"))
	q, r := openQueue(t, db), newRecorder()
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
	insert(t, db, q, true, Publish{"a"})
	for range 4 {
		r.next(t)
	}
	r.quiet(t)
}

// A process that dies leaves its jobs marked as running; here the mark is made by hand.
func TestJobsOfADeadProcessRunAtTheNextStart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	db := openDB(t, path)
	insert(t, db, openQueue(t, db), true, Rebuild{"b"})
	if _, err := db.Exec(`UPDATE river_job SET state = 'running', attempt = 1, attempted_at = datetime('now')`); err != nil {
		t.Fatal(err)
	}
	db.Close()

	db = openDB(t, path)
	q, r := openQueue(t, db), newRecorder()
	began := time.Now()
	start(t, q, r)
	if got := r.next(t); got != (Rebuild{"b"}) || time.Since(began) > 3*time.Second {
		t.Errorf("%v ran after %v", got, time.Since(began))
	}
}

// A job that failed often would wait for minutes.
func TestAStartMakesFailedJobsDueAtOnce(t *testing.T) {
	db := openDB(t, filepath.Join(t.TempDir(), "db"))
	q, r := openQueue(t, db), newRecorder()
	insert(t, db, q, true, Publish{"a"}, Rebuild{"b"}, Grant{"v", "g"})
	const put = `UPDATE river_job SET scheduled_at = datetime('now', '+5 minutes'), attempt = 3, state = CASE kind WHEN 'publish' THEN 'retryable' ELSE 'scheduled' END`
	if _, err := db.Exec(put); err != nil {
		t.Fatal(err)
	}
	start(t, q, r)
	seen := map[Args]bool{r.next(t): true, r.next(t): true}
	if !seen[Publish{"a"}] || !seen[Rebuild{"b"}] {
		t.Errorf("ran %v", seen)
	}
	r.quiet(t) // what is due at a certain time stays so
}

func TestStopCancelsWhatDoesNotEndInGrace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	db := openDB(t, path)
	q, r := openQueue(t, db), newRecorder()
	r.do = func(ctx context.Context, _ Args) error { <-ctx.Done(); return ctx.Err() }
	if err := q.Start(t.Context(), r.handlers()); err != nil {
		t.Fatal(err)
	}
	insert(t, db, q, true, Rebuild{"b"})
	r.next(t)
	if err := q.Stop(t.Context(), 50*time.Millisecond); err != nil {
		t.Fatalf("Stop: %v", err)
	}
	q2, r2 := openQueue(t, db), newRecorder()
	start(t, q2, r2)
	if got := r2.next(t); got != (Rebuild{"b"}) {
		t.Errorf("%v ran", got)
	}
}
