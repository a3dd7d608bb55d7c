package catalog

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
	"github.com/countersign-escrow/countersign/escrow/retention"
)

func midnight(y, m, d int) time.Time { return time.Date(y, time.Month(m), d, 0, 0, 0, 0, time.UTC) }

// note notes an event and returns the retention and whether it moved.
func note(t *testing.T, tx *Tx, name resource.Release, e retention.Event, at time.Time) (*Retention, bool) {
	t.Helper()
	r, moved, err := tx.NoteEvent(name, e, at)
	must(t, err)
	return r, moved
}

func TestEventsWindTheClock(t *testing.T) {
	each(t, func(t *testing.T, c *Catalog) {
		update(t, c, func(tx *Tx) {
			_, _, err := tx.NoteEvent(router1, retention.Read, now)
			wantKind(t, "a read before the deposit", err, fault.NotFound)
			for _, step := range []struct {
				e     retention.Event
				at    time.Time
				moved bool
				until time.Time
			}{
				{retention.Sealed, now, true, midnight(2031, 5, 7)},
				{retention.Sealed, now, false, midnight(2031, 5, 7)},
				{retention.Reported, now.Add(time.Hour), false, midnight(2031, 5, 7)},
				{retention.Read, now.AddDate(0, 0, 10), true, midnight(2031, 5, 17)},
				{retention.Read, now.AddDate(-3, 0, 0), false, midnight(2031, 5, 17)},
				{retention.Reported, now.AddDate(1, 0, 0), true, midnight(2032, 5, 7)},
			} {
				r, moved := note(t, tx, router1, step.e, step.at)
				if moved != step.moved || !r.Clock.Until.Equal(step.until) {
					t.Errorf("%s at %s: moved %t, until %s; want %t, %s", step.e, step.at, moved, r.Clock.Until, step.moved, step.until)
				}
			}
			want := Retention{Release: router1, Clock: retention.Clock{Years: 5, Until: midnight(2032, 5, 7), Last: map[retention.Event]time.Time{
				retention.Sealed: now, retention.Read: now.AddDate(0, 0, 10), retention.Reported: now.AddDate(1, 0, 0)}}}
			wantEqual(t, "retention", *get[*Retention](t)(tx.Retention(router1)), want)
		})
	})
}

func TestExtendRetention(t *testing.T) {
	each(t, func(t *testing.T, c *Catalog) {
		update(t, c, func(tx *Tx) {
			note(t, tx, router1, retention.Sealed, now)
			for _, step := range []struct {
				years int
				moved bool
				kind  fault.Kind
			}{{10, true, 0}, {10, false, 0}, {9, false, fault.Precondition}} {
				r, moved, err := tx.ExtendRetention(router1, func(c retention.Clock) (retention.Clock, error) { return c.ForYears(step.years) })
				if step.kind != 0 {
					wantKind(t, "fewer years", err, step.kind)
					continue
				}
				must(t, err)
				wantEqual(t, "extended", []any{moved, r.Clock.Until}, []any{step.moved, midnight(2036, 5, 7)})
			}
			wantEqual(t, "years", get[*Retention](t)(tx.Retention(router1)).Clock.Years, 10)
			// Whatever a caller computes, what is written never shortens.
			_, _, err := tx.ExtendRetention(router1, func(c retention.Clock) (retention.Clock, error) {
				c.Until = midnight(2027, 1, 1)
				return c, nil
			})
			must(t, err)
			wantEqual(t, "until", get[*Retention](t)(tx.Retention(router1)).Clock.Until, midnight(2036, 5, 7))
		})
	})
}

func TestRetentionsAreListed(t *testing.T) {
	each(t, func(t *testing.T, c *Catalog) {
		update(t, c, func(tx *Tx) {
			for _, r := range []resource.Release{router2, drug1, switch1, router1} {
				note(t, tx, r, retention.Sealed, now)
			}
			must(t, tx.NoteLocked(router1, midnight(2031, 5, 7), false))
			must(t, tx.NoteLocked(router2, midnight(2031, 5, 6), false))
			must(t, tx.NoteLocked(drug1, midnight(2031, 5, 7), true))
			for name, c := range map[string]struct {
				filter RetentionFilter
				want   []resource.Release
			}{
				"all":     {RetentionFilter{}, []resource.Release{router1, router2, switch1, drug1}},
				"vendor":  {RetentionFilter{Vendor: umbrella}, []resource.Release{drug1}},
				"product": {RetentionFilter{Product: router}, []resource.Release{router1, router2}},
				"page":    {RetentionFilter{Vendor: acme, After: router1.String(), Limit: 1}, []resource.Release{router2}},
				"lagging": {RetentionFilter{Lagging: true}, []resource.Release{router2, switch1, drug1}},
			} {
				all := get[[]Retention](t)(tx.Retentions(c.filter))
				got := []resource.Release{}
				for _, r := range all {
					got = append(got, r.Release)
					if c.filter.Lagging && !r.Lags() {
						t.Errorf("%s does not lag", r.Release)
					}
				}
				wantEqual(t, name, got, c.want)
			}
		})
	})
}

func TestLocksAreNotedAsTheLatest(t *testing.T) {
	each(t, func(t *testing.T, c *Catalog) {
		update(t, c, func(tx *Tx) {
			note(t, tx, router1, retention.Sealed, now)
			for _, until := range []time.Time{midnight(2031, 5, 7), midnight(2030, 1, 1)} { // a job that ran late
				must(t, tx.NoteLocked(router1, until, false))
			}
			r := get[*Retention](t)(tx.Retention(router1))
			wantEqual(t, "locked", r.LockedUntil, midnight(2031, 5, 7))
			wantEqual(t, "lags", r.Lags(), false)
		})
	})
}

