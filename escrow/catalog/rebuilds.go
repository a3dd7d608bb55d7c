package catalog

import (
	"time"

	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
)

// RebuildState says how far a rebuild is.
type RebuildState string

// The states of a rebuild.
const (
	RebuildWaiting RebuildState = "WAITING"
	RebuildLeased  RebuildState = "LEASED"
	RebuildDone    RebuildState = "DONE"
)

// Rebuild is one release to be rebuilt by one rebuilder.
type Rebuild struct {
	ID         string
	Release    resource.Release
	Rebuilder  resource.Organization
	State      RebuildState
	LeaseToken int64 // of the newest lease; 0: never leased
	LeaseUntil time.Time
	Attempts   int64 // how often it was leased
	Platform   string
	Created    time.Time
}

// Name returns the resource name.
func (r Rebuild) Name() string { return rebuildName(r.Rebuilder, r.ID) }

const rebuildColumns = `id, release, rebuilder, state, lease_token, lease_until, attempts, platform, created`

func scanRebuild(w row) (*Rebuild, error) {
	var r Rebuild
	return &r, w.Scan(&r.ID, releaseInto(&r.Release), organizationInto(&r.Rebuilder), &r.State, &r.LeaseToken,
		timeInto(&r.LeaseUntil), &r.Attempts, &r.Platform, timeInto(&r.Created))
}

func rebuildName(o resource.Organization, id string) string {
	return resource.Child{Organization: o, Collection: resource.Rebuilds, ID: id}.String()
}

// InsertRebuild asks a rebuilder for a rebuild, WAITING, and says whether that is new: the rebuilder of a release is
// asked once.
func (t *Tx) InsertRebuild(r Rebuild) (bool, error) {
	n, err := t.exec(r.Name(), `
		INSERT INTO rebuilds (`+rebuildColumns+`) VALUES ($1, $2, $3, $4, 0, NULL, 0, $5, $6)
		ON CONFLICT (release, rebuilder) DO NOTHING`,
		r.ID, r.Release.String(), r.Rebuilder.String(), string(RebuildWaiting), r.Platform, stamp(r.Created))
	return n > 0, err
}

// Rebuild returns one rebuild of a rebuilder.
func (t *Tx) Rebuild(rebuilder resource.Organization, id string) (*Rebuild, error) {
	return queryOne(t, rebuildName(rebuilder, id), scanRebuild,
		`SELECT `+rebuildColumns+` FROM rebuilds WHERE rebuilder = $1 AND id = $2`, rebuilder.String(), id)
}

// Rebuilds lists the rebuilds that were asked of a rebuilder by id, those after the id `after`.
func (t *Tx) Rebuilds(rebuilder resource.Organization, after string, limit int) ([]Rebuild, error) {
	return queryAll(t, "rebuilds", scanRebuild,
		`SELECT `+rebuildColumns+` FROM rebuilds WHERE rebuilder = $1 AND id > $2 ORDER BY id LIMIT $3`,
		rebuilder.String(), after, bound(limit))
}

// RebuildsOf returns all rebuilds of a release, by id.
func (t *Tx) RebuildsOf(r resource.Release) ([]Rebuild, error) {
	return queryAll(t, "rebuilds", scanRebuild, `SELECT `+rebuildColumns+` FROM rebuilds WHERE release = $1 ORDER BY id`, r.String())
}

// leasable is the condition under which a rebuild can be leased: while it waits, and when its lease has ended. One that
// lasts longer than anybody could have been given it is left from before the clock was set back, and has ended, too; twice
// the time leaves room for machines whose clocks differ.
func leasable(args *arguments, now time.Time, ttl time.Duration) string {
	return `(state = 'WAITING' OR (state = 'LEASED' AND (lease_until <= ` + args.add(stamp(now)) + ` OR lease_until > ` + args.add(stamp(now.Add(2*ttl))) + `)))`
}

// LeaseRebuild leases the rebuilder's oldest rebuild for one of the platforms until now+ttl; nil if there is none.
func (t *Tx) LeaseRebuild(rebuilder resource.Organization, platforms []string, now time.Time, ttl time.Duration) (*Rebuild, error) {
	if len(platforms) == 0 {
		return nil, nil
	}
	args := arguments{rebuilder.String()}
	found, err := queryAll(t, "rebuilds", scanRebuild, `
		SELECT `+rebuildColumns+` FROM rebuilds
		WHERE rebuilder = $1 AND `+leasable(&args, now, ttl)+` AND platform IN (`+list(&args, platforms)+`)
		ORDER BY id LIMIT 1`, args...)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return t.LeaseRebuildByID(found[0].ID, now, ttl)
}

// LeaseRebuildByID leases one rebuild until now+ttl; nil if it is not there, done, or leased to somebody.
func (t *Tx) LeaseRebuildByID(id string, now time.Time, ttl time.Duration) (*Rebuild, error) {
	args := arguments{stamp(now.Add(ttl)), id}
	n, err := t.exec("rebuild "+id, `
		UPDATE rebuilds SET state = 'LEASED', lease_token = lease_token + 1, lease_until = $1, attempts = attempts + 1
		WHERE id = $2 AND `+leasable(&args, now, ttl), args...)
	if err != nil || n == 0 {
		return nil, err
	}
	return queryOne(t, "rebuild "+id, scanRebuild, `SELECT `+rebuildColumns+` FROM rebuilds WHERE id = $1`, id)
}

// ExtendLease lets a lease end later. A lease that has ended or that is another's is fault.Aborted LEASE_LOST.
func (t *Tx) ExtendLease(id string, token int64, now, until time.Time) error {
	return t.fenced(id, token, now, `lease_until = $4`, stamp(until))
}

// CompleteRebuild ends a rebuild. A lease that has ended or that is another's is fault.Aborted LEASE_LOST.
func (t *Tx) CompleteRebuild(id string, token int64, now time.Time) error {
	return t.fenced(id, token, now, `state = 'DONE', lease_until = NULL`)
}

// ReleaseLease gives a rebuild back, so that it waits again. A lease that is another's is fault.Aborted LEASE_LOST; one
// that has ended is given back like any other, lest it stands again when the clock is set back.
func (t *Tx) ReleaseLease(id string, token int64) error {
	return t.fenced(id, token, time.UnixMicro(0), `state = 'WAITING', lease_until = NULL`)
}

// fenced changes a rebuild for the holder of its present lease only.
func (t *Tx) fenced(id string, token int64, now time.Time, set string, args ...any) error {
	n, err := t.exec("rebuild "+id,
		`UPDATE rebuilds SET `+set+` WHERE id = $1 AND state = 'LEASED' AND lease_token = $2 AND lease_until > $3`,
		append([]any{id, token, stamp(now)}, args...)...)
	if err != nil || n > 0 {
		return err
	}
	return &fault.Error{Kind: fault.Aborted, Reason: "LEASE_LOST", Resource: "rebuild " + id,
		Message: "the lease has ended or is held by another", Advice: "drop the result and lease again"}
}
