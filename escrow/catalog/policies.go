package catalog

import (
	"strconv"
	"time"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/resource"
)

// Policy is one version of an evaluator's validation model.
type Policy struct {
	Organization resource.Organization
	Version      int64 // from 1; the highest is the current one
	Source       string
	Digest       digest.Digest // of Source
	Created      time.Time
}

const policyColumns = `organization, version, source, digest, created`

func scanPolicy(r row) (*Policy, error) {
	var p Policy
	return &p, r.Scan(organizationInto(&p.Organization), &p.Version, &p.Source, digestInto(&p.Digest), timeInto(&p.Created))
}

func policyName(o resource.Organization, id string) string {
	return resource.Child{Organization: o, Collection: resource.Policies, ID: id}.String()
}

// InsertPolicy records a policy as the organization's next version, and sets its Version.
func (t *Tx) InsertPolicy(p *Policy) error {
	var err error
	if p.Version, err = t.count("policies of " + p.Organization.String()); err != nil {
		return err
	}
	_, err = t.exec(policyName(p.Organization, strconv.FormatInt(p.Version, 10)),
		`INSERT INTO policies (`+policyColumns+`) VALUES ($1, $2, $3, $4, $5)`,
		p.Organization.String(), p.Version, p.Source, p.Digest.String(), stamp(p.Created))
	return err
}

// CurrentPolicy returns an organization's newest policy.
func (t *Tx) CurrentPolicy(o resource.Organization) (*Policy, error) {
	return queryOne(t, "policy of "+o.String(), scanPolicy,
		`SELECT `+policyColumns+` FROM policies WHERE organization = $1 ORDER BY version DESC LIMIT 1`, o.String())
}

// Policy returns one version of an organization's policy.
func (t *Tx) Policy(o resource.Organization, version int64) (*Policy, error) {
	return queryOne(t, policyName(o, strconv.FormatInt(version, 10)), scanPolicy,
		`SELECT `+policyColumns+` FROM policies WHERE organization = $1 AND version = $2`, o.String(), version)
}

// Policies lists an organization's policies, newest first, those before the version `before` (0: all).
func (t *Tx) Policies(o resource.Organization, before int64, limit int) ([]Policy, error) {
	return queryAll(t, "policies", scanPolicy, `
		SELECT `+policyColumns+` FROM policies WHERE organization = $1 AND (CAST($2 AS BIGINT) = 0 OR version < $2) ORDER BY version DESC LIMIT $3`,
		o.String(), before, bound(limit))
}

// EvaluatorsWithPolicy returns all organizations that have a policy, by name.
func (t *Tx) EvaluatorsWithPolicy() ([]resource.Organization, error) {
	return queryAll(t, "policies", scanName, `SELECT DISTINCT organization FROM policies ORDER BY organization`)
}

func scanName(r row) (*resource.Organization, error) {
	var o resource.Organization
	return &o, r.Scan(organizationInto(&o))
}
