package catalog

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/escrow/catalog/pgtest"
	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
)

// databases opens an empty catalog on each database; every test of this package that uses `each` passes on all of them.
var databases = map[string]func(t *testing.T) *Catalog{
	"sqlite":   func(t *testing.T) *Catalog { return openAt(t, filepath.Join(t.TempDir(), "a 100% ?#.db")) },
	"postgres": func(t *testing.T) *Catalog { return openPostgres(t, pgtest.Start(t).URL(t)) },
}

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

func openPostgres(t *testing.T, url string) *Catalog {
	t.Helper()
	c, err := OpenPostgres(context.Background(), url)
	must(t, err)
	t.Cleanup(func() { must(t, c.Close()) })
	return c
}

func openAt(t *testing.T, path string) *Catalog {
	t.Helper()
	c, err := Open(context.Background(), path)
	must(t, err)
	t.Cleanup(func() { must(t, c.Close()) })
	return c
}

// each runs a test on a populated catalog of each database.
func each(t *testing.T, test func(t *testing.T, c *Catalog)) {
	for name, open := range databases {
		t.Run(name, func(t *testing.T) {
			c := open(t)
			populate(t, c)
			test(t, c)
		})
	}
}

// The cast of the tests.
var (
	acme     = resource.Organization{ID: "acme"}
	umbrella = resource.Organization{ID: "umbrella"}
	labA     = resource.Organization{ID: "lab-a"}
	labB     = resource.Organization{ID: "lab-b"}
	auditor  = resource.Organization{ID: "auditor"}
	operator = resource.Organization{ID: "operator"}

	router  = resource.Product{Vendor: acme, ID: "router"}
	switchP = resource.Product{Vendor: acme, ID: "switch"}
	drug    = resource.Product{Vendor: umbrella, ID: "drug"}

	router1 = resource.Release{Product: router, Version: "1.0"}
	router2 = resource.Release{Product: router, Version: "2.0"}
	switch1 = resource.Release{Product: switchP, Version: "1.0"}
	drug1   = resource.Release{Product: drug, Version: "1.0"}

	// now has microseconds, which is what a catalog keeps.
	now = time.Date(2026, 5, 6, 7, 8, 9, 123456000, time.UTC)
)

func populate(t *testing.T, c *Catalog) {
	t.Helper()
	update(t, c, func(tx *Tx) {
		for name, kind := range map[resource.Organization]Kind{
			acme: Vendor, umbrella: Vendor, labA: Evaluator, labB: Evaluator, auditor: Auditor, operator: Operator,
		} {
			must(t, tx.InsertOrganization(Organization{Name: name, Kind: kind, Country: "NO", DisplayName: name.ID, Created: now}))
		}
		for _, p := range []resource.Product{router, switchP, drug} {
			must(t, tx.InsertProduct(Product{Name: p, DisplayName: p.ID, Created: now}))
		}
		for _, r := range []resource.Release{router1, router2, switch1, drug1} {
			must(t, tx.InsertRelease(Release{Name: r, Created: now}))
		}
	})
}

// update runs f in a transaction that must succeed.
func update(t *testing.T, c *Catalog, f func(*Tx)) {
	t.Helper()
	must(t, c.Update(context.Background(), func(tx *Tx) error { f(tx); return nil }))
}

// undone runs f in a transaction that is undone, so that the next case of a table finds the catalog as it was.
func undone(t *testing.T, c *Catalog, f func(*Tx)) {
	t.Helper()
	undo := errors.New("undo")
	if err := c.Update(context.Background(), func(tx *Tx) error { f(tx); return undo }); err != undo {
		t.Fatal(err)
	}
}

// refuses runs f in a transaction of its own and wants an error of a kind. What fails on PostgreSQL fails its whole
// transaction, so that nothing else can be tested in it.
func refuses(t *testing.T, c *Catalog, what string, k fault.Kind, f func(*Tx) error) {
	t.Helper()
	wantKind(t, what, c.Update(context.Background(), f), k)
}

func view(t *testing.T, c *Catalog, f func(*Tx)) {
	t.Helper()
	must(t, c.View(context.Background(), func(tx *Tx) error { f(tx); return nil }))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// get returns a value that must be had without an error.
func get[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		must(t, err)
		return v
	}
}

func wantKind(t *testing.T, what string, err error, k fault.Kind) {
	t.Helper()
	if !fault.Is(err, k) {
		t.Errorf("%s: %v, want a fault of kind %d", what, err, k)
	}
}

func wantEqual(t *testing.T, what string, got, want any) {
	t.Helper()
	if g, w := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); g != w {
		t.Errorf("%s:\n got %s\nwant %s", what, g, w)
	}
}

// keys returns what names the records of a list.
func keys[T any](all []T, key func(T) string) []string {
	names := []string{}
	for _, v := range all {
		names = append(names, key(v))
	}
	return names
}

func sum(s string) digest.Digest { return digest.Of([]byte(s)) }
