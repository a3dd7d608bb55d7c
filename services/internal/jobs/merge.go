package jobs

import (
	"context"
	"database/sql"
	"encoding/json"
)

// Of jobs that merge, the table jobs_waiting says which wait to be started; the engine's own uniqueness would count one
// that runs, too, and would lose what has become due since that one looked. Who makes such a job due holds its row until
// the commit, and who starts it takes the row away first: it starts after the commit of everybody who left it to that job.

// announce says that a job is due, and whether it is to be inserted: one that waits already need not be.
func announce(ctx context.Context, tx *sql.Tx, a Args) (first bool, err error) {
	name, err := nameOf(a)
	if err != nil {
		return false, err
	}
	var times int64
	err = tx.QueryRowContext(ctx, `
		INSERT INTO jobs_waiting (job, times) VALUES ($1, 1)
		ON CONFLICT (job) DO UPDATE SET times = jobs_waiting.times + 1 RETURNING times`, name).Scan(&times)
	return times == 1, err
}

// begins says that a job waits no more.
func begins(ctx context.Context, db *sql.DB, a Args) error {
	name, err := nameOf(a)
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, `DELETE FROM jobs_waiting WHERE job = $1`, name)
	return err
}

// waits says that a job that has begun waits again: it was put off.
func waits(ctx context.Context, db *sql.DB, a Args) error {
	name, err := nameOf(a)
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, `INSERT INTO jobs_waiting (job, times) VALUES ($1, 1) ON CONFLICT (job) DO NOTHING`, name)
	return err
}

func nameOf(a Args) (string, error) {
	args, err := json.Marshal(a)
	return a.Kind() + " " + string(args), err
}
