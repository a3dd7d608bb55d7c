package catalog

import (
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
)

func attestation(id string, release resource.Release, audience *resource.Organization, subjects ...digest.Digest) Attestation {
	return Attestation{ID: id, Release: release, Owner: release.Product.Vendor, Audience: audience, Signer: operator, PublicKeyPEM: "pem",
		PredicateType: "type", Subjects: subjects, Envelope: []byte("e"), Stamp: []byte{0, 1}, LeafHash: sum("leaf"), Created: now}
}

func TestPublish(t *testing.T) {
	each(t, func(t *testing.T, c *Catalog) {
		update(t, c, func(tx *Tx) {
			if _, ok, err := tx.MaxLogIndex(); ok || err != nil {
				t.Errorf("log index of nothing: %v, %v", ok, err)
			}
			a := attestation("a1", router1, nil, sum("s1"), sum("s2"), sum("s1"))
			must(t, tx.InsertAttestation(a))
			must(t, tx.InsertAttestation(attestation("a2", router1, nil)))
		})
		refuses(t, c, "same id", fault.Exists, func(tx *Tx) error {
			return tx.InsertAttestation(attestation("a1", router1, nil))
		})
		update(t, c, func(tx *Tx) {
			a := attestation("a1", router1, nil, sum("s1"), sum("s2"), sum("s1"))
			a.State = AttestationPending
			wantEqual(t, "pending", *get[*Attestation](t)(tx.Attestation("a1")), a)
			wantEqual(t, "all pending", len(get[[]Attestation](t)(tx.PendingAttestations())), 2)
			must(t, tx.InsertAttestation(attestation("a3", router1, &labA)))
			wantEqual(t, "unpublished, for everybody", get[int64](t)(tx.UnpublishedAttestations(router1)), 2)
			wantEqual(t, "unpublished of another", get[int64](t)(tx.UnpublishedAttestations(router2)), 0)

			must(t, tx.MarkPublished("a1", 0, []byte("bundle")))
			must(t, tx.MarkPublished("a1", 0, []byte("bundle")))
			wantKind(t, "at another index", tx.MarkPublished("a1", 1, []byte("other")), fault.Precondition)
			a.State, a.Bundle = AttestationPublished, []byte("bundle")
			wantEqual(t, "published", *get[*Attestation](t)(tx.Attestation("a1")), a)
			if n, ok, err := tx.MaxLogIndex(); n != 0 || !ok || err != nil {
				t.Errorf("log index: %d, %v, %v", n, ok, err)
			}
		})
		refuses(t, c, "two at one index", fault.Exists, func(tx *Tx) error { return tx.MarkPublished("a2", 0, nil) })
		update(t, c, func(tx *Tx) {
			must(t, tx.MarkPublished("a2", 41, []byte("b")))
			if n, ok, err := tx.MaxLogIndex(); n != 41 || !ok || err != nil {
				t.Errorf("log index: %d, %v, %v", n, ok, err)
			}
			wantEqual(t, "the report's is pending", len(get[[]Attestation](t)(tx.PendingAttestations())), 1)
			wantEqual(t, "none unpublished, for everybody", get[int64](t)(tx.UnpublishedAttestations(router1)), 0)
		})
	})
}

// publishSome makes a cast of attestations: a1 and a2 are for everybody with a grant, a3 is lab-a's report, a4 of another product, a5 of another
// vendor, a6 is not yet published.
func publishSome(t *testing.T, tx *Tx) {
	t.Helper()
	for i, a := range []Attestation{
		attestation("a1", router1, nil, sum("x")), attestation("a2", router2, nil, sum("y")), attestation("a3", router1, &labA, sum("x")),
		attestation("a4", switch1, nil, sum("x")), attestation("a5", drug1, nil, sum("x")), attestation("a6", router1, nil, sum("x")),
	} {
		if a.ID == "a2" {
			a.PredicateType = "other"
		}
		must(t, tx.InsertAttestation(a))
		if a.ID != "a6" {
			must(t, tx.MarkPublished(a.ID, int64(i), []byte("bundle")))
		}
	}
}

func TestAttestationsOfViewers(t *testing.T) { each(t, testAttestationsOfViewers) }

