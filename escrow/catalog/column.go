package catalog

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/resource"
)

// This file turns values into columns and back. Times are microseconds since 1970 UTC, and NULL for none; names, digests
// and JSON are text, NULL for none; booleans are 0 and 1.

// stamp makes a column of a time.
func stamp(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMicro()
}

// text makes a column of a name or digest; the zero value is NULL.
func text[T interface {
	comparable
	fmt.Stringer
}](v T) any {
	var none T
	if v == none {
		return nil
	}
	return v.String()
}

// optional makes a column of a name that may be nil.
func optional[T fmt.Stringer](v *T) any {
	if v == nil {
		return nil
	}
	return (*v).String()
}

// maybe makes a column of a text whose empty form means none.
func maybe(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func bit(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// into reads a column through a function; NULL leaves the zero value.
type into[C, T any] struct {
	dest *T
	read func(C) (T, error)
}

func (c into[C, T]) Scan(v any) error {
	var col sql.Null[C]
	if err := col.Scan(v); err != nil {
		return err
	}
	var got T
	if col.Valid {
		var err error
		if got, err = c.read(col.V); err != nil {
			return err
		}
	}
	*c.dest = got
	return nil
}

func timeInto(t *time.Time) sql.Scanner {
	return into[int64, time.Time]{t, func(us int64) (time.Time, error) { return time.UnixMicro(us).UTC(), nil }}
}

func textInto(s *string) sql.Scanner {
	return into[string, string]{s, func(s string) (string, error) { return s, nil }}
}

func numberInto(n *int64) sql.Scanner {
	return into[int64, int64]{n, func(n int64) (int64, error) { return n, nil }}
}

func organizationInto(o *resource.Organization) sql.Scanner {
	return into[string, resource.Organization]{o, resource.ParseOrganization}
}

func productInto(p *resource.Product) sql.Scanner {
	return into[string, resource.Product]{p, resource.ParseProduct}
}

func releaseInto(r *resource.Release) sql.Scanner {
	return into[string, resource.Release]{r, resource.ParseRelease}
}

func digestInto(d *digest.Digest) sql.Scanner {
	return into[string, digest.Digest]{d, digest.Parse}
}

// pointerInto reads a name that may be nil.
func pointerInto[T any](p **T, parse func(string) (T, error)) sql.Scanner {
	return into[string, *T]{p, func(s string) (*T, error) {
		v, err := parse(s)
		return &v, err
	}}
}

// jsonText makes a column of a value as JSON.
func jsonText(v any) (string, error) {
	b, err := json.Marshal(v)
	return string(b), err
}

func jsonInto[T any](v *T) sql.Scanner {
	return into[string, T]{v, func(s string) (T, error) {
		var got T
		err := json.Unmarshal([]byte(s), &got)
		return got, err
	}}
}
