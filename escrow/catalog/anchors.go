package catalog

import (
	"fmt"
	"time"

	"github.com/countersign-escrow/countersign/escrow/resource"
)

// Purpose says what a trust anchor's signatures count for.
type Purpose string

// The purposes of trust anchors.
const (
	PurposeRelease  Purpose = "RELEASE"  // signs manifests, and every file of a release
	PurposeRebuild  Purpose = "REBUILD"  // signs the findings of rebuilds
	PurposeSource   Purpose = "SOURCE"   // signs sources alone
	PurposeArtifact Purpose = "ARTIFACT" // signs shipped files alone
	PurposeTime     Purpose = "TIME"     // stamps the time in other signatures
)

// AnchorKind says what a trust anchor holds. The catalog does not look into it.
type AnchorKind string

// AnchorPublicKey is the kind of anchors from before there were others, and that of all that have a KeyID.
const AnchorPublicKey AnchorKind = "PUBLIC_KEY"

// UnsafeAlgorithms are the weak algorithms that an anchor's signatures may use.
type UnsafeAlgorithms struct {
	MD5      bool `json:"md5Unsafe,omitempty"`
	SHA1     bool `json:"sha1Unsafe,omitempty"`
	ShortRSA bool `json:"shortRsaUnsafe,omitempty"`
}

// TrustAnchor is a key, certificate or identity whose signatures count for an organization.
type TrustAnchor struct {
	ID           string
	Organization resource.Organization
	Purpose      Purpose
	Product      *resource.Product // nil: every product
	Kind         AnchorKind
	Material     string // what it holds, in the form of its kind
	KeyID        string // of a public key; empty for other kinds
	Description  string // what it holds, for people
	Unsafe       UnsafeAlgorithms
	From         time.Time // zero: always
	Until        time.Time // exclusive; zero: for ever
	Revoked      time.Time // zero: not revoked
	Compromised  bool      // revoked, and nothing that it ever signed counts
	Created      time.Time
}

const anchorColumns = `id, organization, purpose, product, kind, material, key_id, description, unsafe,
	valid_from, valid_until, revoked, compromised, created`

func scanAnchor(r row) (*TrustAnchor, error) {
	var a TrustAnchor
	return &a, r.Scan(&a.ID, organizationInto(&a.Organization), &a.Purpose, pointerInto(&a.Product, resource.ParseProduct),
		&a.Kind, &a.Material, &a.KeyID, &a.Description, jsonInto(&a.Unsafe),
		timeInto(&a.From), timeInto(&a.Until), timeInto(&a.Revoked), &a.Compromised, timeInto(&a.Created))
}

// Name returns the anchor's resource name.
func (a *TrustAnchor) Name() string { return anchorName(a.Organization, a.ID) }

func anchorName(o resource.Organization, id string) string {
	return resource.Child{Organization: o, Collection: resource.TrustAnchors, ID: id}.String()
}

// InsertTrustAnchor registers a trust anchor.
func (t *Tx) InsertTrustAnchor(a TrustAnchor) error {
	unsafe, err := jsonText(a.Unsafe)
	if err != nil {
		return fmt.Errorf("catalog: %s: %w", a.Name(), err)
	}
	_, err = t.exec(a.Name(),
		`INSERT INTO trust_anchors (`+anchorColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
		a.ID, a.Organization.String(), string(a.Purpose), optional(a.Product), string(a.Kind), a.Material, a.KeyID, a.Description, unsafe,
		stamp(a.From), stamp(a.Until), stamp(a.Revoked), bit(a.Compromised), stamp(a.Created))
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

// RevokeTrustAnchor makes a trust anchor count no more, and returns it; the first revocation stands. That it is compromised
// may be said later, and is never taken back.
func (t *Tx) RevokeTrustAnchor(o resource.Organization, id string, now time.Time, compromised bool) (*TrustAnchor, error) {
	_, err := t.exec(anchorName(o, id),
		`UPDATE trust_anchors SET revoked = COALESCE(revoked, $1), compromised = CASE WHEN $2 = 1 THEN 1 ELSE compromised END
		WHERE organization = $3 AND id = $4`, stamp(now), bit(compromised), o.String(), id)
	if err != nil {
		return nil, err
	}
	return t.TrustAnchor(o, id)
}
