package catalog

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
)

// grant gives a grant that lives from now for half an hour, and returns it.
func grant(t *testing.T, tx *Tx, grantee resource.Organization, p resource.Product) Grant {
	t.Helper()
	id, err := uuid.NewV7()
	must(t, err)
	g := Grant{ID: id.String(), Vendor: p.Vendor, Grantee: grantee, Product: p, From: now, Until: now.Add(30 * time.Minute), Created: now}
	must(t, tx.InsertGrant(g))
	return g
}

func TestTokens(t *testing.T) {
	token := EnrolmentToken{Hash: sum("secret"), Organization: labA, Member: "head", Expires: now.Add(time.Hour)}
	for name, c := range map[string]struct {
		secret string
		at     time.Time
		ok     bool
	}{
		"good":       {"secret", now.Add(time.Hour - time.Microsecond), true},
		"unknown":    {"other", now, false},
		"at its end": {"secret", now.Add(time.Hour), false},
		"expired":    {"secret", now.Add(2 * time.Hour), false},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, cat *Catalog) {
				update(t, cat, func(tx *Tx) {
					must(t, tx.InsertToken(token))
					used, err := tx.UseToken(sum(c.secret), c.at)
					if !c.ok {
						wantKind(t, "UseToken", err, fault.Denied)
						return
					}
					must(t, err)
					want := token
					want.Used = c.at
					wantEqual(t, "token", *used, want)
					_, err = tx.UseToken(sum(c.secret), now)
					wantKind(t, "used twice", err, fault.Denied)
				})
			})
		})
	}
}

// What failed after the token was looked at must leave the token good.
func TestTokenOfAFailedEnrolment(t *testing.T) {
	each(t, func(t *testing.T, c *Catalog) {
		update(t, c, func(tx *Tx) {
			must(t, tx.InsertToken(EnrolmentToken{Hash: sum("s"), Organization: labA, Member: "m", Expires: now.Add(time.Hour)}))
		})
		_ = c.Update(t.Context(), func(tx *Tx) error {
			get[*EnrolmentToken](t)(tx.UseToken(sum("s"), now))
			return fault.Invalidf("csr", "malformed")
		})
		update(t, c, func(tx *Tx) { get[*EnrolmentToken](t)(tx.UseToken(sum("s"), now)) })
	})
}

func TestRevocationsStand(t *testing.T) {
	each(t, func(t *testing.T, c *Catalog) {
		later := now.Add(time.Hour)
		update(t, c, func(tx *Tx) {
			must(t, tx.InsertTrustAnchor(TrustAnchor{ID: "a", Organization: labA, Purpose: PurposeRebuild, Created: now}))
			must(t, tx.InsertCertificate(Certificate{Serial: "s", Organization: labA, NotAfter: later}))
			g := grant(t, tx, labA, router)
			for _, at := range []time.Time{now, later} {
				wantEqual(t, "anchor", get[*TrustAnchor](t)(tx.RevokeTrustAnchor(labA, "a", at, false)).Revoked, now)
				wantEqual(t, "grant", get[*Grant](t)(tx.RevokeGrant(acme, g.ID, at)).Revoked, now)
				must(t, tx.RevokeCertificate("s", at))
				wantEqual(t, "certificate", get[*Certificate](t)(tx.Certificate("s")).Revoked, now)
			}
			_, err := tx.RevokeTrustAnchor(labB, "a", now, true)
			wantKind(t, "another's anchor", err, fault.NotFound)
			_, err = tx.RevokeGrant(umbrella, g.ID, now)
			wantKind(t, "another's grant", err, fault.NotFound)
		})
	})
}

func TestCompromiseIsNeverTakenBack(t *testing.T) {
	each(t, func(t *testing.T, c *Catalog) {
		update(t, c, func(tx *Tx) {
			must(t, tx.InsertTrustAnchor(TrustAnchor{ID: "a", Organization: labA, Purpose: PurposeRebuild, Created: now}))
			for i, step := range []struct{ say, want bool }{{false, false}, {true, true}, {false, true}} {
				a := get[*TrustAnchor](t)(tx.RevokeTrustAnchor(labA, "a", now.Add(time.Duration(i)*time.Hour), step.say))
				wantEqual(t, "revoked", a.Revoked, now)
				wantEqual(t, fmt.Sprintf("compromised after call %d", i), a.Compromised, step.want)
			}
		})
	})
}

