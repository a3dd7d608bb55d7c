package catalog

import (
	"time"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/resource"
)

// DamageKind says what is wrong with a blob.
type DamageKind string

// The kinds of damage.
const (
	BlobDamaged     DamageKind = "DAMAGED"     // its bytes are not those that were deposited
	BlobMissing     DamageKind = "MISSING"     // the store does not have it
	BlobUnreadable  DamageKind = "UNREADABLE"  // it could not be read, also when that was tried again
	BlobUnprotected DamageKind = "UNPROTECTED" // it is whole, and the store would let it be deleted too early
)

// Damage is a blob that a scrub found not to be as it ought to.
type Damage struct {
	Place
	Size    int64 // bytes it ought to have
	Kind    DamageKind
	At      int64 // the first wrong byte; -1: not known
	Problem string
	Found   time.Time
}

// Use is a place where a release names a blob.
type Use struct {
	Release resource.Release
	Role    Role
	Path    string
}

// PutDamage records a damage, in place of what was found of the same blob before.
func (t *Tx) PutDamage(scrub string, d Damage) error {
	var at any
	if d.At >= 0 {
		at = d.At
	}
	_, err := t.exec("damage of "+d.Digest.String(), `
		INSERT INTO scrub_damages (scrub, holder, digest, size, kind, at_byte, problem, found) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (scrub, holder, digest) DO UPDATE SET kind = excluded.kind, at_byte = excluded.at_byte, problem = excluded.problem, found = excluded.found`,
		scrub, d.Holder.String(), d.Digest.String(), d.Size, string(d.Kind), at, d.Problem, stamp(d.Found))
	return err
}

// DropDamage takes back a damage: the blob proved good when it was looked at again.
func (t *Tx) DropDamage(scrub string, p Place) error {
	_, err := t.exec("damage of "+p.Digest.String(), `DELETE FROM scrub_damages WHERE scrub = $1 AND holder = $2 AND digest = $3`,
		scrub, p.Holder.String(), p.Digest.String())
	return err
}

func scanDamage(r row) (*Damage, error) {
	var d Damage
	var at *int64
	err := r.Scan(organizationInto(&d.Holder), digestInto(&d.Digest), &d.Size, &d.Kind, &at, &d.Problem, timeInto(&d.Found))
	if d.At = -1; at != nil {
		d.At = *at
	}
	return &d, err
}

// Damages lists what a scrub found by holder and digest, after a place.
func (t *Tx) Damages(scrub string, after Place, limit int) ([]Damage, error) {
	holder, d := after.texts()
	return queryAll(t, "damages", scanDamage, `
		SELECT holder, digest, size, kind, at_byte, problem, found FROM scrub_damages
		WHERE scrub = $1 AND (holder, digest) > ($2, $3) ORDER BY holder, digest LIMIT $4`, scrub, holder, d, bound(limit))
}

// countDamages counts a scrub's damages by kind.
func (t *Tx) countDamages(s *Scrub) error {
	type kind struct {
		kind DamageKind
		n    int64
	}
	all, err := queryAll(t, "damages", func(r row) (*kind, error) {
		var k kind
		return &k, r.Scan(&k.kind, &k.n)
	}, `SELECT kind, COUNT(*) FROM scrub_damages WHERE scrub = $1 GROUP BY kind`, s.ID)
	s.Found = map[DamageKind]int64{}
	for _, k := range all {
		s.Found[k.kind] = k.n
	}
	return err
}

// Uses returns where releases name a holder's blob, by release, role and path.
func (t *Tx) Uses(holder resource.Organization, d digest.Digest, limit int) ([]Use, error) {
	return queryAll(t, "uses of "+d.String(), func(r row) (*Use, error) {
		var u Use
		return &u, r.Scan(releaseInto(&u.Release), &u.Role, &u.Path)
	}, `
		SELECT f.release, f.role, f.path FROM release_files f
		JOIN releases r ON r.name = f.release
		JOIN products p ON p.name = r.product
		WHERE f.digest = $1 AND p.vendor = $2 ORDER BY f.release, f.role, f.path LIMIT $3`, d.String(), holder.String(), bound(limit))
}

// Holding is a blob that ought to be held, and how the store was told to lock it.
type Holding struct {
	Place
	Size        int64
	LockedUntil time.Time // zero: no release has it yet, or none that the store was told of
	LockedHold  bool
	Damaged     time.Time // its mark; zero: none
}

func scanHolding(r row) (*Holding, error) {
	var h Holding
	return &h, r.Scan(organizationInto(&h.Holder), digestInto(&h.Digest), &h.Size, timeInto(&h.LockedUntil), &h.LockedHold, timeInto(&h.Damaged))
}

// lock is the query for the most that the store was told of a blob b, over the releases that have it.
func lock(most string) string {
	return `(SELECT ` + most + ` FROM release_files f JOIN retentions n ON n.release = f.release
		JOIN releases r ON r.name = f.release JOIN products p ON p.name = r.product
		WHERE f.digest = b.digest AND p.vendor = b.holder)`
}

var holdings = `SELECT b.holder, b.digest, b.size, ` + lock(`MAX(n.locked_until)`) + `, ` + lock(`COALESCE(MAX(n.locked_hold), 0)`) + `, b.damaged FROM blobs b `

// Holdings lists what all holders have deposited by holder and digest, after a place.
func (t *Tx) Holdings(after Place, limit int) ([]Holding, error) {
	holder, d := after.texts()
	return queryAll(t, "blobs", scanHolding, holdings+`
		WHERE (b.holder, b.digest) > ($1, $2) ORDER BY b.holder, b.digest LIMIT $3`, holder, d, bound(limit))
}

// Holding returns one blob that ought to be held.
func (t *Tx) Holding(p Place) (*Holding, error) {
	return queryOne(t, "blob "+p.Digest.String()+" of "+p.Holder.String(), scanHolding,
		holdings+` WHERE b.holder = $1 AND b.digest = $2`, p.Holder.String(), p.Digest.String())
}
