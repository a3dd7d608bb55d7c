// Package retention is the clock that says until when a release is kept. It knows nothing of databases, of stores, nor of
// who may turn the clock.
package retention

import (
	"fmt"
	"time"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

// Event is something after which a release is kept for its whole period anew.
type Event string

// The events that start the clock again.
const (
	Sealed   Event = "SEALED"   // the deposit
	Reported Event = "REPORTED" // a report on the release became visible
	Read     Event = "READ"     // somebody read a file of the release
)

// The bounds of a period, in calendar years.
const (
	DefaultYears = 5
	MaxYears     = 100
)

// Clock is the retention of one release. The zero Clock is that of a release that nothing happened to yet.
type Clock struct {
	Years int                 // the period, in calendar years; at least 1
	Last  map[Event]time.Time // of each event the last that is known, to the day; none: it never happened
	Until time.Time           // kept until then: a midnight, UTC. It only ever grows
}

// New returns the clock of a release that is sealed at a time.
func New(at time.Time) Clock { return Clock{Years: DefaultYears}.After(Sealed, at) }

// After returns the clock after an event. An event that is earlier than the last of its kind, as after a clock was set
// back, and one on the same day, UTC, change nothing: so that a file that is read a thousand times a day is noted once.
func (c Clock) After(e Event, at time.Time) Clock {
	at = at.UTC()
	if last, known := c.Last[e]; known && !day(at).After(day(last)) {
		return c
	}
	last := make(map[Event]time.Time, len(c.Last)+1)
	for k, v := range c.Last {
		last[k] = v
	}
	last[e] = at
	c.Last = last
	return c.wind()
}

// ForYears returns the clock with a longer period; fault.Precondition RETENTION_SHORTENED if it is a shorter one.
func (c Clock) ForYears(years int) (Clock, error) {
	if years < 1 || years > MaxYears {
		return c, fault.Invalidf("years", "is %d, must be 1 to %d", years, MaxYears)
	}
	if years < c.Years {
		return c, shortened("the period is %d years, and %d are fewer", c.Years, years)
	}
	c.Years = years
	return c.wind(), nil
}

// UntilAtLeast returns the clock with an end that is not before a date; fault.Precondition RETENTION_SHORTENED if the
// release is kept for longer already.
func (c Clock) UntilAtLeast(date, now time.Time) (Clock, error) {
	if most := now.AddDate(MaxYears, 0, 0); date.After(most) {
		return c, fault.Invalidf("until", "is %s, must be within %d years", date.UTC().Format(time.RFC3339), MaxYears)
	}
	end := notBefore(date)
	if end.Before(c.Until) {
		return c, shortened("the release is kept until %s, and %s is earlier", c.Until.Format(time.RFC3339), end.Format(time.RFC3339))
	}
	c.Until = end
	return c, nil
}

func shortened(format string, args ...any) error {
	return fault.Preconditionf("RETENTION_SHORTENED", "", "%s", fmt.Sprintf(format, args...)).
		WithAdvice("retention is only ever lengthened")
}

// wind moves the end to what events and period ask for, if that is later: the end of the day, so that it is enough for
// every event of that day. Years are those of the calendar: five years after 29 February is 1 March.
func (c Clock) wind() Clock {
	for _, at := range c.Last {
		if end := day(at.AddDate(c.Years, 0, 0)).AddDate(0, 0, 1); end.After(c.Until) {
			c.Until = end
		}
	}
	return c
}

func day(t time.Time) time.Time {
	y, m, d := t.UTC().Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}

// notBefore is the first midnight, UTC, that is not before t. As all ends are midnights, an end moves at most once a day,
// and so do the locks on the release's files.
func notBefore(t time.Time) time.Time {
	if d := day(t); !t.Equal(d) {
		return d.AddDate(0, 0, 1)
	}
	return day(t)
}
