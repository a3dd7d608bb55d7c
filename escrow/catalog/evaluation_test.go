package catalog

import (
	"fmt"
	"testing"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
)

func TestPolicies(t *testing.T) {
	each(t, func(t *testing.T, c *Catalog) {
		update(t, c, func(tx *Tx) {
			var all []Policy
			for i := range 3 {
				p := Policy{Organization: labB, Source: fmt.Sprint("source ", i), Digest: sum(fmt.Sprint(i)), Created: now}
				must(t, tx.InsertPolicy(&p))
				wantEqual(t, "version", p.Version, i+1)
				all = append(all, p)
			}
			must(t, tx.InsertPolicy(&Policy{Organization: labA, Created: now, Digest: sum("")}))
			wantEqual(t, "current", *get[*Policy](t)(tx.CurrentPolicy(labB)), all[2])
			wantEqual(t, "second", *get[*Policy](t)(tx.Policy(labB, 2)), all[1])
			wantEqual(t, "all", get[[]Policy](t)(tx.Policies(labB, 0, 0)), []Policy{all[2], all[1], all[0]})
			wantEqual(t, "before the last", get[[]Policy](t)(tx.Policies(labB, 3, 1)), []Policy{all[1]})
			wantEqual(t, "evaluators", get[[]resource.Organization](t)(tx.EvaluatorsWithPolicy()), []resource.Organization{labA, labB})
		})
	})
}

// report records a report with an attestation id.
func report(t *testing.T, tx *Tx, evaluator resource.Organization, release resource.Release, id string) {
	t.Helper()
	must(t, tx.InsertReport(Report{Evaluator: evaluator, Release: release, PolicyVersion: 1, PolicyDigest: sum("p"), Decision: "ACCEPTED",
		Rules: []byte(`[]`), ContentDigest: sum(id), AttestationID: id, Created: now}))
}

func show(t *testing.T, tx *Tx, id string) *Report {
	t.Helper()
	return get[*Report](t)(tx.MarkReportVisible(id))
}

func listed(t *testing.T, tx *Tx, f ReportFilter) []string {
	t.Helper()
	return keys(get[[]Report](t)(tx.Reports(f)), func(r Report) string { return fmt.Sprintf("%d:%s", r.Seq, r.AttestationID) })
}

func TestReportVisibility(t *testing.T) {
	each(t, func(t *testing.T, c *Catalog) {
		all := ReportFilter{Evaluator: labA, ShowSuperseded: true}
		update(t, c, func(tx *Tx) {
			for _, id := range []string{"r1", "r2", "r3"} {
				report(t, tx, labA, resource.Release{Product: router, Version: map[string]string{"r1": "1.0", "r2": "2.0", "r3": "1.0"}[id]}, id)
			}
			report(t, tx, labB, router1, "b1")
			wantEqual(t, "before publication", listed(t, tx, all), []string{})
			wantEqual(t, "newest made", get[*Report](t)(tx.NewestReport(labA, router1)).AttestationID, "r3")
			wantEqual(t, "newest visible", get[*Report](t)(tx.NewestVisibleReport(labA, router1)) == nil, true)
			_, err := tx.Report(labA, 0)
			wantKind(t, "report without a number", err, fault.NotFound)

			// Numbers follow the order of becoming visible, not that of being made.
			wantEqual(t, "number", show(t, tx, "r2").Seq, 1)
			wantEqual(t, "number", show(t, tx, "r1").Seq, 2)
			wantEqual(t, "number again", show(t, tx, "r1").Seq, 2)
			wantEqual(t, "after 1", listed(t, tx, ReportFilter{Evaluator: labA, AfterSeq: 1}), []string{"2:r1"})
			wantEqual(t, "number", show(t, tx, "r3").Seq, 3)
			wantEqual(t, "other lab's number", show(t, tx, "b1").Seq, 1)
			wantEqual(t, "no report's attestation", show(t, tx, "x") == nil, true)

			wantEqual(t, "all", listed(t, tx, all), []string{"1:r2", "2:r1", "3:r3"})
			wantEqual(t, "not superseded", listed(t, tx, ReportFilter{Evaluator: labA}), []string{"1:r2", "3:r3"})
			wantEqual(t, "of a release", listed(t, tx, ReportFilter{Evaluator: labA, Release: router1, ShowSuperseded: true}), []string{"2:r1", "3:r3"})
			wantEqual(t, "limit", listed(t, tx, ReportFilter{Evaluator: labA, Limit: 1}), []string{"1:r2"})
			wantEqual(t, "other lab's", listed(t, tx, ReportFilter{Evaluator: labB}), []string{"1:b1"})
			wantEqual(t, "whole", *get[*Report](t)(tx.Report(labA, 2)), Report{Seq: 2, Evaluator: labA, Release: router1, PolicyVersion: 1,
				PolicyDigest: sum("p"), Decision: "ACCEPTED", Rules: []byte(`[]`), ContentDigest: sum("r1"), AttestationID: "r1",
				Visible: true, Superseded: true, Created: now})
			_, err = tx.Report(labB, 2)
			wantKind(t, "another lab's report", err, fault.NotFound)
		})
	})
}

