package catalog

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
)

func TestReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalog.db")
	c := get[*Catalog](t)(Open(context.Background(), path))
	populate(t, c)
	must(t, c.Close())
	c = openAt(t, path)
	must(t, c.Ping(context.Background()))
	view(t, c, func(tx *Tx) {
		wantEqual(t, "release", *get[*Release](t)(tx.Release(router1)), Release{Name: router1, State: ReleaseOpen, Created: now})
	})
}

// What is acknowledged must be on the disk: these settings are what makes it so.
func TestDurableSettings(t *testing.T) {
	c := openAt(t, filepath.Join(t.TempDir(), "catalog.db"))
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1"} {
		var got string
		must(t, c.DB().QueryRow(`PRAGMA `+pragma).Scan(&got))
		if got != want {
			t.Errorf("%s is %s, want %s", pragma, got, want)
		}
	}
}

func TestFilesArePrivate(t *testing.T) {
	dir := t.TempDir()
	populate(t, openAt(t, filepath.Join(dir, "catalog.db")))
	entries := get[[]os.DirEntry](t)(os.ReadDir(dir))
	if len(entries) < 2 {
		t.Errorf("%d files, want the database and its write-ahead log", len(entries))
	}
	for _, e := range entries {
		if mode := get[os.FileInfo](t)(e.Info()).Mode().Perm(); mode != 0o600 {
			t.Errorf("%s has mode %o", e.Name(), mode)
		}
	}
}

func TestNoDatabase(t *testing.T) {
	if _, err := Open(context.Background(), filepath.Join(t.TempDir(), "missing", "catalog.db")); err == nil {
		t.Error("opened a database in a folder that is not there")
	}
}

func TestRollback(t *testing.T) {
	fail := errors.New("fail")
	newcomer := Organization{Name: resource.Organization{ID: "newcomer"}, Kind: Agency, Created: now}
	for name, end := range map[string]func() error{
		"error": func() error { return fail },
		"panic": func() error { panic(fail) },
	} {
		each(t, func(t *testing.T, c *Catalog) {
			func() {
				defer func() { _ = recover() }()
				err := c.Update(context.Background(), func(tx *Tx) error {
					must(t, tx.InsertOrganization(newcomer))
					must(t, tx.InsertReleaseEvent(ReleaseEvent{Release: router1, Created: now}))
					return end()
				})
				if err != fail {
					t.Errorf("%s: %v", name, err)
				}
			}()
			update(t, c, func(tx *Tx) {
				_, err := tx.Organization(newcomer.Name)
				wantKind(t, "after "+name, err, fault.NotFound)
				// Numbers taken by what was undone are given again: there are no gaps.
				must(t, tx.InsertReleaseEvent(ReleaseEvent{Release: router1, Created: now}))
				wantEqual(t, "events", len(get[[]ReleaseEvent](t)(tx.ReleaseEvents(router1, 0, 0))), 1)
				wantEqual(t, "number", get[[]ReleaseEvent](t)(tx.ReleaseEvents(router1, 0, 0))[0].Seq, 1)
			})
		})
	}
}

