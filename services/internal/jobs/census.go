package jobs

import "time"

// census tells which processes live, from readings of their counts. It goes by the time that passes here between readings,
// by no clock that can be set.
type census struct {
	standing map[string]standing
	last     time.Time
}

// standing is the count of a process and since when it has not changed.
type standing struct {
	beats int64
	since time.Time
}

// missing is the count of a process that is not on the list.
const missing = -1

// take takes a reading of the counts of all processes on the list, and of some others that are asked about. It returns
// those that have stood still for as long as dead. After a gap without readings nothing can be said of anybody: nobody may
// have been able to count, or this process slept.
func (c *census) take(now time.Time, beats map[string]int64, others []string, gap, dead time.Duration) (gone map[string]int64) {
	if now.Sub(c.last) > gap {
		c.standing = nil
	}
	c.last = now
	next := map[string]standing{}
	gone = map[string]int64{}
	note := func(id string, beats int64) {
		s, known := c.standing[id]
		if !known || s.beats != beats {
			s = standing{beats, now}
		}
		if next[id] = s; now.Sub(s.since) >= dead {
			gone[id] = beats
		}
	}
	for id, n := range beats {
		note(id, n)
	}
	for _, id := range others {
		if _, listed := beats[id]; !listed {
			note(id, missing)
		}
	}
	c.standing = next
	return gone
}
