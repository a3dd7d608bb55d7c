package catalog

import (
	"time"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
)

// Hold is a legal hold on a release: while it stands, nothing of the release is deleted, whatever the date. A hold that was
// lifted stays on record.
type Hold struct {
	ID           string
	Release      resource.Release
	Reason       string
	Placed       time.Time
	PlacedBy     resource.Organization
	PlacedMember string
	Lifted       time.Time // zero: it stands; the rest is then empty
	LiftedBy     resource.Organization
	LiftedMember string
	LiftReason   string
}

// Name returns the resource name.
func (h Hold) Name() string { return resource.Hold{Release: h.Release, ID: h.ID}.String() }

const holdColumns = `id, release, reason, placed, placed_by, placed_member, lifted, lifted_by, lifted_member, lift_reason`

func scanHold(w row) (*Hold, error) {
	var h Hold
	return &h, w.Scan(&h.ID, releaseInto(&h.Release), &h.Reason, timeInto(&h.Placed), organizationInto(&h.PlacedBy), &h.PlacedMember,
		timeInto(&h.Lifted), organizationInto(&h.LiftedBy), textInto(&h.LiftedMember), textInto(&h.LiftReason))
}

// InsertHold places a hold.
func (t *Tx) InsertHold(h Hold) error {
	_, err := t.exec(h.Name(), `INSERT INTO holds (id, release, reason, placed, placed_by, placed_member) VALUES ($1, $2, $3, $4, $5, $6)`,
		h.ID, h.Release.String(), h.Reason, stamp(h.Placed), h.PlacedBy.String(), h.PlacedMember)
	return err
}

// Hold returns one hold.
func (t *Tx) Hold(name resource.Hold) (*Hold, error) {
	return queryOne(t, name.String(), scanHold, `SELECT `+holdColumns+` FROM holds WHERE id = $1 AND release = $2`, name.ID, name.Release.String())
}

// LiftHold records who lifted a hold, when and why. One that was lifted before is fault.Precondition HOLD_LIFTED.
func (t *Tx) LiftHold(h Hold) error {
	n, err := t.exec(h.Name(), `
		UPDATE holds SET lifted = $1, lifted_by = $2, lifted_member = $3, lift_reason = $4 WHERE id = $5 AND release = $6 AND lifted IS NULL`,
		stamp(h.Lifted), h.LiftedBy.String(), h.LiftedMember, h.LiftReason, h.ID, h.Release.String())
	if err != nil || n > 0 {
		return err
	}
	if _, err := t.Hold(resource.Hold{Release: h.Release, ID: h.ID}); err != nil {
		return err
	}
	return fault.Preconditionf("HOLD_LIFTED", h.Name(), "%s was lifted before", h.Name())
}

// HoldFilter says which holds are looked for. Zero fields filter nothing.
type HoldFilter struct {
	Vendor   resource.Organization
	Release  resource.Release
	Standing bool   // only those that are not lifted
	After    string // only ids after this one
	Limit    int
}

// Holds lists holds by id, which is their order in time.
func (t *Tx) Holds(f HoldFilter) ([]Hold, error) {
	args := arguments{f.After}
	query := `SELECT ` + holdColumns + ` FROM holds WHERE id > $1`
	if f.Vendor != (resource.Organization{}) {
		query += ` AND EXISTS (SELECT 1 FROM releases r JOIN products p ON p.name = r.product
			WHERE r.name = holds.release AND p.vendor = ` + args.add(f.Vendor.String()) + `)`
	}
	if f.Release != (resource.Release{}) {
		query += ` AND release = ` + args.add(f.Release.String())
	}
	if f.Standing {
		query += ` AND lifted IS NULL`
	}
	query += ` ORDER BY id LIMIT ` + args.add(bound(f.Limit))
	return queryAll(t, "holds", scanHold, query, args...)
}

// HeldFiles returns the digests of those files of a release that a standing hold keeps: one on the release itself, or on
// another of the vendor's that has the same file.
func (t *Tx) HeldFiles(name resource.Release) ([]digest.Digest, error) {
	return queryAll(t, "held files of "+name.String(), scanDigest, `
		SELECT DISTINCT f.digest FROM release_files f
		JOIN release_files g ON g.digest = f.digest
		JOIN releases r ON r.name = g.release
		JOIN products p ON p.name = r.product
		WHERE f.release = $1 AND p.vendor = $2 AND EXISTS (SELECT 1 FROM holds h WHERE h.release = g.release AND h.lifted IS NULL)
		ORDER BY f.digest`, name.String(), name.Product.Vendor.String())
}

func scanDigest(r row) (*digest.Digest, error) {
	var d digest.Digest
	return &d, r.Scan(digestInto(&d))
}
