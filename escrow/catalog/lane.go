package catalog

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
)

// lane lets one update after the other through, among all processes on one database. Updates outside of it go on beside it,
// unless it is to be alone in its process.
type lane struct {
	turn chan struct{} // of this process, so that one connection at most waits in the database
	gate sync.RWMutex  // closed while an update is alone
}

// beside runs an update beside others.
func (l *lane) beside(update func() error) error {
	l.gate.RLock()
	defer l.gate.RUnlock()
	return update()
}

// alone runs an update, which is in the lane, while this process makes no other.
func (l *lane) alone(update func() error) error {
	l.gate.Lock()
	defer l.gate.Unlock()
	return update()
}

func newLane() *lane { return &lane{turn: make(chan struct{}, 1)} }

// enter waits for the turn and returns the connection to work on, and what to call after.
func (l *lane) enter(ctx context.Context, db *sql.DB) (leave func(), conn *sql.Conn, err error) {
	select {
	case l.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	conn, unlock, err := lockSession(ctx, db, laneLock)
	if err != nil {
		<-l.turn
		return nil, nil, err
	}
	return func() { unlock(); <-l.turn }, conn, nil
}

// The advisory locks of this program in a PostgreSQL database.
const (
	laneLock      = 0x636f756e7465_01
	migrationLock = 0x636f756e7465_02
)

// lockSession takes an advisory lock with a connection of its own. It ends with the connection at the latest.
func lockSession(ctx context.Context, db *sql.DB, key int64) (conn *sql.Conn, unlock func(), err error) {
	conn, err = db.Conn(ctx)
	if err != nil {
		return nil, nil, err
	}
	if _, err := conn.ExecContext(ctx, `SELECT pg_advisory_lock($1)`, key); err != nil {
		conn.Close() //nolint:errcheck // it goes back into the pool or is broken
		return nil, nil, fmt.Errorf("lock: %w", err)
	}
	return conn, func() {
		// Without the lock's end the connection must not go back into the pool.
		if _, err := conn.ExecContext(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock($1)`, key); err != nil {
			discard(conn)
		}
		conn.Close() //nolint:errcheck
	}, nil
}
