package jobs

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/riverqueue/river"
)

// runner works on some of the queues.
type runner struct {
	client   *river.Client[*sql.Tx]
	stopping atomic.Bool // what is cancelled from now on is cancelled by stop
}

// run makes a runner and starts it. Its name is on every job that it takes.
func (q *Queue) run(ctx context.Context, name string, h Handlers, queues []QueueName) (*runner, error) {
	r := &runner{}
	workers, err := q.workers(r, h, queues)
	if err != nil {
		return nil, err
	}
	configs, err := q.cfg.queues(queues)
	if err != nil {
		return nil, err
	}
	r.client, err = river.NewClient(q.engine.driver, &river.Config{
		ID:                  name,
		FetchCooldown:       min(q.cfg.Poll, 20*time.Millisecond),
		FetchPollInterval:   q.cfg.Poll,
		Logger:              q.cfg.Logger,
		PeriodicJobs:        periodic(),
		PollOnly:            true,
		Queues:              configs,
		RetryPolicy:         backOff{},
		ErrorHandler:        failures{q.cfg.Failed},
		Workers:             workers,
		SkipUnknownJobCheck: true, // periodic jobs may be for other processes
	})
	if err != nil {
		return nil, fmt.Errorf("jobs: %w", err)
	}
	if q.watch == nil { // nothing of this process's runs yet
		if err := q.wake(ctx); err != nil {
			return nil, err
		}
	}
	if err := r.client.Start(context.WithoutCancel(ctx)); err != nil {
		return nil, fmt.Errorf("jobs: %w", err)
	}
	return r, nil
}

// stop ends a runner, if there is one.
func stop(ctx context.Context, at **runner, grace time.Duration) error {
	r := *at
	if r == nil {
		return nil
	}
	soft, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	err := r.client.Stop(soft)
	if errors.Is(err, context.DeadlineExceeded) {
		r.stopping.Store(true)
		err = r.client.StopAndCancel(ctx)
	}
	if err == nil {
		*at = nil
	}
	return err
}

// kind is one kind of job, and what does its work.
type kind struct {
	args    Args
	missing bool
	add     func(*river.Workers, *Queue, *runner)
}

func of[A Args](work func(context.Context, A) error) kind {
	var none A
	return kind{args: none, missing: work == nil, add: func(w *river.Workers, q *Queue, r *runner) {
		river.AddWorker(w, &typed[A]{queue: q, runner: r, work: work})
	}}
}

func (q *Queue) workers(r *runner, h Handlers, queues []QueueName) (*river.Workers, error) {
	workers := river.NewWorkers()
	for _, k := range h.kinds() {
		if !slices.Contains(queues, k.args.settings().queue) {
			continue
		}
		if k.missing {
			return nil, fmt.Errorf("jobs: nothing does %s", k.args.Kind())
		}
		k.add(workers, q, r)
	}
	return workers, nil
}

// typed is one kind's worker.
type typed[A Args] struct {
	river.WorkerDefaults[A]
	queue  *Queue
	runner *runner
	work   func(context.Context, A) error
}

func (t *typed[A]) Timeout(job *river.Job[A]) time.Duration { return job.Args.settings().timeout }

func (t *typed[A]) Work(ctx context.Context, job *river.Job[A]) error {
	defer t.queue.active.begin(job.ID)()
	merges := job.Args.settings().merge
	if merges {
		if err := begins(ctx, t.queue.db, job.Args); err != nil {
			return err
		}
	}
	err := t.work(ctx, job.Args)
	if err != nil && errors.Is(ctx.Err(), context.Canceled) && t.runner.stopping.Load() {
		err = river.JobSnooze(0) // nobody's fault: due at once, and no attempt
	}
	if later := (*river.JobSnoozeError)(nil); merges && errors.As(err, &later) {
		return errors.Join(err, waits(context.WithoutCancel(ctx), t.queue.db, job.Args))
	}
	return err
}

// active is the jobs that this process does just now.
type active struct {
	mu  sync.Mutex
	ids map[int64]int
}

// begin notes a job, and returns what is to be called at its end.
func (a *active) begin(id int64) (end func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ids == nil {
		a.ids = map[int64]int{}
	}
	a.ids[id]++
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.ids[id]--; a.ids[id] == 0 {
			delete(a.ids, id)
		}
	}
}

func (a *active) has(id int64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.ids[id] > 0
}
