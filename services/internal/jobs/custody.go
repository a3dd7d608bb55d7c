package jobs

import (
	"time"

	"github.com/riverqueue/river"
)

// Retain tells the store until when the files of a release are to be kept.
type Retain struct {
	Release string `json:"release"`
}

// Scrub goes on with a scrub.
type Scrub struct {
	Scrub string `json:"scrub"`
}

// Upkeep makes due what nothing else makes due: what a crash left to be told to the store, and the periodic scrub.
// It comes by itself, at a start and every hour.
type Upkeep struct{}

// Kind names the kind of job.
func (Retain) Kind() string { return "retain" }

// Kind names the kind of job.
func (Scrub) Kind() string { return "scrub" }

// Kind names the kind of job.
func (Upkeep) Kind() string { return "upkeep" }

// A release that is read while its locks are being raised may have to be kept for longer than that raise says.
func (Retain) settings() settings {
	return settings{queue: Quick, timeout: 30 * time.Minute, attempts: 1000, merge: true}
}

// A scrub puts itself off again and again; what bounds one piece of it is the largest blob there is.
func (Scrub) settings() settings {
	return settings{queue: Scrubs, timeout: noTimeout, attempts: 1000}
}

func (Upkeep) settings() settings {
	return settings{queue: Quick, timeout: 10 * time.Minute, attempts: 3}
}

// upkeepEvery is how often upkeep is due.
const upkeepEvery = time.Hour

// periodic are the jobs that come by themselves.
func periodic() []*river.PeriodicJob {
	due := func() (river.JobArgs, *river.InsertOpts) {
		s := Upkeep{}.settings()
		return Upkeep{}, &river.InsertOpts{Queue: string(s.queue), MaxAttempts: s.attempts}
	}
	return []*river.PeriodicJob{river.NewPeriodicJob(river.PeriodicInterval(upkeepEvery), due, &river.PeriodicJobOpts{RunOnStart: true})}
}
