package catalog

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/escrow/catalog/pgtest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
)

func TestUnsuitableDatabasesAreRefused(t *testing.T) {
	s := pgtest.Start(t)
	for name, c := range map[string]struct{ options, advice string }{
		"collation":   {`ENCODING 'UTF8' LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8'`, "LC_COLLATE 'C'"},
		"ICU":         {`ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'en' LOCALE 'C'`, "LOCALE_PROVIDER libc"},
		"encoding":    {`ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'`, "CREATE DATABASE \"test"},
		"not durable": {"", "synchronous_commit = on"},
	} {
		t.Run(name, func(t *testing.T) {
			url := s.URLWith(t, c.options)
			if name == "not durable" {
				url += "&options=-csynchronous_commit%3Doff"
			}
			_, err := OpenPostgres(t.Context(), url)
			wantKind(t, "OpenPostgres", err, fault.Precondition)
			if err == nil || !strings.Contains(err.Error(), c.advice) {
				t.Errorf("the error does not say what to do: %v", err)
			}
		})
	}
	old := server{version: 14_00_09}
	wantKind(t, "PostgreSQL 14", old.check("x"), fault.Precondition)
}

func TestBadAddresses(t *testing.T) {
	for name, c := range map[string]struct {
		url  string
		kind fault.Kind
	}{
		"nobody listens": {"postgres://u:secret@127.0.0.1:1/db?sslmode=disable", fault.Unavailable},
		"no database":    {strings.Replace(pgtest.Start(t).URL(t), "/test", "/none", 1), fault.Internal},
		"pool":           {"postgres://u:secret@127.0.0.1:1/db?pool_max_conns=1", fault.Invalid},
		"no URL":         {"postgres://u:secret@127.0.0.1:port/db", fault.Internal},
	} {
		_, err := OpenPostgres(t.Context(), c.url)
		if err == nil || fault.KindOf(err) != c.kind || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPoolSize(t *testing.T) {
	c := openPostgres(t, pgtest.Start(t).URL(t)+"&pool_max_conns=3")
	wantEqual(t, "connections", c.DB().Stats().MaxOpenConnections, 3)
}

// Several processes may start at once on an empty database.
func TestProcessesMigrateOneAfterTheOther(t *testing.T) {
	url := pgtest.Start(t).URL(t)
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			c, err := OpenPostgres(context.Background(), url)
			if err != nil {
				t.Error(err)
				return
			}
			must(t, c.Close())
		})
	}
	wg.Wait()
}

// Two transactions that each read what the other writes: one of them must see the other's work.
func TestUpdatesThatMeetRunAgain(t *testing.T) {
	c := openPostgres(t, pgtest.Start(t).URL(t))
	populate(t, c)
	var both sync.WaitGroup
	both.Add(2)
	var runs atomic.Int32
	first := [2]sync.Once{}
	var wg sync.WaitGroup
	for i := range 2 {
		wg.Go(func() {
			must(t, c.Update(context.Background(), func(tx *Tx) error {
				runs.Add(1)
				all, err := tx.Environments(acme, "", 0)
				if err != nil {
					return err
				}
				first[i].Do(func() { both.Done(); both.Wait() })
				if len(all) > 0 {
					return nil
				}
				return tx.InsertEnvironment(Environment{Vendor: acme, Image: sum(fmt.Sprint(i)), Created: now})
			}))
		})
	}
	wg.Wait()
	wantEqual(t, "runs", runs.Load(), 3)
	view(t, c, func(tx *Tx) {
		wantEqual(t, "environments", len(get[[]Environment](t)(tx.Environments(acme, "", 0))), 1)
	})
}

// Where all change the same row, everybody comes through all the same.
func TestManyUpdatesOfOneRow(t *testing.T) {
	url := pgtest.Start(t).URL(t)
	processes := []*Catalog{openPostgres(t, url), openPostgres(t, url)}
	populate(t, processes[0])
	const callers, each = 40, 10
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for range each {
				if err := processes[i%2].Update(context.Background(), func(tx *Tx) error {
					return tx.InsertAccess(&AccessRecord{Vendor: acme, Reader: labA, Resource: "r", Time: now})
				}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	view(t, processes[0], func(tx *Tx) {
		all := get[[]AccessRecord](t)(tx.AccessRecords(acme, 0, callers*each+1))
		wantEqual(t, "records", len(all), callers*each)
		wantEqual(t, "newest", all[0].Seq, callers*each)
	})
}

// A function that swallows the error of a meeting is run again all the same.
func TestSwallowedConflict(t *testing.T) {
	c := openPostgres(t, pgtest.Start(t).URL(t))
	populate(t, c)
	runs := 0
	must(t, c.Update(context.Background(), func(tx *Tx) error {
		if runs++; runs == 1 {
			_, _ = tx.exec("a meeting", `DO $$ BEGIN RAISE serialization_failure; END $$`)
		}
		_ = tx.InsertProduct(Product{Name: resource.Product{Vendor: acme, ID: "new"}, Created: now})
		return nil
	}))
	wantEqual(t, "runs", runs, 2)
}

func TestDatabaseGoneAndBack(t *testing.T) {
	s := pgtest.StartOwn(t, pgtest.Options{Durable: true})
	c := openPostgres(t, s.URL(t))
	populate(t, c)
	product := func(id string) Product {
		return Product{Name: resource.Product{Vendor: acme, ID: id}, Created: now}
	}
	err := c.Update(t.Context(), func(tx *Tx) error {
		must(t, tx.InsertProduct(product("in-flight")))
		s.Kill(t)
		return nil
	})
	wantKind(t, "commit while the database goes", err, fault.Unavailable)
	for range 3 {
		wantKind(t, "update", c.Update(t.Context(), func(tx *Tx) error { return tx.InsertProduct(product("never")) }), fault.Unavailable)
		wantKind(t, "view", c.View(t.Context(), func(*Tx) error { return nil }), fault.Unavailable)
	}
	s.Resume(t)
	deadline := time.Now().Add(10 * time.Second)
	for err = errors.New("not tried"); err != nil && time.Now().Before(deadline); {
		err = c.Update(t.Context(), func(tx *Tx) error { return tx.InsertProduct(product("after")) })
	}
	must(t, err)
	view(t, c, func(tx *Tx) {
		id := func(p Product) string { return p.Name.ID }
		wantEqual(t, "products", keys(get[[]Product](t)(tx.Products(acme, "", 0)), id), []string{"after", "router", "switch"})
	})
}

// A process that was stopped in the middle of a transaction must not keep others waiting for ever.
func TestAnIdleTransactionIsEnded(t *testing.T) {
	c := openPostgres(t, pgtest.Start(t).URL(t)+"&idle_in_transaction_session_timeout=200ms")
	populate(t, c)
	err := c.Update(t.Context(), func(tx *Tx) error {
		must(t, tx.InsertReleaseEvent(ReleaseEvent{Release: router1, Created: now}))
		time.Sleep(600 * time.Millisecond)
		return tx.InsertReleaseEvent(ReleaseEvent{Release: router1, Created: now})
	})
	wantKind(t, "an update that slept", err, fault.Unavailable)
	update(t, c, func(tx *Tx) { must(t, tx.InsertReleaseEvent(ReleaseEvent{Release: router1, Created: now})) })
}
