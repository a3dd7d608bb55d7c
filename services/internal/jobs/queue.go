package jobs

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/riverqueue/river/rivertype"
)

// Config configures a queue.
type Config struct {
	Poll           time.Duration // how often quick work that is due is looked for; 60 ms if 0. SQLite has no notifications
	RebuildWorkers int           // rebuilds at the same time; 1 if 0
	Logger         *slog.Logger  // for the engine's own messages; none if nil
	Failed         func(kind string, attempt int, err error)
}

// The workers of the other queues. Quick work mostly waits for the log's next checkpoint, which many share.
const (
	quickWorkers = 32
	checkWorkers = 2
)

// Queue is the work that is due.
type Queue struct {
	db       *sql.DB
	client   *river.Client[*sql.Tx]
	handlers Handlers
	started  bool
}

// Open brings the queue's tables up to date. Jobs can be inserted from then on and are worked on from Start on.
// The database may have one connection only; nothing here holds it while it waits.
func Open(ctx context.Context, db *sql.DB, cfg Config) (*Queue, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	driver := riversqlite.New(db)
	migrator, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: cfg.Logger})
	if err != nil {
		return nil, fmt.Errorf("jobs: %w", err)
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return nil, fmt.Errorf("jobs: bringing the tables up to date: %w", err)
	}
	q := &Queue{db: db}
	q.client, err = river.NewClient(driver, riverConfig(q, cfg))
	if err != nil {
		return nil, fmt.Errorf("jobs: %w", err)
	}
	return q, nil
}

func riverConfig(q *Queue, cfg Config) *river.Config {
	poll := cfg.Poll
	if poll == 0 {
		poll = 60 * time.Millisecond
	}
	workers := river.NewWorkers()
	river.AddWorker(workers, worker(func(ctx context.Context, a Publish) error { return q.handlers.Publish(ctx, a) }))
	river.AddWorker(workers, worker(func(ctx context.Context, a Check) error { return q.handlers.Check(ctx, a) }))
	river.AddWorker(workers, worker(func(ctx context.Context, a Rebuild) error { return q.handlers.Rebuild(ctx, a) }))
	river.AddWorker(workers, worker(func(ctx context.Context, a Evaluate) error { return q.handlers.Evaluate(ctx, a) }))
	river.AddWorker(workers, worker(func(ctx context.Context, a Grant) error { return q.handlers.Grant(ctx, a) }))
	return &river.Config{
		FetchCooldown:     min(poll, 20*time.Millisecond),
		FetchPollInterval: poll,
		Logger:            cfg.Logger,
		PollOnly:          true,
		Queues: map[string]river.QueueConfig{
			quick:    {MaxWorkers: quickWorkers},
			checks:   {MaxWorkers: checkWorkers, FetchPollInterval: 2 * poll},
			rebuilds: {MaxWorkers: max(1, cfg.RebuildWorkers), FetchPollInterval: 4 * poll},
		},
		RetryPolicy:  backOff{},
		ErrorHandler: failures{cfg.Failed},
		Workers:      workers,
	}
}

// Start makes every job that a dead process left running due again, and begins to work. The queue has one process only:
// whatever was running when it starts belongs to nobody. Jobs that failed, and rebuilds that were put off, are due at once,
// too: a restart is often what they waited for.
func (q *Queue) Start(ctx context.Context, h Handlers) error {
	if err := h.complete(); err != nil {
		return err
	}
	q.handlers = h
	const free = `UPDATE river_job SET state = 'available', attempt = max(attempt - 1, 0), scheduled_at = datetime('now', 'subsec')
		WHERE state IN ('running', 'retryable') OR (state = 'scheduled' AND kind = 'rebuild')`
	if _, err := q.db.ExecContext(ctx, free); err != nil {
		return fmt.Errorf("jobs: freeing what was left running: %w", err)
	}
	if err := q.client.Start(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("jobs: %w", err)
	}
	q.started = true
	return nil
}

// Stop fetches no more jobs, gives those that run until grace, and then cancels them; they are due again at the next
// start. It returns when all have ended, or with ctx's error.
func (q *Queue) Stop(ctx context.Context, grace time.Duration) error {
	if !q.started {
		return nil
	}
	soft, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	if err := q.client.Stop(soft); err == nil || !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return q.client.StopAndCancel(ctx)
}

// InsertTx makes jobs due with the transaction.
func (q *Queue) InsertTx(ctx context.Context, tx *sql.Tx, jobs ...Args) error {
	return q.InsertTxAt(ctx, tx, time.Time{}, jobs...)
}

// InsertTxAt makes jobs due at a time to come, if the transaction commits.
func (q *Queue) InsertTxAt(ctx context.Context, tx *sql.Tx, at time.Time, jobs ...Args) error {
	for _, a := range jobs {
		s := a.settings()
		if s.merge {
			waits, err := waiting(ctx, tx, a)
			if err != nil {
				return err
			}
			if waits {
				continue
			}
		}
		opts := &river.InsertOpts{Queue: s.queue, MaxAttempts: s.attempts, ScheduledAt: at}
		if s.once {
			opts.UniqueOpts = river.UniqueOpts{ByArgs: true}
		}
		if _, err := q.client.InsertTx(ctx, tx, a, opts); err != nil {
			return fmt.Errorf("jobs: %s: %w", a.Kind(), err)
		}
	}
	return nil
}

// typed is one kind's worker.
type typed[A Args] struct {
	river.WorkerDefaults[A]
	work func(context.Context, A) error
}

func worker[A Args](work func(context.Context, A) error) river.Worker[A] {
	return &typed[A]{work: work}
}

func (t *typed[A]) Work(ctx context.Context, job *river.Job[A]) error { return t.work(ctx, job.Args) }

func (t *typed[A]) Timeout(job *river.Job[A]) time.Duration { return job.Args.settings().timeout }

// backOff waits one second after the first failure, twice as long after each further one, and five minutes at most.
type backOff struct{}

func (backOff) NextRetry(job *rivertype.JobRow) time.Time {
	const most = 5 * time.Minute
	wait := time.Second << min(max(len(job.Errors), 0), 10)
	return time.Now().UTC().Add(min(wait, most))
}

// failures tells of jobs that ended in an error.
type failures struct {
	tell func(kind string, attempt int, err error)
}

func (f failures) HandleError(_ context.Context, job *rivertype.JobRow, err error) *river.ErrorHandlerResult {
	if f.tell != nil {
		f.tell(job.Kind, job.Attempt, err)
	}
	return nil
}

func (f failures) HandlePanic(_ context.Context, job *rivertype.JobRow, value any, trace string) *river.ErrorHandlerResult {
	if f.tell != nil {
		f.tell(job.Kind, job.Attempt, fmt.Errorf("panic: %v\n%s", value, trace))
	}
	return nil
}
