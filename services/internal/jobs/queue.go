package jobs

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/countersign-escrow/countersign/escrow/catalog"
)

// Config configures a queue.
type Config struct {
	Dialect        catalog.Dialect // of the database; SQLite if ""
	Host           string          // where the process runs, for people who look into the database
	Roles          string          // what it does, for the same
	Poll           time.Duration   // how often quick work that is due is looked for; 60 ms on SQLite, 150 ms on PostgreSQL if 0
	RebuildWorkers int             // rebuilds at the same time; 1 if 0
	Logger         *slog.Logger    // for the engine's own messages; none if nil
	Failed         func(kind string, attempt int, err error)
}

// Queue is the work that is due, as one process sees it. On PostgreSQL several processes may share it; what a process
// that died left running is done by the others. On SQLite there is one process.
type Queue struct {
	db      *sql.DB
	cfg     Config
	process string // the name of this process among those that share the queue, and those there were
	engine  engine
	insert  *river.Client[*sql.Tx]
	active  active
	pace    pace

	mu         sync.Mutex // guards what follows
	main       *runner
	publishing *runner
	watch      *watch
}

// Open brings the queue's tables up to date, where the catalog has made its own. Jobs can be inserted from then on and are
// worked on from Start on. On SQLite the database may have one connection only; nothing here holds it while it waits.
func Open(ctx context.Context, db *sql.DB, cfg Config) (*Queue, error) {
	cfg.setDefaults()
	e, err := newEngine(cfg.Dialect, db)
	if err != nil {
		return nil, err
	}
	if err := e.migrate(ctx, db, cfg.Logger); err != nil {
		return nil, fmt.Errorf("jobs: bringing the tables up to date: %w", err)
	}
	q := &Queue{db: db, cfg: cfg, process: newProcess(cfg.Host), engine: e, pace: usualPace}
	q.insert, err = river.NewClient(e.driver, &river.Config{Logger: cfg.Logger})
	if err != nil {
		return nil, fmt.Errorf("jobs: %w", err)
	}
	return q, nil
}

func (c *Config) setDefaults() {
	if c.Dialect == "" {
		c.Dialect = catalog.SQLite
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Failed == nil {
		c.Failed = func(string, int, error) {}
	}
	if c.Poll == 0 && c.Dialect == catalog.SQLite {
		c.Poll = 60 * time.Millisecond
	}
	if c.Poll == 0 {
		c.Poll = 150 * time.Millisecond
	}
}

// Start begins to work on some queues; on all of them, Publishing too, where none is named. On SQLite whatever starts
// first makes every job that a dead process left running due again: it belongs to nobody. Jobs that failed, and rebuilds
// that were put off, are due at once there, too: a restart is often what they waited for.
func (q *Queue) Start(ctx context.Context, h Handlers, queues ...QueueName) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.main != nil {
		return errors.New("jobs: started twice")
	}
	if len(queues) == 0 {
		queues = all
	}
	r, err := q.run(ctx, q.process, h, queues)
	if err != nil {
		return err
	}
	q.main = r
	return q.live(ctx)
}

// StartPublishing begins to work on Publishing, in the one process that writes the log and that did not Start it. It may
// be stopped and started again.
func (q *Queue) StartPublishing(ctx context.Context, publish func(context.Context, Publish) error) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.publishing != nil {
		return errors.New("jobs: publishing is started twice")
	}
	r, err := q.run(ctx, q.process+publisher, Handlers{Publish: publish}, []QueueName{Publishing})
	if err != nil {
		return err
	}
	q.publishing = r
	return q.live(ctx)
}

// StopPublishing is Stop for what StartPublishing started.
func (q *Queue) StopPublishing(ctx context.Context, grace time.Duration) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return stop(ctx, &q.publishing, grace)
}

// Stop fetches no more jobs, gives those that run until grace, and then cancels them; they are due again, and that they
// were cancelled counts as no attempt. It returns when all have ended, or with ctx's error.
func (q *Queue) Stop(ctx context.Context, grace time.Duration) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	err := errors.Join(stop(ctx, &q.publishing, grace), stop(ctx, &q.main, grace))
	if q.main == nil && q.publishing == nil && q.watch != nil {
		err = errors.Join(err, q.watch.leave(ctx))
		q.watch = nil
	}
	return err
}

// InsertTx makes jobs due with the transaction.
func (q *Queue) InsertTx(ctx context.Context, tx *sql.Tx, jobs ...Args) error {
	return q.InsertTxAt(ctx, tx, time.Time{}, jobs...)
}

// InsertTxAt makes jobs due at a time to come, if the transaction commits.
func (q *Queue) InsertTxAt(ctx context.Context, tx *sql.Tx, at time.Time, jobs ...Args) error {
	for _, a := range jobs {
		if err := q.insertOne(ctx, tx, at, a); err != nil {
			return fmt.Errorf("jobs: %s: %w", a.Kind(), err)
		}
	}
	return nil
}

func (q *Queue) insertOne(ctx context.Context, tx *sql.Tx, at time.Time, a Args) error {
	s := a.settings()
	if s.merge {
		if first, err := announce(ctx, tx, a); err != nil || !first {
			return err
		}
	}
	opts := &river.InsertOpts{Queue: string(s.queue), MaxAttempts: s.attempts, ScheduledAt: at}
	if s.once {
		opts.UniqueOpts = river.UniqueOpts{ByArgs: true}
	}
	_, err := q.insert.InsertTx(ctx, tx, a, opts)
	return err
}

// backOff waits one second after the first failure, twice as long after each further one, and five minutes at most.
type backOff struct{}

const longestWait = 5 * time.Minute

func (backOff) NextRetry(job *rivertype.JobRow) time.Time {
	wait := time.Second << min(max(len(job.Errors), 0), 10)
	return time.Now().UTC().Add(min(wait, longestWait))
}

// failures tells of jobs that ended in an error.
type failures struct {
	tell func(kind string, attempt int, err error)
}

func (f failures) HandleError(_ context.Context, job *rivertype.JobRow, err error) *river.ErrorHandlerResult {
	f.tell(job.Kind, job.Attempt, err)
	return nil
}

func (f failures) HandlePanic(_ context.Context, job *rivertype.JobRow, value any, trace string) *river.ErrorHandlerResult {
	f.tell(job.Kind, job.Attempt, fmt.Errorf("panic: %v\n%s", value, trace))
	return nil
}