func TestTheLifeOfAHold(t *testing.T) {
	each(t, func(t *testing.T, c *Catalog) {
		hold := Hold{ID: "h1", Release: router1, Reason: "case 7", Placed: now, PlacedBy: operator, PlacedMember: "admin"}
		update(t, c, func(tx *Tx) {
			note(t, tx, router1, retention.Sealed, now)
			must(t, tx.NoteLocked(router1, midnight(2031, 5, 7), false))
			must(t, tx.InsertHold(hold))
			other := hold
			other.ID, other.Release = "h2", drug1
			must(t, tx.InsertHold(other))
			name := resource.Hold{Release: router1, ID: "h1"}
			wantEqual(t, "placed", *get[*Hold](t)(tx.Hold(name)), hold)
			_, err := tx.Hold(resource.Hold{Release: router2, ID: "h1"})
			wantKind(t, "under another release", err, fault.NotFound)
			r := get[*Retention](t)(tx.Retention(router1))
			wantEqual(t, "held and lagging", []bool{r.Held, r.Lags()}, []bool{true, true})

			hold.Lifted, hold.LiftedBy, hold.LiftedMember, hold.LiftReason = now.Add(time.Hour), operator, "other", "closed"
			must(t, tx.LiftHold(hold))
			wantEqual(t, "lifted", *get[*Hold](t)(tx.Hold(name)), hold)
			var f *fault.Error
			if err := tx.LiftHold(hold); !errors.As(err, &f) || f.Reason != "HOLD_LIFTED" {
				t.Errorf("lifted twice: %v", err)
			}
			none := hold
			none.ID = "none"
			wantKind(t, "lifted without being", tx.LiftHold(none), fault.NotFound)
			wantEqual(t, "held", get[*Retention](t)(tx.Retention(router1)).Held, false)

			id := func(h Hold) string { return h.ID }
			for name, c := range map[string]struct {
				filter HoldFilter
				want   []string
			}{
				"all":      {HoldFilter{}, []string{"h1", "h2"}},
				"after":    {HoldFilter{After: "h1"}, []string{"h2"}},
				"vendor":   {HoldFilter{Vendor: acme}, []string{"h1"}},
				"release":  {HoldFilter{Release: drug1}, []string{"h2"}},
				"standing": {HoldFilter{Standing: true}, []string{"h2"}},
			} {
				wantEqual(t, name, keys(get[[]Hold](t)(tx.Holds(c.filter)), id), c.want)
			}
		})
	})
}

func TestAHoldKeepsSharedFiles(t *testing.T) {
	each(t, func(t *testing.T, c *Catalog) {
		update(t, c, func(tx *Tx) {
			seal(t, tx, router1, file(RoleArtifact, "a", "a"), file(RoleEnvironment, "", "shared"))
			seal(t, tx, router2, file(RoleArtifact, "b", "b"), file(RoleEnvironment, "", "shared"))
			seal(t, tx, drug1, file(RoleArtifact, "c", "c"), file(RoleEnvironment, "", "shared"))
			held := func(r resource.Release) int { return len(get[[]digest.Digest](t)(tx.HeldFiles(r))) }
			wantEqual(t, "before", held(router1), 0)
			must(t, tx.InsertHold(Hold{ID: "h", Release: router1, Reason: "r", Placed: now, PlacedBy: operator}))
			wantEqual(t, "the release", held(router1), 2)
			wantEqual(t, "shared", get[[]digest.Digest](t)(tx.HeldFiles(router2)), []digest.Digest{sum("shared")})
			wantEqual(t, "another vendor's", held(drug1), 0)
			must(t, tx.LiftHold(Hold{ID: "h", Release: router1, Lifted: now, LiftedBy: operator, LiftReason: "r"}))
			wantEqual(t, "after", held(router1), 0)
		})
	})
}

// Releases that were sealed before there was retention get theirs from what is known of them.
func TestEarlierReleasesGetTheirRetention(t *testing.T) {
	text := string(get[[]byte](t)(fs.ReadFile(migrations, "migrations/00003_retention.sql")))
	backfill := text[strings.Index(text, "INSERT INTO retentions"):]
	each(t, func(t *testing.T, c *Catalog) {
		update(t, c, func(tx *Tx) {
			seal(t, tx, router1, file(RoleArtifact, "a", "a"))
			seal(t, tx, router2, file(RoleArtifact, "b", "b"))
			read := now.AddDate(0, 0, 20)
			must(t, tx.InsertAccess(&AccessRecord{Vendor: acme, Reader: labA, Member: "m", Resource: router2.String() + "/files/x", Bytes: 1, Time: read}))
			must(t, tx.InsertAccess(&AccessRecord{Vendor: acme, Reader: labA, Member: "m", Resource: "organizations/acme/products/router/releases/1-0/files/x", Bytes: 1, Time: read}))
			if _, err := tx.exec("retentions", backfill); err != nil {
				t.Fatal(err)
			}
			for name, from := range map[resource.Release]time.Time{router1: now, router2: read} {
				r := get[*Retention](t)(tx.Retention(name))
				least := retention.New(from).Until
				if r.Clock.Until.Before(least) || r.Clock.Until.After(least.AddDate(0, 0, 3)) || !r.Clock.Until.Equal(r.Clock.Until.Truncate(24*time.Hour)) {
					t.Errorf("%s: until %s, want %s or at most three days more", name, r.Clock.Until, least)
				}
				wantEqual(t, "sealed", r.Clock.Last[retention.Sealed], now)
			}
			_, err := tx.Retention(switch1)
			wantKind(t, "an open release", err, fault.NotFound)
		})
	})
}
