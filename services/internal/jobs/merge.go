package jobs

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
)

// waiting says whether a job with the same arguments waits to be started now. The engine's own uniqueness would count one
// that runs, too, and would lose what has become due since that one looked.
func waiting(ctx context.Context, tx *sql.Tx, a Args) (bool, error) {
	args, err := json.Marshal(a)
	if err != nil {
		return false, fmt.Errorf("jobs: %s: %w", a.Kind(), err)
	}
	const query = `SELECT count(*) FROM river_job
		WHERE kind = ? AND state IN ('available', 'pending') AND CAST(args AS TEXT) = ?`
	var n int
	if err := tx.QueryRowContext(ctx, query, a.Kind(), string(args)).Scan(&n); err != nil {
		return false, fmt.Errorf("jobs: %s: %w", a.Kind(), err)
	}
	return n > 0, nil
}
