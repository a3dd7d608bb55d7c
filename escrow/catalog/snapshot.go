package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

// Snapshot copies the SQLite database at path to the new file out, as it is at one moment, also while a Catalog has it open,
// which goes on meanwhile. The copy is whole and for its owner only; it is not synced.
func Snapshot(ctx context.Context, path, out string) error {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return fault.NoSuch(path)
	} else if err != nil {
		return opening(path, err)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return opening(path, err)
	}
	if err := makePrivate(out); err != nil {
		return opening(out, err)
	}
	db, err := sql.Open("sqlite", dataSource(path))
	if err != nil {
		return opening(path, err)
	}
	db.SetMaxOpenConns(1)
	_, err = db.ExecContext(ctx, "VACUUM INTO ?", out)
	if err != nil {
		err = fmt.Errorf("copy the catalog %s: %w", path, err)
	}
	return errors.Join(err, db.Close())
}
