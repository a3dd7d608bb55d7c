package catalog

import (
	"fmt"
	"time"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
)

// ScrubState says how a scrub stands.
type ScrubState string

// The states of a scrub.
const (
	ScrubRunning   ScrubState = "RUNNING"
	ScrubDone      ScrubState = "DONE"
	ScrubCancelled ScrubState = "CANCELLED"
)

// Place is how far a scrub came: everything up to this blob, by holder and digest, was looked at. The zero Place is the
// beginning.
type Place struct {
	Holder resource.Organization
	Digest digest.Digest
}

// texts returns a place as columns that blobs are compared with.
func (p Place) texts() (holder, d string) {
	if p == (Place{}) {
		return "", ""
	}
	return p.Holder.String(), p.Digest.String()
}

// Scrub is one reading back of everything that is held.
type Scrub struct {
	ID           string
	State        ScrubState
	StartedBy    resource.Organization // the operator
	Member       string                // of the operator; "": the service started it by itself
	Rate         int64                 // bytes per second at most; 0: as fast as it goes
	PlannedBlobs int64                 // what was held when it started
	PlannedBytes int64
	Place        Place
	Blobs        int64 // looked at
	Bytes        int64 // of the blobs looked at
	Reading      int64 // bytes read of blobs that are not done yet
	Found        map[DamageKind]int64
	Created      time.Time
	Updated      time.Time
	Ended        time.Time // zero while it runs
}

// Name returns the resource name.
func (s Scrub) Name() string { return scrubName(s.StartedBy, s.ID) }

func scrubName(operator resource.Organization, id string) string {
	return resource.Child{Organization: operator, Collection: resource.Scrubs, ID: id}.String()
}

const scrubColumns = `id, state, started_by, member, rate, planned_blobs, planned_bytes, holder, digest, blobs, bytes, reading, created, updated, ended`

func scanScrub(w row) (*Scrub, error) {
	var s Scrub
	var holder, d string
	err := w.Scan(&s.ID, &s.State, organizationInto(&s.StartedBy), &s.Member, &s.Rate, &s.PlannedBlobs, &s.PlannedBytes, &holder, &d,
		&s.Blobs, &s.Bytes, &s.Reading, timeInto(&s.Created), timeInto(&s.Updated), timeInto(&s.Ended))
	if err != nil || holder == "" {
		return &s, err
	}
	if s.Place.Holder, err = resource.ParseOrganization(holder); err == nil {
		s.Place.Digest, err = digest.Parse(d)
	}
	return &s, err
}

// InsertScrub starts a scrub and plans what is held now: ID, StartedBy, Member, Rate and Created count. One runs at a time:
// while another does, it is fault.Precondition SCRUB_RUNNING.
func (t *Tx) InsertScrub(s Scrub) error {
	blobs, size, err := t.held()
	if err != nil {
		return err
	}
	_, err = t.exec(s.Name(), `
		INSERT INTO scrubs (id, state, running, started_by, member, rate, planned_blobs, planned_bytes, holder, digest, blobs, bytes, reading, created, updated)
		VALUES ($1, $2, 1, $3, $4, $5, $6, $7, '', '', 0, 0, 0, $8, $8)`,
		s.ID, string(ScrubRunning), s.StartedBy.String(), s.Member, s.Rate, blobs, size, stamp(s.Created))
	if fault.Is(err, fault.Exists) {
		return fault.Preconditionf("SCRUB_RUNNING", s.StartedBy.String(), "another scrub is running").
			WithAdvice("follow that one, or cancel it: escrowctl scrub list")
	}
	return err
}

// held counts what all holders have deposited.
func (t *Tx) held() (blobs, size int64, err error) {
	type sum struct{ blobs, bytes int64 }
	s, err := queryOne(t, "blobs", func(r row) (*sum, error) {
		var s sum
		return &s, r.Scan(&s.blobs, &s.bytes)
	}, `SELECT COUNT(*), CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM blobs`)
	if err != nil {
		return 0, 0, err
	}
	return s.blobs, s.bytes, nil
}

