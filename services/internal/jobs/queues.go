package jobs

import (
	"fmt"
	"slices"
	"time"

	"github.com/riverqueue/river"
)

// QueueName names a queue. Each is looked into again and again, so that there are few.
type QueueName string

// The queues: short work, and what would hold it up. Publishing is for the one process that writes the log.
const (
	Quick      QueueName = "quick"
	Checks     QueueName = "checks"
	Rebuilds   QueueName = "rebuilds"
	Scrubs     QueueName = "scrubs" // what reads for days: one at a time
	Publishing QueueName = "publish"
)

// all is every queue.
var all = []QueueName{Quick, Checks, Rebuilds, Scrubs, Publishing}

// workers is how many jobs of a queue a process does at the same time, and after how many polls it looks again. Quick
// work mostly waits for others, publishing for the log's next checkpoint, which many share.
func (c Config) workers(q QueueName) (workers int, polls time.Duration) {
	switch q {
	case Checks:
		return 2, 2
	case Rebuilds:
		return max(1, c.RebuildWorkers), 4
	case Scrubs:
		return 1, 4
	default:
		return 32, 1
	}
}

func (c Config) queues(names []QueueName) (map[string]river.QueueConfig, error) {
	queues := map[string]river.QueueConfig{}
	for _, name := range names {
		if !slices.Contains(all, name) {
			return nil, fmt.Errorf("jobs: there is no queue %q", name)
		}
		workers, polls := c.workers(name)
		queues[string(name)] = river.QueueConfig{MaxWorkers: workers, FetchPollInterval: polls * c.Poll}
	}
	return queues, nil
}
