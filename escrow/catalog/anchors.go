package catalog

import (
	"time"

	"github.com/countersign-escrow/countersign/escrow/resource"
)

// Purpose says what a trust anchor's signatures count for.
type Purpose string

// The purposes of trust anchors.
const (
	PurposeRelease Purpose = "RELEASE" // signs manifests
	PurposeRebuild Purpose = "REBUILD" // signs the findings of rebuilds
)

// TrustAnchor is a key whose signatures count for an organization.
type TrustAnchor struct {
	ID           string
	Organization resource.Organization
	Purpose      Purpose
	Product      *resource.Product // nil: every product
	PublicKeyPEM string
	KeyID        string
	From         time.Time // zero: always
	Until        time.Time // exclusive; zero: for ever
	Revoked      time.Time // zero: not revoked
	Created      time.Time
}

const anchorColumns = `id, organization, purpose, product, public_key_pem, key_id, valid_from, valid_until, revoked, created`

func scanAnchor(r row) (*TrustAnchor, error) {
	var a TrustAnchor
	return &a, r.Scan(&a.ID, organizationInto(&a.Organization), &a.Purpose, pointerInto(&a.Product, resource.ParseProduct),
		&a.PublicKeyPEM, &a.KeyID, timeInto(&a.From), timeInto(&a.Until), timeInto(&a.Revoked), timeInto(&a.Created))
}

func anchorName(o resource.Organization, id string) string {
	return resource.Child{Organization: o, Collection: resource.TrustAnchors, ID: id}.String()
}

// InsertTrustAnchor registers a trust anchor.
func (t *Tx) InsertTrustAnchor(a TrustAnchor) error {
	_, err := t.exec(anchorName(a.Organization, a.ID),
		`INSERT INTO trust_anchors (`+anchorColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		a.ID, a.Organization.String(), string(a.Purpose), optional(a.Product), a.PublicKeyPEM, a.KeyID,
		stamp(a.From), stamp(a.Until), stamp(a.Revoked), stamp(a.Created))
	return err
}

// TrustAnchor returns one trust anchor.
func (t *Tx) TrustAnchor(o resource.Organization, id string) (*TrustAnchor, error) {
	return queryOne(t, anchorName(o, id), scanAnchor,
		`SELECT `+anchorColumns+` FROM trust_anchors WHERE organization = $1 AND id = $2`, o.String(), id)
}

// TrustAnchors returns all trust anchors of an organization, also those revoked and expired, by id.
func (t *Tx) TrustAnchors(o resource.Organization) ([]TrustAnchor, error) {
	return queryAll(t, "trust anchors", scanAnchor,
		`SELECT `+anchorColumns+` FROM trust_anchors WHERE organization = $1 ORDER BY id`, o.String())
}

// TrustAnchorsPage lists trust anchors of an organization by id, those after the id `after`.
func (t *Tx) TrustAnchorsPage(o resource.Organization, after string, limit int) ([]TrustAnchor, error) {
	return queryAll(t, "trust anchors", scanAnchor,
		`SELECT `+anchorColumns+` FROM trust_anchors WHERE organization = $1 AND id > $2 ORDER BY id LIMIT $3`,
		o.String(), after, bound(limit))
}

// RevokeTrustAnchor makes a trust anchor count no more, and returns it; the first revocation stands.
func (t *Tx) RevokeTrustAnchor(o resource.Organization, id string, now time.Time) (*TrustAnchor, error) {
	_, err := t.exec(anchorName(o, id),
		`UPDATE trust_anchors SET revoked = COALESCE(revoked, $1) WHERE organization = $2 AND id = $3`, stamp(now), o.String(), id)
	if err != nil {
		return nil, err
	}
	return t.TrustAnchor(o, id)
}
