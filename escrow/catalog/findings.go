package catalog

import (
	"time"

	"github.com/countersign-escrow/countersign/escrow/resource"
)

// Finding is what one check found, with the columns by which it is looked for.
type Finding struct {
	ID            string
	Release       resource.Release
	Seq           int64  // set by InsertFinding: grows within the release, and is the number of the finding's event
	Finding       []byte // the finding itself, JSON
	Check         string
	Outcome       string
	Verdict       string
	Artifact      string // the artifact's path, or ""
	Rebuilder     resource.Organization
	AttestationID string
	Created       time.Time
}

const findingColumns = `id, release, seq, finding, check_name, outcome, verdict, artifact, rebuilder, attestation_id, created`

func scanFinding(r row) (*Finding, error) {
	var f Finding
	return &f, r.Scan(&f.ID, releaseInto(&f.Release), &f.Seq, &f.Finding, &f.Check, &f.Outcome, &f.Verdict, &f.Artifact,
		organizationInto(&f.Rebuilder), &f.AttestationID, timeInto(&f.Created))
}

func findingName(r resource.Release, id string) string { return r.String() + "/findings/" + id }

// InsertFinding records a finding and its event, and sets its Seq.
func (t *Tx) InsertFinding(f *Finding) error {
	event := ReleaseEvent{Release: f.Release, FindingID: f.ID, Created: f.Created}
	if err := t.insertReleaseEvent(&event); err != nil {
		return err
	}
	f.Seq = event.Seq
	_, err := t.exec(findingName(f.Release, f.ID),
		`INSERT INTO findings (`+findingColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		f.ID, f.Release.String(), f.Seq, string(f.Finding), f.Check, f.Outcome, f.Verdict, f.Artifact,
		text(f.Rebuilder), f.AttestationID, stamp(f.Created))
	return err
}

// Finding returns one finding.
func (t *Tx) Finding(r resource.Release, id string) (*Finding, error) {
	return queryOne(t, findingName(r, id), scanFinding,
		`SELECT `+findingColumns+` FROM findings WHERE release = $1 AND id = $2`, r.String(), id)
}

// Findings lists a release's findings in the order in which they were recorded, those after the number afterSeq.
func (t *Tx) Findings(r resource.Release, afterSeq int64, limit int) ([]Finding, error) {
	return queryAll(t, "findings", scanFinding,
		`SELECT `+findingColumns+` FROM findings WHERE release = $1 AND seq > $2 ORDER BY seq LIMIT $3`, r.String(), afterSeq, bound(limit))
}

// ReleaseEvent says that something happened to a release.
type ReleaseEvent struct {
	Seq       int64 // grows within the release, without gaps
	Release   resource.Release
	FindingID string // "": the release itself changed
	Created   time.Time
}

func scanEvent(r row) (*ReleaseEvent, error) {
	var e ReleaseEvent
	return &e, r.Scan(&e.Seq, releaseInto(&e.Release), textInto(&e.FindingID), timeInto(&e.Created))
}

// InsertReleaseEvent records an event; its Seq is given to it. InsertFinding, SealRelease and SetChecksComplete record
// theirs themselves.
func (t *Tx) InsertReleaseEvent(e ReleaseEvent) error { return t.insertReleaseEvent(&e) }

func (t *Tx) insertReleaseEvent(e *ReleaseEvent) error {
	var err error
	if e.Seq, err = t.count("events of " + e.Release.String()); err != nil {
		return err
	}
	_, err = t.exec("event of "+e.Release.String(), `INSERT INTO release_events (seq, release, finding_id, created) VALUES ($1, $2, $3, $4)`,
		e.Seq, e.Release.String(), maybe(e.FindingID), stamp(e.Created))
	return err
}

// ReleaseEvents lists a release's events, those after the number `after`.
func (t *Tx) ReleaseEvents(r resource.Release, after int64, limit int) ([]ReleaseEvent, error) {
	return queryAll(t, "release events", scanEvent,
		`SELECT seq, release, finding_id, created FROM release_events WHERE release = $1 AND seq > $2 ORDER BY seq LIMIT $3`,
		r.String(), after, bound(limit))
}
