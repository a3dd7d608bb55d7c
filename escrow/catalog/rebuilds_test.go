package catalog

import (
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
)

const ttl = time.Minute

var linux = []string{"linux/arm64", "linux/amd64"}

// waiting asks for one rebuild and returns its id.
func waiting(t *testing.T, tx *Tx, id string, release resource.Release, rebuilder resource.Organization) string {
	t.Helper()
	fresh, err := tx.InsertRebuild(Rebuild{ID: id, Release: release, Rebuilder: rebuilder, Platform: "linux/amd64", Created: now})
	must(t, err)
	if !fresh {
		t.Fatalf("%s was asked for before", id)
	}
	return id
}

func TestLeaseOrder(t *testing.T) {
	each(t, func(t *testing.T, c *Catalog) {
		update(t, c, func(tx *Tx) {
			waiting(t, tx, "r2", router2, labA)
			waiting(t, tx, "r1", router1, labA)
			waiting(t, tx, "r0", router1, labB)
			fresh, err := tx.InsertRebuild(Rebuild{ID: "r9", Release: router1, Rebuilder: labA, Platform: "linux/amd64", Created: now})
			if err != nil || fresh {
				t.Errorf("asked twice: %v, %v", fresh, err)
			}
			for _, platforms := range [][]string{nil, {"linux/arm64"}} {
				wantEqual(t, "other platforms", get[*Rebuild](t)(tx.LeaseRebuild(labA, platforms, now, ttl)) == nil, true)
			}
			lease := *get[*Rebuild](t)(tx.LeaseRebuild(labA, linux, now, ttl))
			wantEqual(t, "lease", lease, Rebuild{ID: "r1", Release: router1, Rebuilder: labA, State: RebuildLeased, LeaseToken: 1,
				LeaseUntil: now.Add(ttl), Attempts: 1, Platform: "linux/amd64", Created: now})
			wantEqual(t, "read back", *get[*Rebuild](t)(tx.Rebuild(labA, "r1")), lease)
			wantEqual(t, "second", get[*Rebuild](t)(tx.LeaseRebuild(labA, linux, now, ttl)).ID, "r2")
			wantEqual(t, "no third", get[*Rebuild](t)(tx.LeaseRebuild(labA, linux, now, ttl)) == nil, true)
			wantEqual(t, "by id", get[*Rebuild](t)(tx.LeaseRebuildByID("r1", now, ttl)) == nil, true)
			_, err = tx.Rebuild(labB, "r1")
			wantKind(t, "another's rebuild", err, fault.NotFound)

			id := func(r Rebuild) string { return r.ID }
			wantEqual(t, "lab's", keys(get[[]Rebuild](t)(tx.Rebuilds(labA, "", 0)), id), []string{"r1", "r2"})
			wantEqual(t, "lab's after r1", keys(get[[]Rebuild](t)(tx.Rebuilds(labA, "r1", 0)), id), []string{"r2"})
			wantEqual(t, "release's", keys(get[[]Rebuild](t)(tx.RebuildsOf(router1)), id), []string{"r0", "r1"})
		})
	})
}

// A process took a lease by a clock that was set back afterwards, and died.
func TestALeaseFromAClockThatWasSetBackHasEnded(t *testing.T) {
	each(t, func(t *testing.T, c *Catalog) {
		update(t, c, func(tx *Tx) {
			waiting(t, tx, "r", router1, labA)
			ahead := *get[*Rebuild](t)(tx.LeaseRebuild(labA, linux, now.Add(ttl), ttl))
			wantEqual(t, "a clock that differs a little", get[*Rebuild](t)(tx.LeaseRebuild(labA, linux, now, ttl)) == nil, true)
			behind := now.Add(-time.Microsecond)
			wantEqual(t, "a clock set back", get[*Rebuild](t)(tx.LeaseRebuild(labA, linux, behind, ttl)).LeaseToken, ahead.LeaseToken+1)
		})
	})
}

// act is something that the holder of a lease does.
type act func(tx *Tx, token int64, at time.Time) error

var acts = map[string]act{
	"extend":   func(tx *Tx, token int64, at time.Time) error { return tx.ExtendLease("r", token, at, at.Add(ttl)) },
	"complete": func(tx *Tx, token int64, at time.Time) error { return tx.CompleteRebuild("r", token, at) },
	"release":  func(tx *Tx, token int64, _ time.Time) error { return tx.ReleaseLease("r", token) },
}

