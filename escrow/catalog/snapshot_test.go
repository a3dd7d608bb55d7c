package catalog

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
)

// A snapshot is of one moment, however busy the catalog is: every organization in it came with the one before.
func TestSnapshotOfABusyCatalog(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "catalog.db")
	c, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	add := func(n int) error {
		return c.Update(t.Context(), func(tx *Tx) error {
			for _, half := range []string{"a", "b"} {
				o := Organization{Name: resource.Organization{ID: fmt.Sprintf("o%d-%s", n, half)}, Kind: Vendor, Country: "SE", Created: time.Now()}
				if err := tx.InsertOrganization(o); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := add(0); err != nil {
		t.Fatal(err)
	}
	stop, done := make(chan struct{}), make(chan error)
	go func() {
		for n := 1; ; n++ {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			if err := add(n); err != nil {
				done <- err
				return
			}
		}
	}()
	for i := range 5 {
		out := filepath.Join(dir, fmt.Sprintf("copy-%d.db", i))
		if err := Snapshot(t.Context(), path, out); err != nil {
			t.Fatal(err)
		}
		checkPairs(t, out)
	}
	close(stop)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func checkPairs(t *testing.T, path string) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info.Mode(), err)
	}
	c, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	halves := 0
	if err := c.DB().QueryRow("SELECT count(*) FROM organizations").Scan(&halves); err != nil {
		t.Fatal(err)
	}
	if halves < 2 || halves%2 != 0 {
		t.Errorf("%d halves of organizations", halves)
	}
}

func TestSnapshotRefuses(t *testing.T) {
	dir := t.TempDir()
	if err := Snapshot(t.Context(), filepath.Join(dir, "none.db"), filepath.Join(dir, "out.db")); !fault.Is(err, fault.NotFound) {
		t.Errorf("no catalog: %v", err)
	}
	c, err := Open(t.Context(), filepath.Join(dir, "catalog.db"))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := Snapshot(t.Context(), filepath.Join(dir, "catalog.db"), filepath.Join(dir, "catalog.db")); err == nil {
		t.Error("a snapshot over its own catalog")
	}
}
