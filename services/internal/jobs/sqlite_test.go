package jobs

import (
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/escrow/catalog"
)

// A process that dies leaves its jobs marked as running; here the mark is made by hand.
func TestJobsOfADeadProcessRunAtTheNextStart(t *testing.T) {
	open := databases[catalog.SQLite](t)
	c := open()
	q := openQueue(t, c)
	insert(t, q, true, Rebuild{"b"})
	if _, err := q.db.Exec(`UPDATE river_job SET state = 'running', attempt = 1, attempted_at = datetime('now')`); err != nil {
		t.Fatal(err)
	}
	c.Close() //nolint:errcheck // the process dies

	q, r := openQueue(t, open()), newRecorder()
	began := time.Now()
	start(t, q, r)
	if got := r.next(t); got != (Rebuild{"b"}) || time.Since(began) > 3*time.Second {
		t.Errorf("%v ran after %v", got, time.Since(began))
	}
}

// A job that failed often would wait for minutes.
func TestAStartMakesFailedJobsDueAtOnce(t *testing.T) {
	q, r := openQueue(t, databases[catalog.SQLite](t)()), newRecorder()
	insert(t, q, true, Publish{"a"}, Rebuild{"b"}, Grant{"v", "g"})
	const put = `UPDATE river_job SET scheduled_at = datetime('now', '+5 minutes'), attempt = 3, state = CASE kind WHEN 'publish' THEN 'retryable' ELSE 'scheduled' END`
	if _, err := q.db.Exec(put); err != nil {
		t.Fatal(err)
	}
	start(t, q, r)
	seen := map[Args]bool{r.next(t): true, r.next(t): true}
	if !seen[Publish{"a"}] || !seen[Rebuild{"b"}] {
		t.Errorf("ran %v", seen)
	}
	r.quiet(t) // what is due at a certain time stays so
}

// What an earlier version put among the quick work is published all the same.
func TestFormerPublishJobs(t *testing.T) {
	open := databases[catalog.SQLite](t)
	q := openQueue(t, open())
	insert(t, q, true, Publish{"a"})
	if _, err := q.db.Exec(`UPDATE river_job SET queue = 'quick'`); err != nil {
		t.Fatal(err)
	}
	q.db.Close()
	q, r := openQueue(t, open()), newRecorder()
	start(t, q, r, Publishing)
	r.next(t)
}