func TestFencing(t *testing.T) {
	each(t, testFencing)
}

func testFencing(t *testing.T, cat *Catalog) {
	inTime, atEnd, late := now.Add(ttl-time.Microsecond), now.Add(ttl), now.Add(2*ttl)
	for name, c := range map[string]struct {
		before func(t *testing.T, tx *Tx) // after the first lease was given
		token  int64
		at     time.Time
		lost   bool
	}{
		"in time":            {nil, 1, inTime, false},
		"at its end":         {nil, 1, atEnd, true},
		"late":               {nil, 1, late, true},
		"token to come":      {nil, 2, inTime, true},
		"no token":           {nil, 0, inTime, true},
		"extended":           {func(t *testing.T, tx *Tx) { must(t, tx.ExtendLease("r", 1, inTime, late)) }, 1, atEnd, false},
		"completed":          {func(t *testing.T, tx *Tx) { must(t, tx.CompleteRebuild("r", 1, inTime)) }, 1, inTime, true},
		"released":           {func(t *testing.T, tx *Tx) { must(t, tx.ReleaseLease("r", 1)) }, 1, inTime, true},
		"old token":          {leaseAgain(atEnd), 1, atEnd, true},
		"new token":          {leaseAgain(atEnd), 2, atEnd, false},
		"released and taken": {func(t *testing.T, tx *Tx) { must(t, tx.ReleaseLease("r", 1)); leaseAgain(now)(t, tx) }, 1, now, true},
		"taken after that":   {func(t *testing.T, tx *Tx) { must(t, tx.ReleaseLease("r", 1)); leaseAgain(now)(t, tx) }, 2, now, false},
	} {
		for actName, act := range acts {
			t.Run(name+"/"+actName, func(t *testing.T) {
				undone(t, cat, func(tx *Tx) {
					waiting(t, tx, "r", router1, labA)
					leaseAgain(now)(t, tx)
					if c.before != nil {
						c.before(t, tx)
					}
					before := *get[*Rebuild](t)(tx.Rebuild(labA, "r"))
					err := act(tx, c.token, c.at)
					if !c.lost || actName == "release" && before.State == RebuildLeased && before.LeaseToken == c.token { // late is never too late to give it back
						must(t, err)
						return
					}
					wantKind(t, actName, err, fault.Aborted)
					wantEqual(t, "reason", err.(*fault.Error).Reason, "LEASE_LOST")
					wantEqual(t, "rebuild", *get[*Rebuild](t)(tx.Rebuild(labA, "r")), before)
				})
			})
		}
	}
}

func leaseAgain(at time.Time) func(t *testing.T, tx *Tx) {
	return func(t *testing.T, tx *Tx) {
		t.Helper()
		if get[*Rebuild](t)(tx.LeaseRebuild(labA, linux, at, ttl)) == nil {
			t.Fatal("nothing to lease")
		}
	}
}

func TestLeaseCounts(t *testing.T) {
	each(t, func(t *testing.T, c *Catalog) {
		update(t, c, func(tx *Tx) {
			waiting(t, tx, "r", router1, labA)
			at := now
			for i := int64(1); i <= 3; i++ {
				r := get[*Rebuild](t)(tx.LeaseRebuildByID("r", at, ttl))
				wantEqual(t, "token", r.LeaseToken, i)
				wantEqual(t, "attempts", r.Attempts, i)
				at = at.Add(ttl)
			}
			_ = get[*Rebuild](t)(tx.LeaseRebuildByID("r", at, ttl))
			must(t, tx.CompleteRebuild("r", 4, at))
			wantEqual(t, "state", get[*Rebuild](t)(tx.Rebuild(labA, "r")).State, RebuildDone)
			wantEqual(t, "leased when done", get[*Rebuild](t)(tx.LeaseRebuildByID("r", at.Add(time.Hour), ttl)) == nil, true)
			wantEqual(t, "found when done", get[*Rebuild](t)(tx.LeaseRebuild(labA, linux, at.Add(time.Hour), ttl)) == nil, true)
			wantEqual(t, "not there", get[*Rebuild](t)(tx.LeaseRebuildByID("x", at, ttl)) == nil, true)
			wantKind(t, "completed where none is", tx.CompleteRebuild("x", 1, at), fault.Aborted)
		})
	})
}
