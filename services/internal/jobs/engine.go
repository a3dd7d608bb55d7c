package jobs

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"time"

	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverdatabasesql"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"

	"github.com/countersign-escrow/countersign/escrow/catalog"
)

// engine is what differs between the databases.
type engine struct {
	driver riverdriver.Driver[*sql.Tx]
	shared bool   // several processes may work on the queue
	at     string // the time so many seconds from now, as the engine's tables keep it: a format
	lock   string // keeps other processes from migrating at the same time; "" where there is none
	unlock string
}

func newEngine(d catalog.Dialect, db *sql.DB) (engine, error) {
	switch d {
	case catalog.SQLite:
		return engine{driver: riversqlite.New(db), at: `datetime('now', 'subsec', '+%d seconds')`}, nil
	case catalog.PostgreSQL:
		return engine{driver: riverdatabasesql.New(db), shared: true, at: `now() + INTERVAL '%d seconds'`,
			lock: `SELECT pg_advisory_lock($1)`, unlock: `SELECT pg_advisory_unlock($1)`}, nil
	default:
		return engine{}, fmt.Errorf("jobs: %q is no database that the queue can be kept in", d)
	}
}

// in is the time so long from now, as the engine's tables keep it, by the database's own clock.
func (e engine) in(d time.Duration) string { return fmt.Sprintf(e.at, int(d/time.Second)) }

// migrationLock is the number of the lock, one of its own in the database.
const migrationLock = 0x636f756e7465_03

// migrate brings the engine's tables up to date, and what earlier versions of this package put into them.
func (e engine) migrate(ctx context.Context, db *sql.DB, log *slog.Logger) error {
	if e.lock != "" {
		conn, err := db.Conn(ctx)
		if err != nil {
			return err
		}
		defer conn.Close() //nolint:errcheck // it goes back into the pool
		if _, err := conn.ExecContext(ctx, e.lock, int64(migrationLock)); err != nil {
			return err
		}
		defer conn.ExecContext(context.WithoutCancel(ctx), e.unlock, int64(migrationLock)) //nolint:errcheck // it ends with the connection at the latest
	}
	migrator, err := rivermigrate.New(e.driver, &rivermigrate.Config{Logger: log})
	if err != nil {
		return err
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return err
	}
	// Publishing once was among the quick work.
	_, err = db.ExecContext(ctx, `UPDATE river_job SET queue = 'publish' WHERE kind = 'publish' AND queue = 'quick' AND state <> 'completed'`)
	return err
}
