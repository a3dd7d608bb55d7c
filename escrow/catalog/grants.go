package catalog

import (
	"context"
	"time"

	"github.com/countersign-escrow/countersign/escrow/resource"
)

// Grant lets an organization see a product's releases for a time.
type Grant struct {
	ID      string
	Vendor  resource.Organization
	Grantee resource.Organization
	Product resource.Product
	From    time.Time
	Until   time.Time // exclusive
	Revoked time.Time // zero: not revoked
	Created time.Time
}

// Name returns the resource name.
func (g Grant) Name() string { return grantName(g.Vendor, g.ID) }

const grantColumns = `id, vendor, grantee, product, valid_from, valid_until, revoked, created`

func scanGrant(r row) (*Grant, error) {
	var g Grant
	return &g, r.Scan(&g.ID, organizationInto(&g.Vendor), organizationInto(&g.Grantee), productInto(&g.Product),
		timeInto(&g.From), timeInto(&g.Until), timeInto(&g.Revoked), timeInto(&g.Created))
}

func grantName(vendor resource.Organization, id string) string {
	return resource.Child{Organization: vendor, Collection: resource.Grants, ID: id}.String()
}

// liveAt is the condition that a grant g lives at the time now. Package grant has the same rule for a grant in hand.
func liveAt(args *arguments, now time.Time) string {
	at := args.add(now.UnixMicro())
	return `g.valid_from <= ` + at + ` AND g.valid_until > ` + at + ` AND (g.revoked IS NULL OR g.revoked > ` + at + `)`
}

// liveGrant is the query for a grant to somebody, live at the time now, on the product in a column of the query around it.
func liveGrant(args *arguments, productColumn string, grantee resource.Organization, now time.Time) string {
	return `SELECT 1 FROM grants g WHERE g.product = ` + productColumn + ` AND g.grantee = ` + args.add(grantee.String()) + ` AND ` + liveAt(args, now)
}

// InsertGrant records a grant.
func (t *Tx) InsertGrant(g Grant) error {
	_, err := t.exec(g.Name(), `INSERT INTO grants (`+grantColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		g.ID, g.Vendor.String(), g.Grantee.String(), g.Product.String(), stamp(g.From), stamp(g.Until), stamp(g.Revoked), stamp(g.Created))
	return err
}

// Grant returns one grant.
func (t *Tx) Grant(vendor resource.Organization, id string) (*Grant, error) {
	return queryOne(t, grantName(vendor, id), scanGrant, `SELECT `+grantColumns+` FROM grants WHERE vendor = $1 AND id = $2`, vendor.String(), id)
}

// GrantsOf lists the grants that an organization gave or was given by id, those after the id `after`.
func (t *Tx) GrantsOf(o resource.Organization, after string, limit int) ([]Grant, error) {
	return queryAll(t, "grants", scanGrant,
		`SELECT `+grantColumns+` FROM grants WHERE (vendor = $1 OR grantee = $1) AND id > $2 ORDER BY id LIMIT $3`,
		o.String(), after, bound(limit))
}

// RevokeGrant ends a grant at the time now, and returns it; the first revocation stands.
func (t *Tx) RevokeGrant(vendor resource.Organization, id string, now time.Time) (*Grant, error) {
	_, err := t.exec(grantName(vendor, id),
		`UPDATE grants SET revoked = COALESCE(revoked, $1) WHERE vendor = $2 AND id = $3`, stamp(now), vendor.String(), id)
	if err != nil {
		return nil, err
	}
	return t.Grant(vendor, id)
}

// LiveGrants returns the grantee's grants on a product that live at the time now, by id.
func (t *Tx) LiveGrants(grantee resource.Organization, product resource.Product, now time.Time) ([]Grant, error) {
	args := arguments{grantee.String(), product.String()}
	return queryAll(t, "grants", scanGrant, `
		SELECT `+grantColumns+` FROM grants g WHERE g.grantee = $1 AND g.product = $2 AND `+liveAt(&args, now)+` ORDER BY id`, args...)
}

// LiveGrantees returns who has a live grant on a product at the time now, by name.
func (t *Tx) LiveGrantees(product resource.Product, now time.Time) ([]resource.Organization, error) {
	args := arguments{product.String()}
	return queryAll(t, "grants", scanName,
		`SELECT DISTINCT g.grantee FROM grants g WHERE g.product = $1 AND `+liveAt(&args, now)+` ORDER BY g.grantee`, args...)
}

// GrantedProducts lists the products on which somebody has a live grant at the time now by name, those after the name `after`.
func (t *Tx) GrantedProducts(grantee resource.Organization, now time.Time, after string, limit int) ([]Product, error) {
	args := arguments{after}
	return queryAll(t, "products", scanProduct,
		`SELECT p.name, p.display_name, p.created FROM products p WHERE p.name > $1 AND EXISTS (`+
			liveGrant(&args, "p.name", grantee, now)+`) ORDER BY p.name LIMIT `+args.add(bound(limit)), args...)
}

// LiveGrants is Tx.LiveGrants in a transaction of its own.
func (c *Catalog) LiveGrants(ctx context.Context, grantee resource.Organization, product resource.Product, now time.Time) (live []Grant, err error) {
	err = c.View(ctx, func(tx *Tx) error {
		live, err = tx.LiveGrants(grantee, product, now)
		return err
	})
	return live, err
}
