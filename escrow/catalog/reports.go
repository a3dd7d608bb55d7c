package catalog

import (
	"strconv"
	"time"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/resource"
)

// Report is what an evaluator's policy says of a release at one time.
type Report struct {
	Seq           int64 // grows within the evaluator, in the order of becoming visible; 0 before
	Evaluator     resource.Organization
	Release       resource.Release
	PolicyVersion int64
	PolicyDigest  digest.Digest
	Decision      string
	Rules         []byte        // JSON
	ContentDigest digest.Digest // of what was decided, to tell whether a later report says something new
	AttestationID string        // unique among reports
	Visible       bool
	Superseded    bool // a later report on the same release is visible
	Created       time.Time
}

const reportColumns = `seq, evaluator, release, policy_version, policy_digest, decision, rules, content_digest, attestation_id, superseded, created`

func scanReport(w row) (*Report, error) {
	var r Report
	err := w.Scan(numberInto(&r.Seq), organizationInto(&r.Evaluator), releaseInto(&r.Release), &r.PolicyVersion, digestInto(&r.PolicyDigest),
		&r.Decision, &r.Rules, digestInto(&r.ContentDigest), &r.AttestationID, &r.Superseded, timeInto(&r.Created))
	r.Visible = r.Seq > 0
	return &r, err
}

func reportName(o resource.Organization, seq int64) string {
	return resource.Child{Organization: o, Collection: resource.Reports, ID: strconv.FormatInt(seq, 10)}.String()
}

// InsertReport records a report that nobody sees yet. It becomes visible with its attestation: MarkReportVisible.
func (t *Tx) InsertReport(r Report) error {
	name := "report with " + attestationName(r.AttestationID)
	made, err := t.count("reports on " + r.Release.String() + " for " + r.Evaluator.String())
	if err != nil {
		return err
	}
	_, err = t.exec(name, `
		INSERT INTO reports (made, `+reportColumns+`) VALUES ($1, NULL, $2, $3, $4, $5, $6, $7, $8, $9, 0, $10)`,
		made, r.Evaluator.String(), r.Release.String(), r.PolicyVersion, text(r.PolicyDigest), r.Decision, string(r.Rules),
		text(r.ContentDigest), r.AttestationID, stamp(r.Created))
	return err
}

// MarkReportVisible makes the report of an attestation visible: it gets its number, and the reports on the same release
// that were made before it are superseded. It returns the report; nil if the attestation is not that of a report.
// Doing so again is harmless.
func (t *Tx) MarkReportVisible(attestationID string) (*Report, error) {
	r, err := t.reportOf(attestationID)
	if err != nil || r == nil || r.Visible {
		return r, err
	}
	seq, err := t.count("visible reports for " + r.Evaluator.String())
	if err != nil {
		return nil, err
	}
	if _, err := t.exec("report", `UPDATE reports SET seq = $1 WHERE attestation_id = $2`, seq, attestationID); err != nil {
		return nil, err
	}
	if err := t.supersede(r.Evaluator, r.Release); err != nil {
		return nil, err
	}
	return t.reportOf(attestationID)
}

// supersede marks the visible reports on a release except the one made last. Attestations may be published in another
// order than reports were made.
func (t *Tx) supersede(evaluator resource.Organization, release resource.Release) error {
	_, err := t.exec("report", `
		UPDATE reports SET superseded = 1 WHERE evaluator = $1 AND release = $2 AND seq IS NOT NULL AND made <
			(SELECT MAX(made) FROM reports WHERE evaluator = $1 AND release = $2 AND seq IS NOT NULL)`,
		evaluator.String(), release.String())
	return err
}

func (t *Tx) reportOf(attestationID string) (*Report, error) {
	return first(queryAll(t, "report", scanReport, `SELECT `+reportColumns+` FROM reports WHERE attestation_id = $1`, attestationID))
}

// NewestReport returns the report on a release that was made last, visible or not; nil if there is none.
func (t *Tx) NewestReport(evaluator resource.Organization, release resource.Release) (*Report, error) {
	return first(queryAll(t, "report", scanReport, `
		SELECT `+reportColumns+` FROM reports WHERE evaluator = $1 AND release = $2 ORDER BY made DESC LIMIT 1`,
		evaluator.String(), release.String()))
}

// NewestVisibleReport returns the visible report on a release that was made last; nil if there is none.
func (t *Tx) NewestVisibleReport(evaluator resource.Organization, release resource.Release) (*Report, error) {
	return first(queryAll(t, "report", scanReport, `
		SELECT `+reportColumns+` FROM reports WHERE evaluator = $1 AND release = $2 AND seq IS NOT NULL ORDER BY made DESC LIMIT 1`,
		evaluator.String(), release.String()))
}

// first returns the first of all records, nil if there is none.
func first[T any](all []T, err error) (*T, error) {
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return &all[0], nil
}

// Report returns one visible report.
func (t *Tx) Report(evaluator resource.Organization, seq int64) (*Report, error) {
	return queryOne(t, reportName(evaluator, seq), scanReport,
		`SELECT `+reportColumns+` FROM reports WHERE evaluator = $1 AND seq = $2`, evaluator.String(), seq)
}

// ReportFilter says which reports are looked for.
type ReportFilter struct {
	Evaluator      resource.Organization
	Release        resource.Release // zero: all
	ShowSuperseded bool
	AfterSeq       int64
	Limit          int
}

// Reports lists visible reports by number.
func (t *Tx) Reports(f ReportFilter) ([]Report, error) {
	args := arguments{f.Evaluator.String(), f.AfterSeq}
	query := `SELECT ` + reportColumns + ` FROM reports WHERE evaluator = $1 AND seq > $2`
	if f.Release != (resource.Release{}) {
		query += ` AND release = ` + args.add(f.Release.String())
	}
	if !f.ShowSuperseded {
		query += ` AND superseded = 0`
	}
	query += ` ORDER BY seq LIMIT ` + args.add(bound(f.Limit))
	return queryAll(t, "reports", scanReport, query, args...)
}
