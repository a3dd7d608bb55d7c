// Package jobs keeps the work that is due, in the catalog's own database, so that a job is there exactly when the
// transaction that makes it due has committed. It knows nothing of what the work is; the engine beneath is River.
package jobs

import (
	"context"
	"time"

	"github.com/riverqueue/river"
)

// Args are the arguments of one job: Publish, Check, Rebuild, Evaluate, Grant, Rejudge, Retain, Scrub or Upkeep.
type Args interface {
	Kind() string
	settings() settings
}

// Publish puts a pending attestation into the log.
type Publish struct {
	Attestation string `json:"attestation"`
}

// Check makes the cheap checks of a sealed release and asks for its rebuilds.
type Check struct {
	Release string `json:"release"`
}

// Rebuild does one rebuild on the service's own workers.
type Rebuild struct {
	Rebuild string `json:"rebuild"`
}

// Evaluate brings one evaluator's report on one release up to date.
type Evaluate struct {
	Release   string `json:"release"`
	Evaluator string `json:"evaluator"`
}

// Grant makes due what follows from a grant that begins or ends by itself.
type Grant struct {
	Vendor string `json:"vendor"`
	ID     string `json:"id"`
}

// Kind names the kind of job.
func (Publish) Kind() string { return "publish" }

// Kind names the kind of job.
func (Check) Kind() string { return "check" }

// Kind names the kind of job.
func (Rebuild) Kind() string { return "rebuild" }

// Kind names the kind of job.
func (Evaluate) Kind() string { return "evaluate" }

// Kind names the kind of job.
func (Grant) Kind() string { return "grant" }

// settings is how one kind of job is run.
type settings struct {
	queue    QueueName
	timeout  time.Duration
	attempts int
	once     bool // a second job with the same arguments is not inserted, whatever became of the first
	merge    bool // a second job with the same arguments is not inserted while the first waits to be started
}

// A rebuild is bounded by its plan's wall limit. Its own timeout only keeps the engine from taking a long one for stuck.
const noTimeout = 14 * 24 * time.Hour

// Once-only jobs are tried for days: what they stand for was acknowledged and must come about.
func (Publish) settings() settings {
	return settings{queue: Publishing, timeout: time.Minute, attempts: 1000, once: true}
}

func (Check) settings() settings {
	return settings{queue: Checks, timeout: 30 * time.Minute, attempts: 100, once: true}
}

func (Rebuild) settings() settings {
	return settings{queue: Rebuilds, timeout: noTimeout, attempts: 25, once: true}
}

// An evaluation that runs may have read its findings already, so that one that is due meanwhile is a job of its own.
func (Evaluate) settings() settings {
	return settings{queue: Quick, timeout: time.Minute, attempts: 100, merge: true}
}

func (Grant) settings() settings {
	return settings{queue: Quick, timeout: time.Minute, attempts: 100}
}

// Handlers do the work. Each may be called twice for one job, also by two processes at a time, and must then come to the
// same end. Those of queues that a process does not work on may be nil.
type Handlers struct {
	Publish  func(context.Context, Publish) error
	Check    func(context.Context, Check) error
	Rebuild  func(context.Context, Rebuild) error
	Evaluate func(context.Context, Evaluate) error
	Grant    func(context.Context, Grant) error
	Rejudge  func(context.Context, Rejudge) error
	Retain   func(context.Context, Retain) error
	Scrub    func(context.Context, Scrub) error
	Upkeep   func(context.Context, Upkeep) error
}

// kinds lists the kinds of jobs with what does their work.
func (h Handlers) kinds() []kind {
	return []kind{of(h.Publish), of(h.Check), of(h.Rebuild), of(h.Evaluate), of(h.Grant), of(h.Rejudge), of(h.Retain), of(h.Scrub), of(h.Upkeep)}
}

// Later makes a handler's error that is no failure: the job is due again after d.
func Later(d time.Duration) error { return river.JobSnooze(d) }
