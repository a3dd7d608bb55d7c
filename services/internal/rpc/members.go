package rpc

import (
	"context"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/fault"
)

// CatalogMembers answers from the catalog's certificates and organizations.
type CatalogMembers struct{ Catalog *catalog.Catalog }

// Member returns who holds the certificate with that serial.
func (m CatalogMembers) Member(ctx context.Context, serial string) (Identity, error) {
	id := Identity{Serial: serial}
	err := m.Catalog.View(ctx, func(tx *catalog.Tx) error {
		cert, err := tx.Certificate(serial)
		if fault.Is(err, fault.NotFound) {
			return UnknownCertificate
		}
		if err != nil {
			return err
		}
		if !cert.Revoked.IsZero() {
			return RevokedCertificate
		}
		org, err := tx.Organization(cert.Organization)
		if err != nil {
			return err
		}
		id.Organization, id.Kind, id.Member = org.Name, org.Kind, cert.Member
		return nil
	})
	if err != nil {
		return Identity{}, err
	}
	return id, nil
}
