package catalog

import (
	"fmt"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
)

func TestAMarkedBlobIsNotHeld(t *testing.T) {
	each(t, func(t *testing.T, c *Catalog) {
		one, two := BlobRef{sum("one"), 3}, BlobRef{sum("two"), 3}
		found, later := now.Add(time.Hour), now.Add(2*time.Hour)
		events := func(tx *Tx) (all []string) {
			for _, r := range []resource.Release{router1, router2, drug1} {
				all = append(all, fmt.Sprint(r.Product.ID, "/", r.Version, ":", len(get[[]ReleaseEvent](t)(tx.ReleaseEvents(r, 0, 0)))))
			}
			return all
		}
		update(t, c, func(tx *Tx) {
			seal(t, tx, router1, file(RoleArtifact, "a", "one"), file(RoleArtifact, "b", "one"), file(RoleSource, "s", "two"))
			seal(t, tx, drug1, file(RoleArtifact, "a", "one"))
			must(t, tx.SetMarks([]Mark{{Place: place(acme, "one"), Is: found}, {Place: place(acme, "nobody's"), Is: found}}, found))
			wantEqual(t, "missing", get[[]BlobRef](t)(tx.MissingBlobs(acme, []BlobRef{one, two})), []BlobRef{one})
			wantEqual(t, "another holder's", len(get[[]BlobRef](t)(tx.MissingBlobs(umbrella, []BlobRef{one}))), 0)
			wantEqual(t, "deposited", *get[*Deposited](t)(tx.Deposited(acme, one.Digest)), Deposited{3, found})
			wantEqual(t, "holding", get[*Holding](t)(tx.Holding(place(acme, "one"))).Damaged, found)
			wantEqual(t, "files", get[[]DamagedFile](t)(tx.DamagedFiles(router1, 0)),
				[]DamagedFile{{file(RoleArtifact, "a", "one"), found}, {file(RoleArtifact, "b", "one"), found}})
			wantEqual(t, "one of them", len(get[[]DamagedFile](t)(tx.DamagedFiles(router1, 1))), 1)
			wantEqual(t, "another vendor's", len(get[[]DamagedFile](t)(tx.DamagedFiles(drug1, 0))), 0)
			wantEqual(t, "events", events(tx), []string{"router/1.0:2", "router/2.0:0", "drug/1.0:1"})
		})
		undone(t, c, func(tx *Tx) {
			err := tx.SealRelease(Release{Name: router2, ManifestDigest: sum("m"), Manifest: []byte("m"), Files: []ReleaseFile{file(RoleArtifact, "a", "one")}, Sealed: now})
			wantKind(t, "a release that names it", err, fault.Precondition)
		})
		update(t, c, func(tx *Tx) {
			must(t, tx.SetMarks([]Mark{{Place: place(acme, "one"), Was: found, Is: later}}, later))
			wantEqual(t, "found again", get[*Deposited](t)(tx.Deposited(acme, one.Digest)).Damaged, found)
			must(t, tx.SetMarks([]Mark{{Place: place(acme, "one"), Is: later}}, later))
			wantEqual(t, "found by another at the same time", get[*Deposited](t)(tx.Deposited(acme, one.Digest)).Damaged, found)
			must(t, tx.InsertBlob(acme, two, later))
			must(t, tx.InsertBlob(acme, one, later))
			wantEqual(t, "sent again", *get[*Deposited](t)(tx.Deposited(acme, one.Digest)), Deposited{Size: 3})
			wantEqual(t, "missing then", len(get[[]BlobRef](t)(tx.MissingBlobs(acme, []BlobRef{one, two}))), 0)
			wantEqual(t, "events then", events(tx), []string{"router/1.0:3", "router/2.0:0", "drug/1.0:1"})
			must(t, tx.SetMarks([]Mark{{Place: place(acme, "one"), Was: found, Is: later}, {Place: place(acme, "one"), Was: found}}, later))
			wantEqual(t, "what was read before it was sent again", get[*Deposited](t)(tx.Deposited(acme, one.Digest)).Damaged, time.Time{})
			must(t, tx.SetMarks([]Mark{{Place: place(acme, "one"), Is: later}}, later))
			must(t, tx.SetMarks([]Mark{{Place: place(acme, "one"), Was: found}}, later))
			wantEqual(t, "looked at before that", get[*Deposited](t)(tx.Deposited(acme, one.Digest)).Damaged, later)
			must(t, tx.SetMarks([]Mark{{Place: place(acme, "one"), Was: later}}, later))
			wantEqual(t, "whole again", get[*Deposited](t)(tx.Deposited(acme, one.Digest)).Damaged, time.Time{})
			wantEqual(t, "events in the end", events(tx), []string{"router/1.0:5", "router/2.0:0", "drug/1.0:1"})
			wantEqual(t, "oldest", get[time.Time](t)(tx.OldestBlob()), now)
		})
	})
}

func TestAScrubStepSetsMarks(t *testing.T) {
	each(t, func(t *testing.T, c *Catalog) {
		step := ScrubStep{To: place(acme, "one"), Blobs: 1, Marks: []Mark{{Place: place(acme, "one"), Is: now}}, Time: now}
		update(t, c, func(tx *Tx) {
			must(t, tx.InsertBlob(acme, BlobRef{sum("one"), 3}, now))
			must(t, tx.InsertScrub(Scrub{ID: "s", StartedBy: operator, Created: now}))
			must(t, tx.StepScrub("s", step))
			must(t, tx.InsertBlob(acme, BlobRef{sum("one"), 3}, now))
		})
		undone(t, c, func(tx *Tx) { wantKind(t, "the same step again", tx.StepScrub("s", step), fault.Aborted) })
		update(t, c, func(tx *Tx) {
			wantEqual(t, "mark", get[*Deposited](t)(tx.Deposited(acme, sum("one"))).Damaged, time.Time{})
		})
	})
}
