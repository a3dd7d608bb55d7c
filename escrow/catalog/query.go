package catalog

import (
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

// Bounds of one page of a list.
const (
	defaultLimit = 100
	maxLimit     = 10_000
)

// bound makes a page's length of what a caller asked for.
func bound(limit int) int {
	if limit <= 0 {
		return defaultLimit
	}
	return min(limit, maxLimit)
}

// row is what a record is read from.
type row interface{ Scan(dest ...any) error }

// exec runs a statement and returns how many rows it concerned. A duplicate is fault.AlreadyExists(name), and a row that
// points to something that is not there is fault.NotFound.
func (t *Tx) exec(name, statement string, args ...any) (int64, error) {
	if !t.writable {
		return 0, fmt.Errorf("catalog: write of %s in a read transaction", name)
	}
	if t.failed != nil {
		return 0, t.failed
	}
	res, err := t.tx.ExecContext(t.ctx, statement, args...)
	if err != nil {
		return 0, t.explain(name, err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		return 0, t.explain(name, err)
	}
	return n, nil
}

// queryOne reads one record; none is fault.NoSuch(name).
func queryOne[T any](t *Tx, name string, scan func(row) (*T, error), query string, args ...any) (*T, error) {
	if t.failed != nil {
		return nil, t.failed
	}
	v, err := scan(t.tx.QueryRowContext(t.ctx, query, args...))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fault.NoSuch(name)
	}
	if err != nil {
		return nil, t.explain(name, err)
	}
	return v, nil
}

// queryAll reads all records that a query yields; what says, for errors, what they are.
func queryAll[T any](t *Tx, what string, scan func(row) (*T, error), query string, args ...any) (all []T, err error) {
	if t.failed != nil {
		return nil, t.failed
	}
	rows, err := t.tx.QueryContext(t.ctx, query, args...)
	if err != nil {
		return nil, t.explain(what, err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, t.explain(what, err)
		}
		all = append(all, *v)
	}
	if err := rows.Err(); err != nil {
		return nil, t.explain(what, err)
	}
	return all, nil
}

// count returns the next number of a sequence, from 1. The row stays locked until the transaction ends, so that numbers
// become visible in their order: a reader that goes on after n never misses one.
func (t *Tx) count(sequence string) (int64, error) {
	n, err := queryOne(t, sequence, scanNumber, `
		INSERT INTO counters (name, value) VALUES ($1, 1)
		ON CONFLICT (name) DO UPDATE SET value = counters.value + 1 RETURNING value`, sequence)
	if err != nil {
		return 0, err
	}
	return *n, nil
}

func scanNumber(r row) (*int64, error) {
	var n int64
	return &n, r.Scan(&n)
}

// arguments collects the arguments of a query that is put together from parts.
type arguments []any

// add takes one argument and returns its placeholder.
func (a *arguments) add(v any) string {
	*a = append(*a, v)
	return "$" + strconv.Itoa(len(*a))
}

// list takes several arguments and returns their placeholders, for IN.
func list[T any](a *arguments, values []T) string {
	marks := make([]string, len(values))
	for i, v := range values {
		marks[i] = a.add(v)
	}
	return strings.Join(marks, ", ")
}
