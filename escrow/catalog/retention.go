package catalog

import (
	"time"

	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
	"github.com/countersign-escrow/countersign/escrow/retention"
)

// Retention is until when a sealed release is kept, and what the store was told of that.
type Retention struct {
	Release     resource.Release
	Clock       retention.Clock
	Held        bool      // a legal hold stands; for reading
	LockedUntil time.Time // the locks on all its files last at least until then; zero: none was set yet
	LockedHold  bool      // the store was told of a hold
}

// Name returns the resource name.
func (r Retention) Name() string { return resource.Retention{Release: r.Release}.String() }

// Lags says whether the store is yet to be told something of the release's files.
func (r Retention) Lags() bool {
	return r.LockedUntil.Before(r.Clock.Until) || r.LockedHold != r.Held
}

const (
	held             = `EXISTS (SELECT 1 FROM holds h WHERE h.release = retentions.release AND h.lifted IS NULL)`
	retentionColumns = `release, years, last_sealed, last_reported, last_read, retain_until, locked_until, locked_hold, CASE WHEN ` + held + ` THEN 1 ELSE 0 END`
)

func scanRetention(w row) (*Retention, error) {
	r := Retention{Clock: retention.Clock{Last: map[retention.Event]time.Time{}}}
	var sealed, reported, read time.Time
	err := w.Scan(releaseInto(&r.Release), &r.Clock.Years, timeInto(&sealed), timeInto(&reported), timeInto(&read),
		timeInto(&r.Clock.Until), timeInto(&r.LockedUntil), &r.LockedHold, &r.Held)
	for e, at := range map[retention.Event]time.Time{retention.Sealed: sealed, retention.Reported: reported, retention.Read: read} {
		if !at.IsZero() {
			r.Clock.Last[e] = at
		}
	}
	return &r, err
}

// NoteEvent winds a release's clock after an event, and returns its retention, and whether its end moved.
// The first event of a release is that it is sealed.
func (t *Tx) NoteEvent(name resource.Release, e retention.Event, at time.Time) (r *Retention, moved bool, err error) {
	if r, err = t.Retention(name); fault.Is(err, fault.NotFound) && e == retention.Sealed {
		r = &Retention{Release: name, Clock: retention.New(at)}
		return r, true, t.insertRetention(*r)
	}
	if err != nil {
		return nil, false, err
	}
	before := r.Clock
	r.Clock = before.After(e, at)
	if r.Clock.Last[e].Equal(before.Last[e]) {
		return r, false, nil
	}
	return r, r.Clock.Until.After(before.Until), t.setClock(*r)
}

func (t *Tx) insertRetention(r Retention) error {
	_, err := t.exec(r.Name(), `
		INSERT INTO retentions (release, years, last_sealed, retain_until, locked_hold) VALUES ($1, $2, $3, $4, 0)`,
		r.Release.String(), r.Clock.Years, stamp(r.Clock.Last[retention.Sealed]), stamp(r.Clock.Until))
	return err
}

// setClock writes a clock. Its end never goes back, whoever writes.
func (t *Tx) setClock(r Retention) error {
	_, err := t.exec(r.Name(), `
		UPDATE retentions SET years = $1, last_sealed = $2, last_reported = $3, last_read = $4, retain_until = $5
		WHERE release = $6 AND retain_until <= $5 AND years <= $1`,
		r.Clock.Years, stamp(r.Clock.Last[retention.Sealed]), stamp(r.Clock.Last[retention.Reported]), stamp(r.Clock.Last[retention.Read]),
		stamp(r.Clock.Until), r.Release.String())
	return err
}

// ExtendRetention turns a release's clock with turn, which may only lengthen, and returns the retention as it is then, and
// whether its end moved.
func (t *Tx) ExtendRetention(name resource.Release, turn func(retention.Clock) (retention.Clock, error)) (*Retention, bool, error) {
	r, err := t.Retention(name)
	if err != nil {
		return nil, false, err
	}
	before := r.Clock
	if r.Clock, err = turn(before); err != nil {
		return nil, false, err
	}
	return r, r.Clock.Until.After(before.Until), t.setClock(*r)
}

// Retention returns the retention of a sealed release; fault.NotFound of one that is open.
func (t *Tx) Retention(name resource.Release) (*Retention, error) {
	return queryOne(t, resource.Retention{Release: name}.String(), scanRetention,
		`SELECT `+retentionColumns+` FROM retentions WHERE release = $1`, name.String())
}

// RetentionFilter says which retentions are looked for. Zero fields filter nothing.
type RetentionFilter struct {
	Vendor  resource.Organization
	Product resource.Product
	Lagging bool   // only those of which the store is yet to be told something
	After   string // only releases after this name
	Limit   int
}

// Retentions lists retentions by the release's name.
func (t *Tx) Retentions(f RetentionFilter) ([]Retention, error) {
	args := arguments{f.After}
	query := `SELECT ` + retentionColumns + ` FROM retentions WHERE release > $1`
	if f.Vendor != (resource.Organization{}) {
		query += ` AND EXISTS (SELECT 1 FROM releases r JOIN products p ON p.name = r.product
			WHERE r.name = retentions.release AND p.vendor = ` + args.add(f.Vendor.String()) + `)`
	}
	if f.Product != (resource.Product{}) {
		query += ` AND EXISTS (SELECT 1 FROM releases r WHERE r.name = retentions.release AND r.product = ` + args.add(f.Product.String()) + `)`
	}
	if f.Lagging {
		query += ` AND (locked_until IS NULL OR locked_until < retain_until OR (locked_hold = 1) <> ` + held + `)`
	}
	query += ` ORDER BY release LIMIT ` + args.add(bound(f.Limit))
	return queryAll(t, "retentions", scanRetention, query, args...)
}

// NoteLocked records what the store was told of all files of a release.
func (t *Tx) NoteLocked(name resource.Release, until time.Time, hold bool) error {
	_, err := t.exec(resource.Retention{Release: name}.String(), `
		UPDATE retentions SET locked_until = CASE WHEN locked_until > $1 THEN locked_until ELSE $1 END, locked_hold = $2 WHERE release = $3`,
		stamp(until), bit(hold), name.String())
	return err
}
