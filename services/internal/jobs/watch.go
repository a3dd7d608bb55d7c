package jobs

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

// pace is how often processes look after each other.
type pace struct {
	beat time.Duration // between two signs of life
	look time.Duration // between two looks at the others, and at what is marked as running
	dead time.Duration // without a sign of life
	lost time.Duration // that a job is marked as running here and does not run
}

var usualPace = pace{beat: 2 * time.Second, look: 5 * time.Second, dead: 15 * time.Second, lost: 30 * time.Second}

// watch shows the others that this process lives, and makes due again what nobody works on though it is marked as running.
type watch struct {
	q      *Queue
	cancel context.CancelFunc
	tasks  sync.WaitGroup
	census census
	lost   census // of jobs, each by its number and attempt
}

// live begins the watch, once.
func (q *Queue) live(ctx context.Context) error {
	if q.watch != nil {
		return nil
	}
	if q.engine.shared {
		if err := q.beat(ctx); err != nil {
			return fmt.Errorf("jobs: joining the other processes: %w", err)
		}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	w := &watch{q: q, cancel: cancel}
	if q.engine.shared {
		w.tasks.Go(func() { every(ctx, q.pace.beat, func(ctx context.Context) { _ = q.beat(ctx) }) }) // the next one may succeed
	}
	w.tasks.Go(func() {
		every(ctx, q.pace.look, func(ctx context.Context) {
			if err := w.look(ctx); err != nil && ctx.Err() == nil {
				q.cfg.Failed("looking after jobs", 1, err)
			}
		})
	})
	q.watch = w
	return nil
}

// leave ends the watch and takes this process off the list.
func (w *watch) leave(ctx context.Context) error {
	w.cancel()
	w.tasks.Wait()
	if !w.q.engine.shared {
		return nil
	}
	if _, err := w.q.db.ExecContext(ctx, `DELETE FROM processes WHERE id = $1`, w.q.process); err != nil {
		return fmt.Errorf("jobs: leaving the other processes: %w", err)
	}
	return nil
}

// every calls f again and again until the context ends; one call has as long as the pause between two, at least a second.
func every(ctx context.Context, pause time.Duration, f func(context.Context)) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		one, cancel := context.WithTimeout(ctx, max(pause, time.Second))
		f(one)
		cancel()
	}
}

// look makes due again what dead processes, or a completion that never reached the database, left marked as running.
func (w *watch) look(ctx context.Context) error {
	running, err := w.q.running(ctx)
	if err != nil {
		return err
	}
	err = w.freeLost(ctx, running)
	if w.q.engine.shared {
		err = errors.Join(err, w.freeDead(ctx, running))
	}
	return errors.Join(err, w.q.mendTimes(ctx))
}

// freeDead frees the jobs of processes that have died.
func (w *watch) freeDead(ctx context.Context, running []*rivertype.JobRow) error {
	beats, err := w.q.beats(ctx)
	if err != nil {
		return err
	}
	var owners []string
	for _, job := range running {
		owners = append(owners, ownerOf(job.AttemptedBy))
	}
	p := w.q.pace
	gone := w.census.take(time.Now(), beats, owners, 3*p.look, p.dead)
	delete(gone, w.q.process)
	for _, job := range running {
		if _, dead := gone[ownerOf(job.AttemptedBy)]; dead {
			err = errors.Join(err, w.q.bury(ctx, job))
		}
	}
	for id, n := range gone {
		err = errors.Join(err, w.q.forget(ctx, id, n))
	}
	return err
}

// freeLost frees the jobs that this process has taken and does not do: the engine gives up saying that a job has ended when
// the database is away for some seconds.
func (w *watch) freeLost(ctx context.Context, running []*rivertype.JobRow) error {
	idle, rows := map[string]int64{}, map[string]*rivertype.JobRow{}
	for _, job := range running {
		if ownerOf(job.AttemptedBy) == w.q.process && !w.q.active.has(job.ID) {
			name := fmt.Sprint(job.ID, "/", job.Attempt)
			idle[name], rows[name] = job.ID, job
		}
	}
	p := w.q.pace
	var err error
	for name := range w.lost.take(time.Now(), idle, nil, 3*p.look, p.lost) {
		err = errors.Join(err, w.q.free(ctx, rows[name]))
	}
	return err
}