func TestEndedContextUndoes(t *testing.T) {
	each(t, func(t *testing.T, c *Catalog) {
		ctx, cancel := context.WithCancel(context.Background())
		err := c.Update(ctx, func(tx *Tx) error {
			must(t, tx.InsertProduct(Product{Name: resource.Product{Vendor: acme, ID: "late"}, Created: now}))
			cancel()
			return nil
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("Update: %v", err)
		}
		view(t, c, func(tx *Tx) {
			_, err := tx.Product(resource.Product{Vendor: acme, ID: "late"})
			wantKind(t, "product", err, fault.NotFound)
		})
	})
}

func TestViewDoesNotWrite(t *testing.T) {
	each(t, func(t *testing.T, c *Catalog) {
		err := c.View(context.Background(), func(tx *Tx) error {
			return tx.InsertOrganization(Organization{Name: resource.Organization{ID: "newcomer"}})
		})
		if err == nil {
			t.Error("a read transaction wrote")
		}
	})
}

func TestUpdatesAreSerial(t *testing.T) {
	each(t, func(t *testing.T, c *Catalog) {
		const callers = 20
		var wg sync.WaitGroup
		for range callers {
			wg.Go(func() {
				if err := c.Update(context.Background(), func(tx *Tx) error {
					return tx.InsertAccess(&AccessRecord{Vendor: acme, Reader: labA, Resource: "r", Time: now})
				}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		view(t, c, func(tx *Tx) {
			all := get[[]AccessRecord](t)(tx.AccessRecords(acme, 0, 100))
			for i, a := range all {
				wantEqual(t, "number", a.Seq, callers-i)
			}
			wantEqual(t, "records", len(all), callers)
		})
	})
}

// A job must be inserted in the transaction that makes it due.
func TestForeignStatementsShareTheTransaction(t *testing.T) {
	each(t, func(t *testing.T, c *Catalog) {
		get[sql.Result](t)(c.DB().Exec(`CREATE TABLE jobs (id BIGINT)`))
		_ = c.Update(context.Background(), func(tx *Tx) error {
			get[sql.Result](t)(tx.SQL().Exec(`INSERT INTO jobs (id) VALUES (1)`))
			return errors.New("undo")
		})
		var n int
		must(t, c.DB().QueryRow(`SELECT COUNT(*) FROM jobs`).Scan(&n))
		wantEqual(t, "jobs", n, 0)
	})
}

// Every record comes back as it went in, and is refused twice and without what it belongs to.
func TestRoundTrips(t *testing.T) {
	ghost := resource.Organization{ID: "ghost"}
	later := now.Add(time.Hour)
	anchor := TrustAnchor{ID: "a1", Organization: acme, Purpose: PurposeRelease, Product: &router, Kind: "X509", Material: "{é}", KeyID: "k",
		Description: "CN=é", Unsafe: UnsafeAlgorithms{SHA1: true, ShortRSA: true},
		From: now, Until: later, Revoked: later, Compromised: true, Created: now}
	environment := Environment{Vendor: acme, Image: sum("image"), DisplayName: "d", Platform: "linux/amd64",
		Blobs: []BlobRef{{sum("layer"), 5}, {sum("config"), 6}}, Created: now}
	grant := Grant{ID: "g1", Vendor: acme, Grantee: labA, Product: router, From: now, Until: later, Created: now}
	certificate := Certificate{Serial: "01", Organization: labA, Member: "m", NotAfter: later}
	for name, c := range map[string]struct {
		insert func(*Tx, resource.Organization) error
		read   func(*Tx) (any, error)
		want   any
		owner  resource.Organization
	}{
		"organization": {
			func(tx *Tx, _ resource.Organization) error {
				return tx.InsertOrganization(Organization{Name: ghost, Kind: Agency, Country: "FR", DisplayName: "é", Created: now})
			},
			func(tx *Tx) (any, error) { v, err := tx.Organization(ghost); return *v, err },
			Organization{Name: ghost, Kind: Agency, Country: "FR", DisplayName: "é", Created: now}, resource.Organization{},
		},
		"product": {
			func(tx *Tx, o resource.Organization) error {
				return tx.InsertProduct(Product{Name: resource.Product{Vendor: o, ID: "new"}, DisplayName: "d", Created: now})
			},
			func(tx *Tx) (any, error) {
				v, err := tx.Product(resource.Product{Vendor: acme, ID: "new"})
				return *v, err
			},
			Product{Name: resource.Product{Vendor: acme, ID: "new"}, DisplayName: "d", Created: now}, acme,
		},
		"trust anchor": {
			func(tx *Tx, o resource.Organization) error {
				a := anchor
				a.Organization = o
				return tx.InsertTrustAnchor(a)
			},
			func(tx *Tx) (any, error) {
				v, err := tx.TrustAnchor(acme, "a1")
				w := *v
				w.Product = nil
				return w, err
			},
			func() TrustAnchor { w := anchor; w.Product = nil; return w }(), acme,
		},
		"environment": {
			func(tx *Tx, o resource.Organization) error {
				e := environment
				e.Vendor = o
				return tx.InsertEnvironment(e)
			},
			func(tx *Tx) (any, error) { v, err := tx.Environment(acme, sum("image")); return *v, err },
			environment, acme,
		},
		"certificate": {
			func(tx *Tx, o resource.Organization) error {
				v := certificate
				v.Organization = o
				return tx.InsertCertificate(v)
			},
			func(tx *Tx) (any, error) { v, err := tx.Certificate("01"); return *v, err },
			certificate, labA,
		},
		"grant": {
			func(tx *Tx, o resource.Organization) error { g := grant; g.Grantee = o; return tx.InsertGrant(g) },
			func(tx *Tx) (any, error) { v, err := tx.Grant(acme, "g1"); return *v, err },
			grant, labA,
		},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, cat *Catalog) {
				if c.owner != (resource.Organization{}) {
					wantKind(t, "of nobody", cat.Update(context.Background(), func(tx *Tx) error { return c.insert(tx, ghost) }), fault.NotFound)
				}
				update(t, cat, func(tx *Tx) {
					must(t, c.insert(tx, c.owner))
					wantEqual(t, "read back", get[any](t)(c.read(tx)), c.want)
				})
				err := cat.Update(context.Background(), func(tx *Tx) error { return c.insert(tx, c.owner) })
				wantKind(t, "twice", err, fault.Exists)
			})
		})
	}
}

func TestNothingThere(t *testing.T) {
	each(t, func(t *testing.T, c *Catalog) {
		ghost := resource.Organization{ID: "ghost"}
		update(t, c, func(tx *Tx) {
			for name, read := range map[string]func() (any, error){
				"organization": func() (any, error) { return tx.Organization(ghost) },
				"product":      func() (any, error) { return tx.Product(resource.Product{Vendor: acme, ID: "x"}) },
				"anchor":       func() (any, error) { return tx.TrustAnchor(acme, "x") },
				"revoke":       func() (any, error) { return tx.RevokeTrustAnchor(acme, "x", now, false) },
				"environment":  func() (any, error) { return tx.Environment(acme, sum("x")) },
				"certificate":  func() (any, error) { return tx.Certificate("x") },
				"revoke cert":  func() (any, error) { return nil, tx.RevokeCertificate("x", now) },
				"blob":         func() (any, error) { return tx.Deposited(acme, sum("x")) },
				"release":      func() (any, error) { return tx.Release(resource.Release{Product: router, Version: "9"}) },
				"file":         func() (any, error) { return tx.ReleaseFile(router1, sum("x")) },
				"finding":      func() (any, error) { return tx.Finding(router1, "x") },
				"rebuild":      func() (any, error) { return tx.Rebuild(labA, "x") },
				"attestation":  func() (any, error) { return tx.Attestation("x") },
				"visible":      func() (any, error) { return tx.AttestationFor("x", acme, now) },
				"publish":      func() (any, error) { return nil, tx.MarkPublished("x", 1, nil) },
				"policy":       func() (any, error) { return tx.Policy(labA, 1) },
				"current":      func() (any, error) { return tx.CurrentPolicy(labA) },
				"report":       func() (any, error) { return tx.Report(labA, 1) },
				"grant":        func() (any, error) { return tx.Grant(acme, "x") },
				"revoke grant": func() (any, error) { return tx.RevokeGrant(acme, "x", now) },
				"seal": func() (any, error) {
					return nil, tx.SealRelease(Release{Name: resource.Release{Product: router, Version: "9"}})
				},
			} {
				_, err := read()
				wantKind(t, name, err, fault.NotFound)
			}
		})
	})
}

func TestPages(t *testing.T) {
	each(t, func(t *testing.T, c *Catalog) {
		view(t, c, func(tx *Tx) {
			var names []string
			for after := ""; ; after = names[len(names)-1] {
				page := get[[]Organization](t)(tx.Organizations(after, 2))
				if len(page) == 0 {
					break
				}
				if len(page) > 2 {
					t.Fatalf("%d on a page of 2", len(page))
				}
				names = append(names, keys(page, func(o Organization) string { return o.Name.String() })...)
			}
			wantEqual(t, "organizations", names, []string{"organizations/acme", "organizations/auditor", "organizations/lab-a",
				"organizations/lab-b", "organizations/operator", "organizations/umbrella"})
			name := func(p Product) string { return p.Name.ID }
			wantEqual(t, "products", keys(get[[]Product](t)(tx.Products(acme, "", 0)), name), []string{"router", "switch"})
			wantEqual(t, "products", keys(get[[]Product](t)(tx.Products(acme, router.String(), 0)), name), []string{"switch"})
			version := func(r Release) string { return r.Name.Version }
			wantEqual(t, "releases", keys(get[[]Release](t)(tx.Releases(router, "", 0)), version), []string{"1.0", "2.0"})
			wantEqual(t, "releases", keys(get[[]Release](t)(tx.Releases(router, "1.0", 0)), version), []string{"2.0"})
		})
	})
}
