package catalog

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"os"
	"path/filepath"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/countersign-escrow/countersign/escrow/durable"
)

// Open opens the SQLite database at path, makes it if it is not there, and brings its schema up to date.
// A database with a newer schema than this program knows is refused.
func Open(ctx context.Context, path string) (*Catalog, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, opening(path, err)
	}
	if err := makePrivate(path); err != nil {
		return nil, opening(path, err)
	}
	db, err := sql.Open("sqlite", dataSource(path))
	if err != nil {
		return nil, opening(path, err)
	}
	// The job queue writes into the same file: with one connection the two never meet a locked database.
	db.SetMaxOpenConns(1)
	c := &Catalog{db: db, dialect: dialect{name: SQLite, read: sql.TxOptions{ReadOnly: true}}}
	if err := errors.Join(c.migrate(ctx), durable.SyncFolder(filepath.Dir(path))); err != nil {
		return nil, errors.Join(opening(path, err), db.Close())
	}
	return c, nil
}

// makePrivate makes the file, so that it and the files that the driver lays beside it are for their owner only.
func makePrivate(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// dataSource makes the driver's name for the file at path. A commit is on the disk when it returns (synchronous=FULL).
func dataSource(path string) string {
	u := url.URL{Scheme: "file", Path: path, RawQuery: url.Values{
		"_pragma": {"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)"},
		"_txlock": {"immediate"},
	}.Encode()}
	return u.String()
}

// sqliteTrouble says what an error of SQLite's means.
func sqliteTrouble(e *sqlite.Error) trouble {
	switch e.Code() {
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY:
		return duplicate
	case sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
		return dangling
	}
	switch e.Code() & 0xff { // without what the code says besides
	case sqlite3.SQLITE_FULL:
		return full
	case sqlite3.SQLITE_BUSY:
		return unreachable
	}
	return unknown
}