// running lists the jobs that are marked as running.
func (q *Queue) running(ctx context.Context) ([]*rivertype.JobRow, error) {
	const most = 10_000 // far more than all processes have workers
	list, err := q.insert.JobList(ctx, river.NewJobListParams().States(rivertype.JobStateRunning).First(most))
	if err != nil {
		return nil, fmt.Errorf("jobs: listing what runs: %w", err)
	}
	return list.Jobs, nil
}

// wake makes due what the former process on this database left, where there is one process only.
func (q *Queue) wake(ctx context.Context) error {
	if q.engine.shared {
		return nil
	}
	running, err := q.running(ctx)
	if err != nil {
		return err
	}
	for _, job := range running {
		if err := q.bury(ctx, job); err != nil {
			return err
		}
	}
	_, err = q.db.ExecContext(ctx, `UPDATE river_job SET state = 'available', scheduled_at = `+q.engine.in(0)+`
		WHERE state = 'retryable' OR (state = 'scheduled' AND kind = 'rebuild')`)
	if err != nil {
		return fmt.Errorf("jobs: making due what had failed: %w", err)
	}
	return nil
}

// mostDeaths is how many processes may die with a job, one after the other, before it is taken for their murderer.
const mostDeaths = 20

// bury makes a job due again with which its process died. One that has outlived too many is set aside, in a state in which
// the engine leaves it for good and keeps others like it out.
func (q *Queue) bury(ctx context.Context, job *rivertype.JobRow) error {
	if deaths(job) < mostDeaths {
		return q.free(ctx, job)
	}
	if done, err := q.move(ctx, job, "pending"); err != nil || !done {
		return err
	}
	q.cfg.Failed(job.Kind, job.Attempt, fmt.Errorf("job %d %s was set aside: %d processes died one after the other while it ran", job.ID, job.EncodedArgs, deaths(job)))
	return nil
}

// deaths counts the attempts since the last that ended in an error: those that were put off or cancelled do not count as
// attempts, so that all of these ended with their process.
func deaths(job *rivertype.JobRow) int {
	if n := len(job.Errors); n > 0 {
		return job.Attempt - job.Errors[n-1].Attempt
	}
	return job.Attempt
}

func (q *Queue) free(ctx context.Context, job *rivertype.JobRow) error {
	_, err := q.move(ctx, job, "available")
	return err
}

// move changes the state of a job that is marked as running, unless it has gone on since it was read.
func (q *Queue) move(ctx context.Context, job *rivertype.JobRow, state string) (bool, error) {
	res, err := q.db.ExecContext(ctx, `UPDATE river_job SET state = '`+state+`', scheduled_at = `+q.engine.in(0)+`
		WHERE id = $1 AND state = 'running' AND attempt = $2`, job.ID, job.Attempt)
	if err != nil {
		return false, fmt.Errorf("jobs: job %d: %w", job.ID, err)
	}
	n, err := res.RowsAffected()
	return n > 0, err
}

// mendTimes makes due at once what is due later than it can be: a clock was set back since.
func (q *Queue) mendTimes(ctx context.Context) error {
	_, err := q.db.ExecContext(ctx, `UPDATE river_job SET scheduled_at = `+q.engine.in(0)+`
		WHERE (state = 'available' AND scheduled_at > `+q.engine.in(time.Minute)+`)
		OR (state = 'retryable' AND scheduled_at > `+q.engine.in(longestWait+time.Minute)+`)`)
	if err != nil {
		return fmt.Errorf("jobs: mending times: %w", err)
	}
	return nil
}
