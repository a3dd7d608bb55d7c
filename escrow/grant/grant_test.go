package grant

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
)

var (
	acme     = resource.Organization{ID: "acme"}
	umbrella = resource.Organization{ID: "umbrella"}
	lab      = resource.Organization{ID: "lab"}
	otherLab = resource.Organization{ID: "other-lab"}
	operator = resource.Organization{ID: "operator"}
	router   = resource.Product{Vendor: acme, ID: "router"}
	switchP  = resource.Product{Vendor: acme, ID: "switch"}
	unknown  = resource.Product{Vendor: acme, ID: "unknown"}

	from  = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	until = from.Add(90 * 24 * time.Hour)
)

func TestLive(t *testing.T) {
	const tick = time.Microsecond
	middle := from.Add(time.Hour)
	for name, c := range map[string]struct {
		revoked, now time.Time
		want         bool
	}{
		"before":              {now: from.Add(-tick)},
		"at its start":        {now: from, want: true},
		"just before its end": {now: until.Add(-tick), want: true},
		"at its end":          {now: until},
		"before revocation":   {revoked: middle, now: middle.Add(-tick), want: true},
		"at revocation":       {revoked: middle, now: middle},
		"after revocation":    {revoked: middle, now: middle.Add(tick)},
		"revoked beforehand":  {revoked: from.Add(-tick), now: from},
	} {
		g := catalog.Grant{From: from, Until: until, Revoked: c.revoked}
		if got := Live(g, c.now); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if Live(catalog.Grant{}, from) {
		t.Error("a grant without times lives")
	}
}

func TestValidate(t *testing.T) {
	good := catalog.Grant{Vendor: acme, Grantee: lab, Product: router, From: from, Until: until}
	for name, c := range map[string]struct {
		change func(*catalog.Grant)
		kind   catalog.Kind
		field  string // "": good
	}{
		"good":             {func(*catalog.Grant) {}, catalog.Evaluator, ""},
		"auditor":          {func(*catalog.Grant) {}, catalog.Auditor, ""},
		"another vendor":   {func(*catalog.Grant) {}, catalog.Vendor, "grant.grantee"},
		"operator":         {func(*catalog.Grant) {}, catalog.Operator, "grant.grantee"},
		"itself":           {func(g *catalog.Grant) { g.Grantee = acme }, catalog.Evaluator, "grant.grantee"},
		"another's":        {func(g *catalog.Grant) { g.Product.Vendor = umbrella }, catalog.Evaluator, "grant.product"},
		"without end":      {func(g *catalog.Grant) { g.Until = time.Time{} }, catalog.Evaluator, "grant.valid_until"},
		"empty":            {func(g *catalog.Grant) { g.Until = g.From }, catalog.Evaluator, "grant.valid_until"},
		"over and done":    {func(g *catalog.Grant) { g.From, g.Until = from.Add(-2), from }, catalog.Evaluator, "grant.valid_until"},
		"begins in future": {func(g *catalog.Grant) { g.From = from.Add(1) }, catalog.Evaluator, ""},
	} {
		g := good
		c.change(&g)
		err := Validate(g, c.kind, from)
		var f *fault.Error
		if c.field == "" && err != nil || c.field != "" && (!errors.As(err, &f) || f.Kind != fault.Invalid || f.Field != c.field) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// gate makes a gate over a catalog with grants, and the clock that it goes by.
func gate(t *testing.T, grants ...catalog.Grant) (*Gate, *catalog.Catalog, *time.Time) {
	t.Helper()
	c, err := catalog.Open(t.Context(), filepath.Join(t.TempDir(), "catalog.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	err = c.Update(t.Context(), func(tx *catalog.Tx) error {
		var errs []error
		for _, o := range []resource.Organization{acme, umbrella, lab, otherLab, operator} {
			errs = append(errs, tx.InsertOrganization(catalog.Organization{Name: o, Created: from}))
		}
		for _, p := range []resource.Product{router, switchP} {
			errs = append(errs, tx.InsertProduct(catalog.Product{Name: p, Created: from}))
		}
		for _, g := range grants {
			errs = append(errs, tx.InsertGrant(g))
		}
		return errors.Join(errs...)
	})
	if err != nil {
		t.Fatal(err)
	}
	now := from
	return &Gate{Grants: c, Now: func() time.Time { return now }}, c, &now
}

func given(id string, grantee resource.Organization, until time.Time) catalog.Grant {
	return catalog.Grant{ID: id, Vendor: acme, Grantee: grantee, Product: router, From: from, Until: until, Created: from}
}

func TestGate(t *testing.T) {
	g, _, now := gate(t, given("short", lab, from.Add(time.Hour)), given("long", lab, until), given("middle", lab, from.Add(2*time.Hour)))
	*now = from.Add(time.Minute)
	for name, c := range map[string]struct {
		reader  resource.Organization
		product resource.Product
		grant   string
		denied  bool
	}{
		"the vendor":              {acme, router, "", false},
		"the grantee":             {lab, router, "long", false},
		"another product":         {lab, switchP, "", true},
		"another lab":             {otherLab, router, "", true},
		"another vendor":          {umbrella, router, "", true},
		"the operator":            {operator, router, "", true},
		"nobody":                  {resource.Organization{}, router, "", true},
		"a product not there":     {lab, unknown, "", true},
		"the vendor's, not there": {acme, unknown, "", false},
	} {
		id, err := g.Check(t.Context(), c.reader, c.product)
		if id != c.grant || fault.Is(err, fault.Denied) != c.denied || !c.denied && err != nil {
			t.Errorf("%s: %q, %v", name, id, err)
		}
		err = g.Recheck(t.Context(), c.reader, c.product, id)
		if fault.Is(err, fault.Denied) != c.denied || !c.denied && err != nil {
			t.Errorf("%s again: %v", name, err)
		}
	}
}

// Who asks must not learn from the answer whether a product is there.
func TestDenialTellsNothing(t *testing.T) {
	g, _, _ := gate(t)
	_, there := g.Check(t.Context(), lab, router)
	_, missing := g.Check(t.Context(), lab, unknown)
	if strings.ReplaceAll(there.Error(), "router", "unknown") != missing.Error() {
		t.Errorf("%q and %q differ", there, missing)
	}
}

func TestStreamEndsWithItsGrant(t *testing.T) {
	for name, c := range map[string]struct {
		end    func(t *testing.T, c *catalog.Catalog, now *time.Time)
		denied bool
	}{
		"lives on": {func(_ *testing.T, _ *catalog.Catalog, now *time.Time) { *now = until.Add(-1) }, false},
		"lapses":   {func(_ *testing.T, _ *catalog.Catalog, now *time.Time) { *now = until }, true},
		"revoked": {func(t *testing.T, c *catalog.Catalog, now *time.Time) {
			err := c.Update(t.Context(), func(tx *catalog.Tx) error { _, err := tx.RevokeGrant(acme, "g", *now); return err })
			if err != nil {
				t.Fatal(err)
			}
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			// Another grant that lives is not the one that the trail names.
			g, cat, now := gate(t, given("g", lab, until), given("other", lab, from.Add(time.Hour)))
			id, err := g.Check(t.Context(), lab, router)
			if err != nil || id != "g" {
				t.Fatalf("%q, %v", id, err)
			}
			c.end(t, cat, now)
			err = g.Recheck(t.Context(), lab, router, id)
			if fault.Is(err, fault.Denied) != c.denied || !c.denied && err != nil {
				t.Errorf("Recheck: %v", err)
			}
		})
	}
}

// wrongStore answers with grants of somebody else, of another product, and that live no more.
type wrongStore struct{}

func (wrongStore) LiveGrants(context.Context, resource.Organization, resource.Product, time.Time) ([]catalog.Grant, error) {
	foreign := given("a", lab, until)
	foreign.Product = resource.Product{Vendor: umbrella, ID: "router"}
	return []catalog.Grant{given("b", otherLab, until), given("c", lab, from), foreign}, nil
}

func TestGateDoesNotTrustTheStore(t *testing.T) {
	g := Gate{Grants: wrongStore{}, Now: func() time.Time { return from }}
	if id, err := g.Check(t.Context(), lab, router); !fault.Is(err, fault.Denied) {
		t.Errorf("%q, %v", id, err)
	}
}

func BenchmarkRecheck(b *testing.B) {
	c, err := catalog.Open(b.Context(), filepath.Join(b.TempDir(), "catalog.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close() //nolint:errcheck
	g := Gate{Grants: c}
	for b.Loop() {
		if err := g.Recheck(b.Context(), lab, router, "g"); !fault.Is(err, fault.Denied) {
			b.Fatal(err)
		}
	}
}
