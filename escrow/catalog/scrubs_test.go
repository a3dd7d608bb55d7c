package catalog

import (
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
	"github.com/countersign-escrow/countersign/escrow/retention"
)

func place(holder resource.Organization, content string) Place { return Place{holder, sum(content)} }

func TestHoldings(t *testing.T) {
	each(t, func(t *testing.T, c *Catalog) {
		update(t, c, func(tx *Tx) {
			seal(t, tx, router1, file(RoleArtifact, "a", "one"))
			seal(t, tx, router2, file(RoleArtifact, "a", "one"), file(RoleArtifact, "b", "one"))
			seal(t, tx, drug1, file(RoleArtifact, "a", "one"))
			must(t, tx.InsertBlob(acme, BlobRef{sum("spare"), 5}, now))
			for _, r := range []resource.Release{router1, router2, drug1} {
				note(t, tx, r, retention.Sealed, now)
			}
			must(t, tx.NoteLocked(router1, midnight(2031, 5, 7), true))
			must(t, tx.NoteLocked(router2, midnight(2032, 5, 7), false))
			want := []Holding{
				{Place: place(acme, "one"), Size: 3, LockedUntil: midnight(2032, 5, 7), LockedHold: true},
				{Place: place(acme, "spare"), Size: 5},
				{Place: place(umbrella, "one"), Size: 3},
			}
			if sum("spare").String() < sum("one").String() {
				want[0], want[1] = want[1], want[0]
			}
			wantEqual(t, "all", get[[]Holding](t)(tx.Holdings(Place{}, 10)), want)
			var paged []Holding
			for after := (Place{}); ; {
				page := get[[]Holding](t)(tx.Holdings(after, 1))
				if len(page) == 0 {
					break
				}
				paged, after = append(paged, page...), page[0].Place
			}
			wantEqual(t, "page by page", paged, want)
			wantEqual(t, "one", *get[*Holding](t)(tx.Holding(place(umbrella, "one"))), want[2])
			wantEqual(t, "uses", get[[]Use](t)(tx.Uses(acme, sum("one"), 10)),
				[]Use{{router1, RoleArtifact, "a"}, {router2, RoleArtifact, "a"}, {router2, RoleArtifact, "b"}})
			wantEqual(t, "uses of what no release names", len(get[[]Use](t)(tx.Uses(acme, sum("spare"), 10))), 0)
		})
	})
}

func TestOneScrubRunsAtATime(t *testing.T) {
	each(t, func(t *testing.T, c *Catalog) {
		update(t, c, func(tx *Tx) {
			wantEqual(t, "oldest of none", get[time.Time](t)(tx.OldestBlob()), time.Time{})
			must(t, tx.InsertBlob(acme, BlobRef{sum("one"), 3}, now.Add(time.Hour)))
			must(t, tx.InsertBlob(umbrella, BlobRef{sum("two"), 4}, now))
			wantEqual(t, "oldest", get[time.Time](t)(tx.OldestBlob()), now)
			must(t, tx.InsertScrub(Scrub{ID: "s1", StartedBy: operator, Member: "admin", Rate: 7, Created: now}))
		})
		undone(t, c, func(tx *Tx) {
			wantKind(t, "a second", tx.InsertScrub(Scrub{ID: "s2", StartedBy: operator, Created: now}), fault.Precondition)
		})
		update(t, c, func(tx *Tx) {
			s := get[*Scrub](t)(tx.Scrub(operator, "s1"))
			wantEqual(t, "started", *s, Scrub{ID: "s1", State: ScrubRunning, StartedBy: operator, Member: "admin", Rate: 7, PlannedBlobs: 2, PlannedBytes: 7,
				Found: map[DamageKind]int64{}, Created: now, Updated: now})
			wantEqual(t, "running", get[*Scrub](t)(tx.RunningScrub()).ID, "s1")
			must(t, tx.EndScrub("s1", ScrubCancelled, now.Add(time.Hour)))
			must(t, tx.EndScrub("s1", ScrubDone, now.Add(2*time.Hour)))
			s = get[*Scrub](t)(tx.Scrub(operator, "s1"))
			wantEqual(t, "ended", []any{s.State, s.Ended}, []any{ScrubCancelled, now.Add(time.Hour)})
			if s := get[*Scrub](t)(tx.RunningScrub()); s != nil {
				t.Errorf("%s runs", s.ID)
			}
			if s := get[*Scrub](t)(tx.NewestScrub()); s != nil {
				t.Errorf("the newest is the cancelled %s", s.ID)
			}
			must(t, tx.InsertScrub(Scrub{ID: "s2", StartedBy: operator, Created: now}))
			must(t, tx.EndScrub("s2", ScrubDone, now.Add(time.Hour)))
			wantEqual(t, "newest", get[*Scrub](t)(tx.NewestScrub()).ID, "s2")
			id := func(s Scrub) string { return s.ID }
			wantEqual(t, "all", keys(get[[]Scrub](t)(tx.Scrubs(operator, "", 10)), id), []string{"s2", "s1"})
			wantEqual(t, "page", keys(get[[]Scrub](t)(tx.Scrubs(operator, "s2", 10)), id), []string{"s1"})
			_, err := tx.Scrub(acme, "s1")
			wantKind(t, "another organization's", err, fault.NotFound)
		})
	})
}