// A report that was made earlier and becomes visible later must not stand in the place of a newer one.
func TestSupersedingFollowsMaking(t *testing.T) {
	each(t, func(t *testing.T, c *Catalog) {
		update(t, c, func(tx *Tx) {
			report(t, tx, labA, router1, "old")
			report(t, tx, labA, router1, "new")
			show(t, tx, "new")
			wantEqual(t, "old one when visible", show(t, tx, "old").Superseded, true)
			wantEqual(t, "listed", listed(t, tx, ReportFilter{Evaluator: labA}), []string{"1:new"})
			wantEqual(t, "newest visible", get[*Report](t)(tx.NewestVisibleReport(labA, router1)).AttestationID, "new")
			report(t, tx, labA, router1, "newer")
			wantEqual(t, "while the newer is unseen", listed(t, tx, ReportFilter{Evaluator: labA}), []string{"1:new"})
		})
	})
}

func TestOneReportPerAttestation(t *testing.T) {
	each(t, func(t *testing.T, c *Catalog) {
		update(t, c, func(tx *Tx) { report(t, tx, labA, router1, "a") })
		refuses(t, c, "second report", fault.Exists, func(tx *Tx) error {
			return tx.InsertReport(Report{Evaluator: labB, Release: router1, Rules: []byte(`[]`), AttestationID: "a", Created: now})
		})
	})
}

func TestRequests(t *testing.T) {
	each(t, func(t *testing.T, c *Catalog) {
		q := Request{Organization: acme, Method: "CreateProduct", ID: "1", Fingerprint: sum("asked")}
		with := func(change func(*Request)) Request { other := q; change(&other); return other }
		update(t, c, func(tx *Tx) { must(t, tx.RememberRequest(q, "made", now)) })
		refuses(t, c, "remembered twice", fault.Exists, func(tx *Tx) error { return tx.RememberRequest(q, "other", now) })
		update(t, c, func(tx *Tx) {
			must(t, tx.RememberRequest(Request{Organization: acme, Method: "m"}, "made", now))
			for name, c := range map[string]struct {
				request Request
				made    string
				kind    fault.Kind
			}{
				"again":                {q, "made", 0},
				"another fingerprint":  {with(func(q *Request) { q.Fingerprint = sum("other") }), "", fault.Invalid},
				"another organization": {with(func(q *Request) { q.Organization = umbrella }), "", 0},
				"another method":       {with(func(q *Request) { q.Method = "CreateRelease" }), "", 0},
				"another id":           {with(func(q *Request) { q.ID = "2" }), "", 0},
				"no id":                {Request{Organization: acme, Method: "m", Fingerprint: digest.Digest{}}, "", 0},
			} {
				made, seen, err := tx.Request(c.request)
				if made != c.made || seen != (c.made != "") || fault.KindOf(err) != c.kind || (err == nil) != (c.kind == 0) {
					t.Errorf("%s: %q, %v, %v", name, made, seen, err)
				}
			}
		})
	})
}
