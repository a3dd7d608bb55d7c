package catalog

import (
	"time"

	"github.com/countersign-escrow/countersign/escrow/resource"
)

// Product is something that a vendor releases.
type Product struct {
	Name        resource.Product
	DisplayName string
	Created     time.Time
}

const productColumns = `name, display_name, created`

func scanProduct(r row) (*Product, error) {
	var p Product
	return &p, r.Scan(productInto(&p.Name), &p.DisplayName, timeInto(&p.Created))
}

// InsertProduct registers a product.
func (t *Tx) InsertProduct(p Product) error {
	_, err := t.exec(p.Name.String(), `INSERT INTO products (`+productColumns+`, vendor) VALUES ($1, $2, $3, $4)`,
		p.Name.String(), p.DisplayName, stamp(p.Created), p.Name.Vendor.String())
	return err
}

// Product returns one product.
func (t *Tx) Product(name resource.Product) (*Product, error) {
	return queryOne(t, name.String(), scanProduct, `SELECT `+productColumns+` FROM products WHERE name = $1`, name.String())
}

// Products lists a vendor's products by name, those after the name `after`.
func (t *Tx) Products(vendor resource.Organization, after string, limit int) ([]Product, error) {
	return queryAll(t, "products", scanProduct,
		`SELECT `+productColumns+` FROM products WHERE vendor = $1 AND name > $2 ORDER BY name LIMIT $3`,
		vendor.String(), after, bound(limit))
}