func testAttestationsOfViewers(t *testing.T, cat *Catalog) {
	ago, later := now.Add(-time.Hour), now.Add(time.Hour)
	given := func(g Grant) func(*testing.T, *Tx) {
		g.Vendor, g.Product, g.Created = acme, router, now
		return func(t *testing.T, tx *Tx) { t.Helper(); must(t, tx.InsertGrant(g)) }
	}
	for name, c := range map[string]struct {
		give   func(*testing.T, *Tx)
		viewer resource.Organization
		want   []string
	}{
		"owner":                {nil, acme, []string{"a1", "a2", "a4"}},
		"other owner":          {nil, umbrella, []string{"a5"}},
		"no grant":             {nil, labA, []string{}},
		"operator":             {nil, operator, []string{}},
		"evaluator":            {given(Grant{ID: "g", Grantee: labA, From: ago, Until: later}), labA, []string{"a1", "a2", "a3"}},
		"other evaluator":      {given(Grant{ID: "g", Grantee: labB, From: ago, Until: later}), labB, []string{"a1", "a2"}},
		"auditor":              {given(Grant{ID: "g", Grantee: auditor, From: ago, Until: later}), auditor, []string{"a1", "a2", "a3"}},
		"another's grant":      {given(Grant{ID: "g", Grantee: labB, From: ago, Until: later}), labA, []string{}},
		"begins now":           {given(Grant{ID: "g", Grantee: labB, From: now, Until: later}), labB, []string{"a1", "a2"}},
		"begins later":         {given(Grant{ID: "g", Grantee: labB, From: now.Add(time.Microsecond), Until: later}), labB, []string{}},
		"ends now":             {given(Grant{ID: "g", Grantee: labB, From: ago, Until: now}), labB, []string{}},
		"revoked":              {given(Grant{ID: "g", Grantee: labB, From: ago, Until: later, Revoked: now}), labB, []string{}},
		"to be revoked":        {given(Grant{ID: "g", Grantee: labB, From: ago, Until: later, Revoked: later}), labB, []string{"a1", "a2"}},
		"reports without one":  {given(Grant{ID: "g", Grantee: auditor, From: ago, Until: ago}), labA, []string{}},
		"nobody with no grant": {nil, resource.Organization{ID: "ghost"}, []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			undone(t, cat, func(tx *Tx) {
				publishSome(t, tx)
				if c.give != nil {
					c.give(t, tx)
				}
				page := get[[]Attestation](t)(tx.AttestationsPage(AttestationFilter{Viewer: c.viewer, Now: now}))
				wantEqual(t, "seen", keys(page, attestationID), c.want)
				for _, id := range []string{"a1", "a2", "a3", "a4", "a5", "a6"} {
					wantOne(t, tx, id, c.viewer, keys(page, attestationID))
				}
			})
		})
	}
}

func attestationID(a Attestation) string { return a.ID }

// wantOne checks that an attestation is had one by one exactly if it is in the list.
func wantOne(t *testing.T, tx *Tx, id string, viewer resource.Organization, listed []string) {
	t.Helper()
	a, err := tx.AttestationFor(id, viewer, now)
	for _, l := range listed {
		if l == id {
			must(t, err)
			wantEqual(t, "bundle", string(a.Bundle), "bundle")
			return
		}
	}
	wantKind(t, id, err, fault.NotFound)
}

func TestAttestationFilters(t *testing.T) { each(t, testAttestationFilters) }

func testAttestationFilters(t *testing.T, cat *Catalog) {
	update(t, cat, func(tx *Tx) {
		publishSome(t, tx)
		for id, p := range map[string]resource.Product{"g1": router, "g2": switch1.Product} {
			must(t, tx.InsertGrant(Grant{ID: id, Vendor: acme, Grantee: auditor, Product: p, From: now, Until: now.Add(time.Hour), Created: now}))
		}
	})
	for name, c := range map[string]struct {
		filter AttestationFilter
		want   []string
	}{
		"all":             {AttestationFilter{}, []string{"a1", "a2", "a3", "a4"}},
		"release":         {AttestationFilter{Release: router1}, []string{"a1", "a3"}},
		"subject":         {AttestationFilter{Subject: sum("y")}, []string{"a2"}},
		"unknown subject": {AttestationFilter{Subject: sum("z")}, []string{}},
		"type":            {AttestationFilter{PredicateType: "type"}, []string{"a1", "a3", "a4"}},
		"after":           {AttestationFilter{After: "a2"}, []string{"a3", "a4"}},
		"limit":           {AttestationFilter{Limit: 2}, []string{"a1", "a2"}},
		"all of them":     {AttestationFilter{Release: router1, Subject: sum("x"), PredicateType: "type", After: "a1", Limit: 1}, []string{"a3"}},
		"another's":       {AttestationFilter{Release: drug1}, []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			view(t, cat, func(tx *Tx) {
				c.filter.Viewer, c.filter.Now = auditor, now
				page := get[[]Attestation](t)(tx.AttestationsPage(c.filter))
				wantEqual(t, "seen", keys(page, attestationID), c.want)
				for _, a := range page {
					if a.Bundle != nil || a.Envelope != nil || len(a.Subjects) == 0 {
						t.Errorf("%s is listed with %d bytes of bundle, %d subjects", a.ID, len(a.Bundle), len(a.Subjects))
					}
				}
			})
		})
	}
}
