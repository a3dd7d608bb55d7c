package jobs

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/riverqueue/river/rivertype"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/catalog/pgtest"
)

// fast is a pace at which tests end soon.
var fast = pace{beat: 50 * time.Millisecond, look: 100 * time.Millisecond, dead: 500 * time.Millisecond, lost: 300 * time.Millisecond}

// takenBy marks all jobs as running, taken by a process so many times.
func takenBy(t *testing.T, q *Queue, process string, attempt int) {
	t.Helper()
	list := map[catalog.Dialect]string{catalog.SQLite: `json_array($1)`, catalog.PostgreSQL: `ARRAY[CAST($1 AS TEXT)]`}[q.cfg.Dialect]
	_, err := q.db.Exec(`UPDATE river_job SET state = 'running', attempt = $2, attempted_at = created_at, attempted_by = `+list, process, attempt)
	if err != nil {
		t.Fatal(err)
	}
}

func state(t *testing.T, q *Queue, kind string) string {
	t.Helper()
	var s string
	if err := q.db.QueryRow(`SELECT CAST(state AS TEXT) FROM river_job WHERE kind = $1`, kind).Scan(&s); err != nil {
		t.Fatal(err)
	}
	return s
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("%s: has not come about", what)
}

func TestAJobThatKillsItsProcessIsSetAside(t *testing.T) {
	each(t, func(t *testing.T, open func() *catalog.Catalog) {
		for name, c := range map[string]struct {
			job  Args
			died int
			want bool // runs again
		}{
			"often":       {Check{"r"}, mostDeaths - 1, true},
			"too often":   {Rebuild{"b"}, mostDeaths, false},
			"merged ones": {Evaluate{"r", "e"}, mostDeaths, false},
		} {
			t.Run(name, func(t *testing.T) {
				var told atomic.Value
				q, r := openQueue(t, open()), newRecorder()
				q.pace, q.cfg.Failed = fast, func(kind string, _ int, err error) { told.Store(kind + ": " + err.Error()) }
				insert(t, q, true, c.job)
				if _, err := q.db.Exec(`DELETE FROM river_job WHERE kind <> $1`, c.job.Kind()); err != nil {
					t.Fatal(err)
				}
				takenBy(t, q, "gone", c.died)
				start(t, q, r)
				if c.want {
					r.next(t)
					return
				}
				eventually(t, "setting aside", func() bool { return told.Load() != nil })
				if s := told.Load().(string); !strings.Contains(s, "20 processes died") || !strings.HasPrefix(s, c.job.Kind()) {
					t.Error(s)
				}
				if s := state(t, q, c.job.Kind()); s != "pending" {
					t.Errorf("it is %s", s)
				}
				r.quiet(t)
			})
		}
	})
}

// An error between two deaths says that the job does not kill whoever does it.
func TestDeathsInARow(t *testing.T) {
	for attempt, c := range map[int]struct {
		errors []rivertype.AttemptError
		deaths int
	}{
		0: {nil, 0}, 7: {nil, 7}, 9: {[]rivertype.AttemptError{{Attempt: 2}, {Attempt: 6}}, 3}, 25: {[]rivertype.AttemptError{{Attempt: 25}}, 0},
	} {
		if n := deaths(&rivertype.JobRow{Attempt: attempt, Errors: c.errors}); n != c.deaths {
			t.Errorf("attempt %d: %d deaths, want %d", attempt, n, c.deaths)
		}
	}
}

// The engine gives up saying that a job has ended when the database is away for some seconds.
func TestAJobWhoseEndWasLostIsDoneAgain(t *testing.T) {
	each(t, func(t *testing.T, open func() *catalog.Catalog) {
		q, r := openQueue(t, open()), newRecorder()
		q.pace = fast
		start(t, q, r)
		insert(t, q, true, Check{"r"})
		r.next(t)
		eventually(t, "completion", func() bool { return state(t, q, "check") == "completed" })
		if _, err := q.db.Exec(`UPDATE river_job SET finalized_at = NULL, state = 'available'`); err != nil {
			t.Fatal(err)
		}
		r.next(t)
		eventually(t, "completion", func() bool { return state(t, q, "check") == "completed" })
		if _, err := q.db.Exec(`UPDATE river_job SET finalized_at = NULL, state = 'running'`); err != nil {
			t.Fatal(err)
		}
		r.next(t)
	})
}

// A job that runs is not taken for lost, however long it runs.
func TestALongJobIsLeftAlone(t *testing.T) {
	each(t, func(t *testing.T, open func() *catalog.Catalog) {
		q, r := openQueue(t, open()), newRecorder()
		q.pace = fast
		r.do = func(context.Context, Args) error { time.Sleep(time.Second); return nil }
		start(t, q, r)
		insert(t, q, true, Check{"r"})
		r.next(t)
		eventually(t, "completion", func() bool { return state(t, q, "check") == "completed" })
		r.quiet(t)
	})
}

func TestAClockSetBackDelaysNothing(t *testing.T) {
	each(t, func(t *testing.T, open func() *catalog.Catalog) {
		q, r := openQueue(t, open()), newRecorder()
		q.pace = fast
		insert(t, q, true, Check{"r"}, Rebuild{"b"}, Grant{"v", "g"})
		_, err := q.db.Exec(`UPDATE river_job SET scheduled_at = ` + q.engine.in(time.Hour) +
			`, state = CASE kind WHEN 'check' THEN 'available' WHEN 'rebuild' THEN 'retryable' ELSE 'scheduled' END` +
			map[catalog.Dialect]string{catalog.PostgreSQL: `::river_job_state`}[q.cfg.Dialect])
		if err != nil {
			t.Fatal(err)
		}
		start(t, q, r)
		seen := map[Args]bool{r.next(t): true, r.next(t): true}
		if !seen[Check{"r"}] || !seen[Rebuild{"b"}] {
			t.Errorf("ran %v", seen)
		}
		r.quiet(t) // what is due at a certain time stays so
	})
}

func TestTheDatabaseGoesAndComesBack(t *testing.T) {
	s := pgtest.StartOwn(t, pgtest.Options{Durable: true})
	c := closed(t)(catalog.OpenPostgres(t.Context(), s.URL(t)))
	q, r := openQueue(t, c), newRecorder()
	q.pace = fast
	down, up := make(chan struct{}), make(chan struct{})
	var runs atomic.Int32
	r.do = func(context.Context, Args) error {
		if runs.Add(1) == 1 {
			<-down
		}
		return nil
	}
	start(t, q, r)
	insert(t, q, true, Check{"r"})
	r.next(t)
	s.Kill(t)
	close(down) // the job ends while nobody can be told
	go func() { defer close(up); time.Sleep(9 * time.Second); s.Resume(t) }()
	<-up
	r.next(t) // again
	eventually(t, "completion", func() bool { return state(t, q, "check") == "completed" })
	insert(t, q, true, Publish{"a"})
	if got := r.next(t); got != (Publish{"a"}) {
		t.Errorf("%v ran", got)
	}
}

var errNeverMind = errors.New("never mind")
