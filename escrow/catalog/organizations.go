package catalog

import (
	"time"

	"github.com/countersign-escrow/countersign/escrow/resource"
)

// Kind says what an organization does here.
type Kind string

// The kinds of organization.
const (
	Vendor    Kind = "VENDOR"
	Evaluator Kind = "EVALUATOR"
	Auditor   Kind = "AUDITOR"
	Agency    Kind = "AGENCY"
	Operator  Kind = "OPERATOR"
)

// Organization is somebody who takes part.
type Organization struct {
	Name        resource.Organization
	Kind        Kind
	Country     string // ISO 3166 alpha-2
	DisplayName string
	Created     time.Time
}

const organizationColumns = `name, kind, country, display_name, created`

func scanOrganization(r row) (*Organization, error) {
	var o Organization
	return &o, r.Scan(organizationInto(&o.Name), &o.Kind, &o.Country, &o.DisplayName, timeInto(&o.Created))
}

// InsertOrganization registers an organization.
func (t *Tx) InsertOrganization(o Organization) error {
	_, err := t.exec(o.Name.String(), `INSERT INTO organizations (`+organizationColumns+`) VALUES ($1, $2, $3, $4, $5)`,
		o.Name.String(), string(o.Kind), o.Country, o.DisplayName, stamp(o.Created))
	return err
}

// Organization returns one organization.
func (t *Tx) Organization(name resource.Organization) (*Organization, error) {
	return queryOne(t, name.String(), scanOrganization,
		`SELECT `+organizationColumns+` FROM organizations WHERE name = $1`, name.String())
}

// Organizations lists organizations by name, those after the name `after`.
func (t *Tx) Organizations(after string, limit int) ([]Organization, error) {
	return queryAll(t, "organizations", scanOrganization,
		`SELECT `+organizationColumns+` FROM organizations WHERE name > $1 ORDER BY name LIMIT $2`, after, bound(limit))
}
