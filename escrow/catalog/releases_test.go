package catalog

import (
	"fmt"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
)

func file(role Role, path, content string) ReleaseFile {
	return ReleaseFile{BlobRef: BlobRef{sum(content), int64(len(content))}, Role: role, Path: path}
}

// seal seals a release with files, which are deposited before.
func seal(t *testing.T, tx *Tx, name resource.Release, files ...ReleaseFile) {
	t.Helper()
	for _, f := range files {
		must(t, tx.InsertBlob(name.Product.Vendor, f.BlobRef, now))
	}
	must(t, tx.SealRelease(Release{Name: name, ManifestDigest: sum("m"), Manifest: []byte("m"), Files: files, Sealed: now}))
}

func TestSealRelease(t *testing.T) {
	each(t, func(t *testing.T, c *Catalog) {
		sealed := Release{
			Name: router1, State: ReleaseSealed, ManifestDigest: sum("m\x00\xff"), Manifest: []byte("m\x00\xff"),
			Signatures: []Signature{
				{MediaType: "a/b", Content: []byte{0, 1, 255}},
				{MediaType: "c/d", Content: []byte("x"), Name: "src.tar.asc", Subject: sum("s")},
				{MediaType: "c/d", Content: []byte("y"), Name: "é", List: []byte{0, 255}, ListName: "SHA256SUMS"}},
			ReceiptID: "receipt", RequestID: "request", Created: now, Sealed: now.Add(time.Second),
			Files: []ReleaseFile{file(RoleArtifact, "bin/a", "a"), file(RoleArtifact, "bin/b", "a"),
				file(RoleManifest, "", "m\x00\xff"), file(RoleSource, "src.tar", "s")},
		}
		update(t, c, func(tx *Tx) {
			wantKind(t, "blobs missing", tx.SealRelease(sealed), fault.Precondition)
			wantEqual(t, "state", get[*Release](t)(tx.Release(router1)).State, ReleaseOpen)
			must(t, tx.InsertBlob(acme, BlobRef{sum("a"), 1}, now))
			must(t, tx.InsertBlob(umbrella, BlobRef{sum("s"), 1}, now))
			wantKind(t, "only another vendor has it", tx.SealRelease(sealed), fault.Precondition)
			must(t, tx.InsertBlob(acme, BlobRef{sum("s"), 1}, now))
			must(t, tx.SealRelease(sealed))
			wantEqual(t, "release", *get[*Release](t)(tx.Release(router1)), sealed)

			err := tx.SealRelease(sealed)
			wantKind(t, "sealed twice", err, fault.Precondition)
			wantEqual(t, "reason", err.(*fault.Error).Reason, "RELEASE_SEALED")
		})
		refuses(t, c, "opened again", fault.Exists, func(tx *Tx) error { return tx.InsertRelease(Release{Name: router1, Created: now}) })
		view(t, c, func(tx *Tx) {
			wantEqual(t, "release after all that", *get[*Release](t)(tx.Release(router1)), sealed)

			head := sealed
			head.Manifest, head.Signatures, head.Files = nil, nil, nil
			wantEqual(t, "head", *get[*Release](t)(tx.ReleaseHead(router1)), head)
		})
	})
}

func TestReleaseFile(t *testing.T) {
	each(t, func(t *testing.T, c *Catalog) {
		update(t, c, func(tx *Tx) {
			seal(t, tx, router1, file(RoleArtifact, "bin/a", "a"), file(RoleEnvironment, "", "layer"))
			wantEqual(t, "file", *get[*ReleaseFile](t)(tx.ReleaseFile(router1, sum("layer"))), file(RoleEnvironment, "", "layer"))
			_, err := tx.ReleaseFile(router2, sum("layer"))
			wantKind(t, "another release's file", err, fault.NotFound)
		})
	})
}

func TestReleasesByArtifact(t *testing.T) {
	each(t, func(t *testing.T, c *Catalog) {
		update(t, c, func(tx *Tx) {
			seal(t, tx, router1, file(RoleArtifact, "bin/a", "x"), file(RoleArtifact, "bin/b", "x"))
			seal(t, tx, router2, file(RoleSource, "src", "x"))
			seal(t, tx, switch1, file(RoleArtifact, "fw", "x"))
			seal(t, tx, drug1, file(RoleArtifact, "pill", "x"))
			grant(t, tx, labA, router)
			grant(t, tx, labA, router) // twice: shown once
			grant(t, tx, labB, drug)
			for viewer, want := range map[resource.Organization][]string{
				labA: {"router/bin/a", "router/bin/b"}, labB: {"drug/pill"}, acme: {"router/bin/a", "router/bin/b", "switch/fw"},
				auditor: {}, operator: {},
			} {
				places := get[[]ArtifactPlace](t)(tx.ReleasesByArtifact(sum("x"), viewer, now, 0))
				wantEqual(t, viewer.ID, keys(places, func(p ArtifactPlace) string { return p.Release.Product.ID + "/" + p.Path }), want)
			}
			wantEqual(t, "limit", len(get[[]ArtifactPlace](t)(tx.ReleasesByArtifact(sum("x"), acme, now, 2))), 2)
			wantEqual(t, "later", len(get[[]ArtifactPlace](t)(tx.ReleasesByArtifact(sum("x"), labA, now.Add(time.Hour), 0))), 0)
		})
	})
}