func TestTrustAnchors(t *testing.T) {
	each(t, func(t *testing.T, c *Catalog) {
		update(t, c, func(tx *Tx) {
			for id, product := range map[string]*resource.Product{"a": nil, "b": &router, "c": nil} {
				must(t, tx.InsertTrustAnchor(TrustAnchor{ID: id, Organization: acme, Purpose: PurposeRelease, Product: product, Created: now}))
			}
			must(t, tx.InsertTrustAnchor(TrustAnchor{ID: "d", Organization: labA, Purpose: PurposeRebuild, Created: now}))
			all := get[[]TrustAnchor](t)(tx.TrustAnchors(acme))
			id := func(a TrustAnchor) string { return a.ID }
			wantEqual(t, "all", keys(all, id), []string{"a", "b", "c"})
			if all[0].Product != nil || all[1].Product == nil || *all[1].Product != router {
				t.Errorf("products %v, %v", all[0].Product, all[1].Product)
			}
			wantEqual(t, "page", keys(get[[]TrustAnchor](t)(tx.TrustAnchorsPage(acme, "a", 1)), id), []string{"b"})
		})
	})
}

func TestGrants(t *testing.T) {
	each(t, func(t *testing.T, c *Catalog) {
		update(t, c, func(tx *Tx) {
			first, second := grant(t, tx, labA, router), grant(t, tx, labA, router)
			third, fourth := grant(t, tx, labB, router), grant(t, tx, labA, drug)
			id := func(g Grant) string { return g.ID }
			wantEqual(t, "given", keys(get[[]Grant](t)(tx.GrantsOf(acme, "", 0)), id), []string{first.ID, second.ID, third.ID})
			wantEqual(t, "received", keys(get[[]Grant](t)(tx.GrantsOf(labA, "", 0)), id), []string{first.ID, second.ID, fourth.ID})
			wantEqual(t, "page", keys(get[[]Grant](t)(tx.GrantsOf(labA, first.ID, 1)), id), []string{second.ID})
			wantEqual(t, "live", keys(get[[]Grant](t)(tx.LiveGrants(labA, router, now)), id), []string{first.ID, second.ID})
			wantEqual(t, "live later", len(get[[]Grant](t)(tx.LiveGrants(labA, router, first.Until))), 0)
			wantEqual(t, "grantees", get[[]resource.Organization](t)(tx.LiveGrantees(router, now)), []resource.Organization{labA, labB})
			name := func(p Product) string { return p.Name.ID }
			wantEqual(t, "products", keys(get[[]Product](t)(tx.GrantedProducts(labA, now, "", 0)), name), []string{"router", "drug"})
			wantEqual(t, "products", keys(get[[]Product](t)(tx.GrantedProducts(labA, now, router.String(), 0)), name), []string{"drug"})
			get[*Grant](t)(tx.RevokeGrant(acme, third.ID, now))
			wantEqual(t, "grantees", get[[]resource.Organization](t)(tx.LiveGrantees(router, now)), []resource.Organization{labA})
		})
		wantEqual(t, "live", len(get[[]Grant](t)(c.LiveGrants(t.Context(), labA, drug, now))), 1)
	})
}

func TestAccessTrail(t *testing.T) {
	each(t, func(t *testing.T, c *Catalog) {
		update(t, c, func(tx *Tx) {
			var all []AccessRecord
			for i := range 3 {
				a := AccessRecord{Vendor: acme, Reader: labA, Member: "m", Resource: "r", GrantID: "g", Bytes: int64(i), Time: now}
				must(t, tx.InsertAccess(&a))
				all = append(all, a)
			}
			must(t, tx.InsertAccess(&AccessRecord{Vendor: umbrella, Reader: umbrella, Time: now}))
			wantEqual(t, "newest first", get[[]AccessRecord](t)(tx.AccessRecords(acme, 0, 2)), []AccessRecord{all[2], all[1]})
			wantEqual(t, "the rest", get[[]AccessRecord](t)(tx.AccessRecords(acme, 2, 2)), []AccessRecord{all[0]})
			wantEqual(t, "numbers", []int64{all[0].Seq, all[1].Seq, all[2].Seq}, []int64{1, 2, 3})
		})
	})
}