// OldestBlob returns when the first blob was deposited; the zero time if none was.
func (t *Tx) OldestBlob() (time.Time, error) {
	at, err := queryOne(t, "blobs", func(r row) (*time.Time, error) {
		var at time.Time
		return &at, r.Scan(timeInto(&at))
	}, `SELECT MIN(created) FROM blobs`)
	if err != nil {
		return time.Time{}, err
	}
	return *at, nil
}

// Scrub returns one scrub.
func (t *Tx) Scrub(operator resource.Organization, id string) (*Scrub, error) {
	s, err := queryOne(t, scrubName(operator, id), scanScrub, `SELECT `+scrubColumns+` FROM scrubs WHERE id = $1 AND started_by = $2`, id, operator.String())
	if err != nil {
		return nil, err
	}
	return s, t.countDamages(s)
}

// RunningScrub returns the scrub that runs; nil if none does.
func (t *Tx) RunningScrub() (*Scrub, error) {
	return first(queryAll(t, "scrubs", scanScrub, `SELECT `+scrubColumns+` FROM scrubs WHERE running = 1`))
}

// NewestScrub returns the scrub that was started last and was not cancelled; nil if there was none.
func (t *Tx) NewestScrub() (*Scrub, error) {
	return first(queryAll(t, "scrubs", scanScrub, `SELECT `+scrubColumns+` FROM scrubs WHERE state <> 'CANCELLED' ORDER BY id DESC LIMIT 1`))
}

// Scrubs lists scrubs, newest first, those before the id `before` ("": all).
func (t *Tx) Scrubs(operator resource.Organization, before string, limit int) ([]Scrub, error) {
	all, err := queryAll(t, "scrubs", scanScrub, `
		SELECT `+scrubColumns+` FROM scrubs WHERE started_by = $1 AND ($2 = '' OR id < $2) ORDER BY id DESC LIMIT $3`,
		operator.String(), before, bound(limit))
	if err != nil {
		return nil, err
	}
	for i := range all {
		if err := t.countDamages(&all[i]); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// ScrubStep is how far a scrub came since its last step.
type ScrubStep struct {
	From, To Place
	Blobs    int64
	Bytes    int64
	Reading  int64
	Damages  []Damage
	Marks    []Mark
	Time     time.Time
}

// StepScrub records a step. If the scrub does not run any more, or another process has gone on from the same place, it is
// fault.Aborted and nothing is recorded: nothing counts twice.
func (t *Tx) StepScrub(id string, s ScrubStep) error {
	fromHolder, fromDigest := s.From.texts()
	toHolder, toDigest := s.To.texts()
	n, err := t.exec("scrub "+id, `
		UPDATE scrubs SET holder = $1, digest = $2, blobs = blobs + $3, bytes = bytes + $4, reading = $5, updated = $6
		WHERE id = $7 AND running = 1 AND holder = $8 AND digest = $9`,
		toHolder, toDigest, s.Blobs, s.Bytes, s.Reading, stamp(s.Time), id, fromHolder, fromDigest)
	if err != nil {
		return err
	}
	if n == 0 {
		return &fault.Error{Kind: fault.Aborted, Reason: "ABORTED", Message: fmt.Sprintf("scrub %s does not run any more, or runs elsewhere", id)}
	}
	for _, d := range s.Damages {
		if err := t.PutDamage(id, d); err != nil {
			return err
		}
	}
	return t.SetMarks(s.Marks, s.Time)
}

// EndScrub ends a scrub that runs, as done or cancelled. One that has ended stays as it is.
func (t *Tx) EndScrub(id string, state ScrubState, now time.Time) error {
	_, err := t.exec("scrub "+id, `UPDATE scrubs SET state = $1, running = NULL, reading = 0, updated = $2, ended = $2 WHERE id = $3 AND running = 1`,
		string(state), stamp(now), id)
	return err
}
