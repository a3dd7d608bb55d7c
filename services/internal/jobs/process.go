package jobs

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/google/uuid"
)

// publisher ends the name under which a process takes jobs to publish.
const publisher = "/publish"

// newProcess makes a name that no other process has, nor this one's former self.
func newProcess(host string) string {
	if host == "" {
		host, _ = os.Hostname() // it is for people only
	}
	return fmt.Sprintf("%.40s-%d-%.8s", host, os.Getpid(), uuid.NewString())
}

// ownerOf returns the process that took a job last.
func ownerOf(attemptedBy []string) string {
	if len(attemptedBy) == 0 {
		return ""
	}
	return strings.TrimSuffix(attemptedBy[len(attemptedBy)-1], publisher)
}

// beat tells the others that this process lives. What they go by is that the count grows: it says the same whatever any
// clock says. The times are for people.
func (q *Queue) beat(ctx context.Context) error {
	const statement = `
		INSERT INTO processes (id, host, roles, started, seen, beats)
		SELECT $1, $2, $3, t.now, t.now, 1 FROM (SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT) AS now) t
		ON CONFLICT (id) DO UPDATE SET seen = excluded.seen, beats = processes.beats + 1`
	_, err := q.db.ExecContext(ctx, statement, q.process, q.cfg.Host, q.cfg.Roles)
	return err
}

// beats reads how far all processes have counted.
func (q *Queue) beats(ctx context.Context) (map[string]int64, error) {
	rows, err := q.db.QueryContext(ctx, `SELECT id, beats FROM processes`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	beats := map[string]int64{}
	for rows.Next() {
		var id string
		var n int64
		if err := rows.Scan(&id, &n); err != nil {
			return nil, err
		}
		beats[id] = n
	}
	return beats, rows.Err()
}

// forget takes a process off the list, unless it has shown up again.
func (q *Queue) forget(ctx context.Context, id string, beats int64) error {
	_, err := q.db.ExecContext(ctx, `DELETE FROM processes WHERE id = $1 AND beats = $2`, id, beats)
	return err
}
