// Package catalog is the metadata database: what is held, for whom, what was found and decided, who may see it.
// It knows nothing of gRPC, of jobs, nor of how findings are made.
package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	// The driver of the embedded database.
	_ "modernc.org/sqlite"

	"github.com/countersign-escrow/countersign/escrow/durable"
)

// Catalog is an open database. Its methods may be called from several goroutines.
type Catalog struct{ db *sql.DB }

// Open opens the SQLite database at path, makes it if it is not there, and brings its schema up to date.
// A database with a newer schema than this program knows is refused.
func Open(ctx context.Context, path string) (*Catalog, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("catalog: %w", err)
	}
	if err := makePrivate(path); err != nil {
		return nil, fmt.Errorf("catalog: %w", err)
	}
	db, err := sql.Open("sqlite", dataSource(path))
	if err != nil {
		return nil, fmt.Errorf("catalog %s: %w", path, err)
	}
	// The job queue writes into the same file: with one connection the two never meet a locked database.
	db.SetMaxOpenConns(1)
	if err := errors.Join(migrate(ctx, db), durable.SyncFolder(filepath.Dir(path))); err != nil {
		return nil, errors.Join(fmt.Errorf("catalog %s: %w", path, err), db.Close())
	}
	return &Catalog{db: db}, nil
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

// DB returns the database handle, for the job queue. It has one connection: using it inside Update or View waits for ever.
func (c *Catalog) DB() *sql.DB { return c.db }

// Ping says whether the database answers.
func (c *Catalog) Ping(ctx context.Context) error { return c.db.PingContext(ctx) }

// Close waits for running transactions and closes the database.
func (c *Catalog) Close() error { return c.db.Close() }

// Update runs f in one write transaction: what f did is durable when Update returns nil, and undone when f or the commit
// returns an error or panics. Updates run one after the other.
func (c *Catalog) Update(ctx context.Context, f func(*Tx) error) error {
	return c.run(ctx, true, func(tx *Tx) error {
		if err := f(tx); err != nil {
			return err
		}
		if err := tx.tx.Commit(); err != nil {
			return fmt.Errorf("catalog: commit: %w", err)
		}
		return nil
	})
}

// View runs f in one read transaction: all that f reads is of the same moment.
func (c *Catalog) View(ctx context.Context, f func(*Tx) error) error {
	return c.run(ctx, false, f)
}

func (c *Catalog) run(ctx context.Context, writable bool, f func(*Tx) error) error {
	tx, err := c.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: !writable})
	if err != nil {
		return fmt.Errorf("catalog: begin: %w", err)
	}
	// After a commit this does nothing; after an error or a panic of f it undoes what f did.
	defer tx.Rollback() //nolint:errcheck
	return f(&Tx{ctx: ctx, tx: tx, writable: writable})
}

// Tx is a transaction. It lives as long as the function that Update or View runs, and is for one goroutine.
type Tx struct {
	ctx      context.Context
	tx       *sql.Tx
	writable bool
}

// SQL returns the transaction, so that jobs are inserted with what makes them due.
func (t *Tx) SQL() *sql.Tx { return t.tx }
