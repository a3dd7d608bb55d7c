package catalog

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

// trouble is what a driver's error means to this package.
type trouble int

const (
	unknown     trouble = iota
	duplicate           // there is such a row already
	dangling            // the row points to one that is not there
	conflict            // the transaction met another one and can be tried again
	unreachable         // the database does not answer now
	full                // the database's disk is
)

// troubleOf tells the errors of both drivers apart.
func troubleOf(err error) trouble {
	if e := (*sqlite.Error)(nil); errors.As(err, &e) {
		return sqliteTrouble(e)
	}
	if e := (*pgconn.PgError)(nil); errors.As(err, &e) {
		return postgresTrouble(e)
	}
	if e := (*pgconn.ConnectError)(nil); errors.As(err, &e) {
		return unreachable
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return unknown // the caller's own end
	}
	if e := net.Error(nil); errors.As(err, &e) || pgconn.SafeToRetry(err) {
		return unreachable // the second is a connection found closed before anything was sent
	}
	for _, end := range []error{io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, driver.ErrBadConn} {
		if errors.Is(err, end) {
			return unreachable
		}
	}
	return unknown
}

// explain turns the drivers' errors into those of the domain.
func explain(name string, err error) error {
	switch troubleOf(err) {
	case duplicate:
		return fault.AlreadyExists(name)
	case dangling:
		return &fault.Error{Kind: fault.NotFound, Reason: "NOT_FOUND", Resource: name,
			Message: fmt.Sprintf("something that %s belongs to does not exist", name), Err: err}
	case unreachable:
		return &fault.Error{Kind: fault.Unavailable, Reason: "DATABASE_UNAVAILABLE",
			Message: "the database does not answer", Advice: "try again in a moment", Err: err}
	case full:
		return &fault.Error{Kind: fault.Unavailable, Reason: "DATABASE_FULL",
			Message: "the database has no room left", Advice: "tell the operator, then try again", Err: err}
	default:
		return fmt.Errorf("catalog: %s: %w", name, err)
	}
}
