package catalog

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/countersign-escrow/countersign/escrow/catalog/pgtest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
)

// BenchmarkUpdate measures durable updates of some rows each: of things apart from each other, and of one that all change.
func BenchmarkUpdate(b *testing.B) {
	for database, open := range map[string]func() (*Catalog, error){
		"sqlite": func() (*Catalog, error) { return Open(b.Context(), filepath.Join(b.TempDir(), "db")) },
		"postgres": func() (*Catalog, error) {
			return OpenPostgres(b.Context(), pgtest.StartOwn(b, pgtest.Options{Durable: true}).URL(b))
		},
	} {
		c, err := open()
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { c.Close() }) //nolint:errcheck
		for _, callers := range []int{1, 16} {
			for name, vendors := range map[string]int{"apart": callers, "same": 1} {
				b.Run(fmt.Sprintf("%s/%s/callers=%d", database, name, callers), func(b *testing.B) { updates(b, c, callers, vendors) })
			}
		}
	}
}

func updates(b *testing.B, c *Catalog, callers, vendors int) {
	for i := range vendors {
		o := Organization{Name: resource.Organization{ID: fmt.Sprint("v", i)}, Kind: Vendor, Created: now}
		err := c.Update(b.Context(), func(tx *Tx) error { return tx.InsertOrganization(o) })
		if err != nil && !fault.Is(err, fault.Exists) {
			b.Fatal(err)
		}
	}
	var left, runs atomic.Int64
	var wg sync.WaitGroup
	left.Store(int64(b.N))
	b.ResetTimer()
	for i := range callers {
		vendor := resource.Organization{ID: fmt.Sprint("v", i%vendors)}
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				err := c.Update(context.Background(), func(tx *Tx) error {
					runs.Add(1)
					return tx.InsertAccess(&AccessRecord{Vendor: vendor, Reader: labA, Resource: "r", Time: now})
				})
				if err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "updates/s")
	b.ReportMetric(float64(runs.Load())/float64(b.N), "runs/update")
}