func TestScrubStepsCountOnce(t *testing.T) {
	each(t, func(t *testing.T, c *Catalog) {
		first := ScrubStep{To: place(acme, "one"), Blobs: 2, Bytes: 10, Reading: 4, Time: now.Add(time.Minute), Damages: []Damage{
			{Place: place(acme, "bad"), Size: 5, Kind: BlobDamaged, At: 3, Problem: "bits", Found: now},
			{Place: place(acme, "gone"), Size: 6, Kind: BlobMissing, At: -1, Problem: "none", Found: now}}}
		update(t, c, func(tx *Tx) {
			must(t, tx.InsertScrub(Scrub{ID: "s", StartedBy: operator, Created: now}))
			must(t, tx.StepScrub("s", first))
		})
		undone(t, c, func(tx *Tx) { wantKind(t, "the same step again", tx.StepScrub("s", first), fault.Aborted) })
		update(t, c, func(tx *Tx) {
			must(t, tx.StepScrub("s", ScrubStep{From: first.To, To: place(umbrella, "two"), Blobs: 1, Bytes: 1, Time: now.Add(time.Hour)}))
			s := get[*Scrub](t)(tx.Scrub(operator, "s"))
			wantEqual(t, "figures", []any{s.Place, s.Blobs, s.Bytes, s.Reading, s.Found},
				[]any{place(umbrella, "two"), 3, 11, 0, map[DamageKind]int64{BlobDamaged: 1, BlobMissing: 1}})
			all := get[[]Damage](t)(tx.Damages("s", Place{}, 10))
			wantEqual(t, "number of damages", len(all), 2)
			page := get[[]Damage](t)(tx.Damages("s", all[0].Place, 10))
			wantEqual(t, "the second page", page, all[1:])
			for _, d := range all {
				for _, want := range first.Damages {
					if d.Place == want.Place {
						wantEqual(t, "damage", d, want)
					}
				}
			}
			again := first.Damages[0]
			again.Kind, again.At = BlobUnreadable, -1
			must(t, tx.PutDamage("s", again))
			must(t, tx.DropDamage("s", place(acme, "gone")))
			wantEqual(t, "in the end", get[[]Damage](t)(tx.Damages("s", Place{}, 10)), []Damage{again})
			must(t, tx.EndScrub("s", ScrubDone, now))
		})
		undone(t, c, func(tx *Tx) {
			wantKind(t, "after the end", tx.StepScrub("s", ScrubStep{From: place(umbrella, "two"), To: place(umbrella, "three")}), fault.Aborted)
		})
	})
}
