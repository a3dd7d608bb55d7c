package catalog

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

// OpenPostgres opens the PostgreSQL database at a URL (postgres://user@host/database) and brings its schema up to date,
// one process after the other. A database with a newer schema than this program knows is refused, as is one that would
// order names in another way, or a server older than version 15. Of the URL's parameters, pool_max_conns bounds the
// connections of this process (16 if it is not there); the others are those of libpq and of the server.
func OpenPostgres(ctx context.Context, url string) (*Catalog, error) {
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("catalog: the database's URL: %w", err) // the driver leaves the password out of its errors
	}
	where := cfg.Host + "/" + cfg.Database
	most, err := poolSize(cfg)
	if err != nil {
		return nil, opening(where, err)
	}
	setDefaults(cfg.RuntimeParams)
	db := stdlib.OpenDB(*cfg)
	db.SetMaxOpenConns(most)
	db.SetMaxIdleConns(most)
	db.SetConnMaxIdleTime(5 * time.Minute)
	c := &Catalog{db: db, dialect: dialect{
		name:  PostgreSQL,
		write: sql.TxOptions{Isolation: sql.LevelSerializable},
		read:  sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true},
		lane:  newLane(),
	}}
	if err := c.prepare(ctx, cfg.Database); err != nil {
		return nil, errors.Join(opening(where, err), db.Close())
	}
	return c, nil
}

// poolSize takes the size of the pool from the URL's parameters. Two connections are the least: one may hold a lock while
// another works.
func poolSize(cfg *pgx.ConnConfig) (int, error) {
	const parameter = "pool_max_conns"
	given, ok := cfg.RuntimeParams[parameter]
	if !ok {
		return 16, nil
	}
	delete(cfg.RuntimeParams, parameter)
	n, err := strconv.Atoi(given)
	if err != nil || n < 2 || n > 1000 {
		return 0, fault.Invalidf(parameter, "%q is no number of connections from 2 to 1000", given)
	}
	return n, nil
}

// setDefaults sets what the URL does not set. A process that was stopped in the middle of a transaction must not hold its
// locks for ever, nor must one whose machine has gone.
func setDefaults(params map[string]string) {
	for name, value := range map[string]string{
		"application_name":                    "countersign",
		"idle_in_transaction_session_timeout": "60s",
		"tcp_keepalives_idle":                 "15",
		"tcp_keepalives_interval":             "5",
		"tcp_keepalives_count":                "3",
	} {
		if _, set := params[name]; !set {
			params[name] = value
		}
	}
}

// prepare checks the database and migrates it, while no other process does.
func (c *Catalog) prepare(ctx context.Context, database string) error {
	if err := checkServer(ctx, c.db, database); err != nil {
		return err
	}
	_, unlock, err := lockSession(ctx, c.db, migrationLock)
	if err != nil {
		return explain("waiting for other processes", err)
	}
	defer unlock()
	return c.migrate(ctx)
}

// server is what a database must be like.
type server struct {
	version                    int
	encoding, collation, sync_ string
	provider                   string // of the collation: c is the C library
}

// checkServer refuses what would go wrong later, and says how it goes right.
func checkServer(ctx context.Context, db *sql.DB, database string) error {
	var s server
	err := db.QueryRowContext(ctx, `SELECT CAST(current_setting('server_version_num') AS INTEGER), current_setting('synchronous_commit')`).
		Scan(&s.version, &s.sync_)
	if err != nil {
		return explain("server", err)
	}
	if s.version >= oldestServer {
		const settings = `SELECT pg_encoding_to_char(encoding), datcollate, CAST(datlocprovider AS TEXT) FROM pg_database WHERE datname = current_database()`
		if err := db.QueryRowContext(ctx, settings).Scan(&s.encoding, &s.collation, &s.provider); err != nil {
			return explain("server", err)
		}
	}
	return s.check(database)
}

const oldestServer = 15_00_00

func (s server) check(database string) error {
	switch {
	case s.version < oldestServer:
		return fault.Preconditionf("DATABASE_UNSUITABLE", "", "the server is PostgreSQL %d", s.version/100_00).
			WithAdvice("use PostgreSQL 15 or later")
	case s.encoding != "UTF8" || s.provider != "c" || (s.collation != "C" && s.collation != "POSIX"):
		return fault.Preconditionf("DATABASE_UNSUITABLE", "", "the database has encoding %s and collation %s", s.encoding, s.collation).
			WithAdvice("make it with: CREATE DATABASE %s TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER libc LC_COLLATE 'C' LC_CTYPE 'C'",
				pgx.Identifier{database}.Sanitize())
	case s.sync_ == "off":
		return fault.Preconditionf("DATABASE_UNSUITABLE", "", "the server acknowledges what is not on its disk (synchronous_commit is off)").
			WithAdvice("set it to on for this database: ALTER DATABASE %s SET synchronous_commit = on", pgx.Identifier{database}.Sanitize())
	}
	return nil
}

// postgresTrouble says what an error of PostgreSQL's means, by its SQLSTATE.
func postgresTrouble(e *pgconn.PgError) trouble {
	switch e.Code {
	case "23505":
		return duplicate
	case "23503":
		return dangling
	case "40001", "40P01": // serialization failure, deadlock
		return conflict
	case "53100":
		return full
	case "25P03", "53300", "57P01", "57P02", "57P03": // idle in a transaction for too long, too many connections, going down, crashed, coming up
		return unreachable
	}
	if strings.HasPrefix(e.Code, "08") { // connection
		return unreachable
	}
	return unknown
}

// discard closes a connection for good.
func discard(conn *sql.Conn) {
	_ = conn.Raw(func(any) error { return driver.ErrBadConn })
}
