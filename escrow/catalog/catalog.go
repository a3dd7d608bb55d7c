// Package catalog is the metadata database: what is held, for whom, what was found and decided, who may see it.
// It knows nothing of gRPC, of jobs, nor of how findings are made.
package catalog

import (
	"context"
	"database/sql"
	"fmt"
)

// Catalog is an open database: SQLite (Open) or PostgreSQL (OpenPostgres). Its methods may be called from several
// goroutines. While the database cannot be reached they return fault.Unavailable, and work again once it can.
type Catalog struct {
	db      *sql.DB
	dialect dialect
}

// Dialect names the database that a catalog is kept in.
type Dialect string

// The databases.
const (
	SQLite     Dialect = "sqlite"
	PostgreSQL Dialect = "postgres"
)

// dialect is what differs between the databases, besides their drivers' errors.
type dialect struct {
	name  Dialect
	write sql.TxOptions
	read  sql.TxOptions
	// lane is where updates go that met others too often; nil where updates run one after the other anyway.
	lane *lane
}

// Dialect says which database the catalog is kept in.
func (c *Catalog) Dialect() Dialect { return c.dialect.name }

// DB returns the database handle, for the job queue. SQLite has one connection: using the handle inside Update or View
// waits for ever there. What runs on the handle is not part of any Update, and is not repeated where it meets others.
func (c *Catalog) DB() *sql.DB { return c.db }

// Ping says whether the database answers.
func (c *Catalog) Ping(ctx context.Context) error { return c.db.PingContext(ctx) }

// Close waits for running transactions and closes the database.
func (c *Catalog) Close() error { return c.db.Close() }

// Update runs f in one write transaction: what f did is durable when Update returns nil, and undone when f or the commit
// returns an error, panics, or goes on after a statement that failed. Updates are as if they ran one after the other. On PostgreSQL f runs again where that could
// not be had at once, so that f must have no effects outside the transaction but setting variables anew. When the
// connection breaks during the commit, Update returns fault.Unavailable and what f did may be there all the same.
func (c *Catalog) Update(ctx context.Context, f func(*Tx) error) error {
	return c.again(ctx, func(b beginner) error { return c.update(ctx, b, f) })
}

func (c *Catalog) update(ctx context.Context, b beginner, f func(*Tx) error) error {
	return c.run(ctx, b, true, func(tx *Tx) error {
		err := f(tx)
		if tx.failed != nil && (err == nil || troubleOf(tx.failed) == conflict) {
			err = tx.failed
		}
		if err != nil {
			return err
		}
		if err := tx.tx.Commit(); err != nil {
			return explain("commit", err)
		}
		return nil
	})
}

// View runs f in one read transaction: all that f reads is of the same moment.
func (c *Catalog) View(ctx context.Context, f func(*Tx) error) error {
	return c.run(ctx, c.db, false, f)
}

// beginner begins transactions: the pool, or one connection of it.
type beginner interface {
	BeginTx(context.Context, *sql.TxOptions) (*sql.Tx, error)
}

func (c *Catalog) run(ctx context.Context, b beginner, writable bool, f func(*Tx) error) error {
	tx, err := c.begin(ctx, b, writable)
	if err != nil {
		return err
	}
	// After a commit this does nothing; after an error or a panic of f it undoes what f did.
	defer tx.Rollback() //nolint:errcheck
	return f(&Tx{ctx: ctx, tx: tx, writable: writable})
}

// begin begins a transaction. A connection that the database has closed since it was used last is found out here, and
// another one is tried.
func (c *Catalog) begin(ctx context.Context, b beginner, writable bool) (*sql.Tx, error) {
	opts := &c.dialect.read
	if writable {
		opts = &c.dialect.write
	}
	const tries = 3
	for n := 1; ; n++ {
		tx, err := b.BeginTx(ctx, opts)
		if err == nil {
			return tx, nil
		}
		if n == tries || troubleOf(err) != unreachable {
			return nil, explain("begin", err)
		}
	}
}

// Tx is a transaction. It lives as long as the function that Update or View runs, and is for one goroutine.
type Tx struct {
	ctx      context.Context
	tx       *sql.Tx
	writable bool
	failed   error // of the first statement that failed: after it, the transaction can only be undone
}

// SQL returns the transaction, so that jobs are inserted with what makes them due.
func (t *Tx) SQL() *sql.Tx { return t.tx }

// explain is explain, and remembers that the transaction has failed. PostgreSQL refuses every statement after that; here
// both databases do, whatever the function makes of the error.
func (t *Tx) explain(name string, err error) error {
	err = explain(name, err)
	t.failed = err
	return err
}

// opening says of an error that it came while a catalog was opened.
func opening(where string, err error) error { return fmt.Errorf("catalog %s: %w", where, err) }
