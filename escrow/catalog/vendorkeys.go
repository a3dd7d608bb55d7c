package catalog

import (
	"context"

	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/keyring"
	"github.com/countersign-escrow/countersign/escrow/resource"
)

const vendorKeyColumns = `holder, kek, wrapped, created, rewrapped`

func scanVendorKey(r row) (*keyring.Held, error) {
	var h keyring.Held
	return &h, r.Scan(organizationInto(&h.Holder), &h.KEK, &h.Wrapped, timeInto(&h.Created), timeInto(&h.Rewrapped))
}

func vendorKeyName(holder resource.Organization) string { return "key of " + holder.String() }

// VendorKey returns the wrapped key of a holder.
func (t *Tx) VendorKey(holder resource.Organization) (*keyring.Held, error) {
	return queryOne(t, vendorKeyName(holder), scanVendorKey,
		`SELECT `+vendorKeyColumns+` FROM vendor_keys WHERE holder = $1`, holder.String())
}

// AddVendorKey keeps the wrapped key of a holder, and returns the one that is there if another was first.
func (t *Tx) AddVendorKey(holder resource.Organization, r keyring.Record) (*keyring.Held, error) {
	_, err := t.exec(vendorKeyName(holder), `
		INSERT INTO vendor_keys (`+vendorKeyColumns+`) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (holder) DO NOTHING`,
		holder.String(), r.KEK, r.Wrapped, stamp(r.Created), stamp(r.Rewrapped))
	if err != nil {
		return nil, err
	}
	return t.VendorKey(holder)
}

// VendorKeys lists wrapped keys by the holder's name, those after the name `after`.
func (t *Tx) VendorKeys(after string, limit int) ([]keyring.Held, error) {
	return queryAll(t, "vendor keys", scanVendorKey,
		`SELECT `+vendorKeyColumns+` FROM vendor_keys WHERE holder > $1 ORDER BY holder LIMIT $2`, after, bound(limit))
}

// ReplaceVendorKey puts another wrapping in the place of a former one; fault.Aborted if that is not there.
func (t *Tx) ReplaceVendorKey(holder resource.Organization, former, next keyring.Record) error {
	n, err := t.exec(vendorKeyName(holder), `
		UPDATE vendor_keys SET kek = $1, wrapped = $2, rewrapped = $3 WHERE holder = $4 AND kek = $5 AND wrapped = $6`,
		next.KEK, next.Wrapped, stamp(next.Rewrapped), holder.String(), former.KEK, former.Wrapped)
	if err == nil && n == 0 {
		return &fault.Error{Kind: fault.Aborted, Reason: "ABORTED", Resource: holder.String(),
			Message: "the key of " + holder.String() + " was rewrapped by another meanwhile", Advice: "start over"}
	}
	return err
}

// VendorKeys is a catalog as the place where a keyring keeps its records, each call in a transaction of its own: it is not
// to be used inside Update or View.
type VendorKeys struct{ Catalog *Catalog }

var _ keyring.Records = VendorKeys{}

// VendorKey returns the record of a holder.
func (k VendorKeys) VendorKey(ctx context.Context, holder resource.Organization) (r keyring.Record, err error) {
	err = k.Catalog.View(ctx, func(tx *Tx) error {
		h, err := tx.VendorKey(holder)
		if err == nil {
			r = h.Record
		}
		return err
	})
	return r, err
}

// AddVendorKey keeps a record, and returns the one that stands then.
func (k VendorKeys) AddVendorKey(ctx context.Context, holder resource.Organization, r keyring.Record) (stands keyring.Record, err error) {
	err = k.Catalog.Update(ctx, func(tx *Tx) error {
		h, err := tx.AddVendorKey(holder, r)
		if err == nil {
			stands = h.Record
		}
		return err
	})
	return stands, err
}

// ListVendorKeys lists records by the holder's name.
func (k VendorKeys) ListVendorKeys(ctx context.Context, after string, limit int) (page []keyring.Held, err error) {
	err = k.Catalog.View(ctx, func(tx *Tx) error {
		page, err = tx.VendorKeys(after, limit)
		return err
	})
	return page, err
}

// ReplaceVendorKey puts next in the place of former.
func (k VendorKeys) ReplaceVendorKey(ctx context.Context, holder resource.Organization, former, next keyring.Record) error {
	return k.Catalog.Update(ctx, func(tx *Tx) error { return tx.ReplaceVendorKey(holder, former, next) })
}