func TestMissingBlobs(t *testing.T) {
	each(t, func(t *testing.T, c *Catalog) {
		var wanted, want []BlobRef
		update(t, c, func(tx *Tx) {
			for i := range 1300 {
				b := BlobRef{sum(fmt.Sprint(i)), int64(i)}
				wanted = append(wanted, b)
				if i%2 == 0 {
					must(t, tx.InsertBlob(acme, b, now))
				} else {
					want = append(want, b)
				}
			}
			must(t, tx.InsertBlob(acme, wanted[0], now)) // again
			otherSize := BlobRef{wanted[2].Digest, 77}
			wanted = append(wanted, wanted[1], otherSize)
			want = append(want, otherSize)
			wantEqual(t, "missing", get[[]BlobRef](t)(tx.MissingBlobs(acme, wanted)), want)
			wantEqual(t, "of another holder", len(get[[]BlobRef](t)(tx.MissingBlobs(umbrella, wanted[:4]))), 4)
			wantEqual(t, "none wanted", len(get[[]BlobRef](t)(tx.MissingBlobs(acme, nil))), 0)
			wantEqual(t, "size", get[*Deposited](t)(tx.Deposited(acme, wanted[4].Digest)).Size, 4)
		})
	})
}

func TestFindingsAndEvents(t *testing.T) {
	each(t, func(t *testing.T, c *Catalog) {
		update(t, c, func(tx *Tx) {
			seal(t, tx, router1)
			first := Finding{ID: "f1", Release: router1, Finding: []byte(`{"a":"é"}`), Check: "SIGNATURE", Outcome: "PASSED",
				Rebuilder: operator, AttestationID: "a1", Created: now}
			second := Finding{ID: "f2", Release: router1, Finding: []byte(`{}`), Check: "COMPARISON", Outcome: "FAILED",
				Verdict: "DIFFERS_STABLE", Artifact: "bin/a", Rebuilder: labA, AttestationID: "a2", Created: now}
			must(t, tx.InsertFinding(&first))
			must(t, tx.InsertFinding(&second))
			must(t, tx.InsertFinding(&Finding{ID: "f3", Release: router2, Created: now}))
			must(t, tx.SetChecksComplete(router1, true, now))
			must(t, tx.SetChecksComplete(router1, true, now)) // nothing new
			wantEqual(t, "complete", get[*Release](t)(tx.ReleaseHead(router1)).ChecksComplete, true)

			wantEqual(t, "findings", get[[]Finding](t)(tx.Findings(router1, 0, 0)), []Finding{first, second})
			wantEqual(t, "after the first", get[[]Finding](t)(tx.Findings(router1, first.Seq, 0)), []Finding{second})
			wantEqual(t, "one", *get[*Finding](t)(tx.Finding(router1, "f2")), second)
			_, err := tx.Finding(router2, "f2")
			wantKind(t, "another release's finding", err, fault.NotFound)

			event := func(e ReleaseEvent) string { return fmt.Sprintf("%d:%s", e.Seq, e.FindingID) }
			wantEqual(t, "events", keys(get[[]ReleaseEvent](t)(tx.ReleaseEvents(router1, 0, 0)), event), []string{"1:", "2:f1", "3:f2", "4:"})
			wantEqual(t, "events after 2", keys(get[[]ReleaseEvent](t)(tx.ReleaseEvents(router1, 2, 1)), event), []string{"3:f2"})
			wantEqual(t, "events of another", keys(get[[]ReleaseEvent](t)(tx.ReleaseEvents(router2, 0, 0)), event), []string{"1:f3"})
		})
		refuses(t, c, "same id", fault.Exists, func(tx *Tx) error { return tx.InsertFinding(&Finding{ID: "f1", Release: router1, Created: now}) })
	})
}

func TestEnvironments(t *testing.T) {
	each(t, func(t *testing.T, c *Catalog) {
		update(t, c, func(tx *Tx) {
			var all []digest.Digest
			for _, s := range []string{"1", "2", "3"} {
				must(t, tx.InsertEnvironment(Environment{Vendor: acme, Image: sum(s), Created: now}))
				all = append(all, sum(s))
			}
			must(t, tx.InsertEnvironment(Environment{Vendor: umbrella, Image: sum("1"), Created: now}))
			var got []string
			for after := ""; ; after = got[len(got)-1] {
				page := get[[]Environment](t)(tx.Environments(acme, after, 1))
				if len(page) == 0 {
					break
				}
				got = append(got, page[0].Image.String())
			}
			wantEqual(t, "environments", len(got), len(all))
		})
	})
}
