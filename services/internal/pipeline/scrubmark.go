package pipeline

import (
	"sync"
	"time"

	"github.com/countersign-escrow/countersign/escrow/blob"
	"github.com/countersign-escrow/countersign/escrow/blob/object"
	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/scrub"
)

// given is what a run was given to look at, in order, and has not noted yet. The run takes items in one goroutine and notes
// in another.
type given struct {
	mu   sync.Mutex
	rest []catalog.Holding
}

// item gives a blob to the run.
func (g *given) item(h catalog.Holding) scrub.Item {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.rest = append(g.rest, h)
	return scrub.Item{Ref: blob.Ref{Holder: h.Holder, Digest: h.Digest}, Size: h.Size, Lock: object.Lock{Until: h.LockedUntil, Hold: h.LockedHold}}
}

// looked takes those that a step has looked at and says how their marks change: one that is damaged or gone gets one, one
// that proved whole loses it, and one that could not be read tells nothing.
func (g *given) looked(step scrub.Step, now time.Time) (marks []catalog.Mark) {
	found := map[catalog.Place]scrub.Kind{}
	for _, d := range step.Damages {
		found[placeOf(d.Item.Ref)] = d.Kind
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, h := range g.rest[:step.Blobs] {
		switch kind := found[h.Place]; {
		case kind == scrub.Unreadable:
		case kind == scrub.Damaged || kind == scrub.Missing:
			marks = append(marks, catalog.Mark{Place: h.Place, Was: h.Damaged, Is: now})
		case !h.Damaged.IsZero():
			marks = append(marks, catalog.Mark{Place: h.Place, Was: h.Damaged})
		}
	}
	g.rest = g.rest[step.Blobs:]
	return marks
}
