package catalog

import (
	"fmt"
	"time"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/resource"
)

// Environment is a toolchain as an OCI image, all of whose blobs its vendor has deposited.
type Environment struct {
	Vendor      resource.Organization
	Image       digest.Digest // of the image manifest
	DisplayName string
	Platform    string
	Blobs       []BlobRef // image manifest, configuration and layers
	Created     time.Time
}

// Name returns the resource name.
func (e Environment) Name() string { return environmentName(e.Vendor, e.Image) }

const environmentColumns = `vendor, image, display_name, platform, blobs, created`

func scanEnvironment(r row) (*Environment, error) {
	var e Environment
	return &e, r.Scan(organizationInto(&e.Vendor), digestInto(&e.Image), &e.DisplayName, &e.Platform,
		jsonInto(&e.Blobs), timeInto(&e.Created))
}

func environmentName(vendor resource.Organization, image digest.Digest) string {
	return resource.Child{Organization: vendor, Collection: resource.Environments, ID: image.Hex()}.String()
}

// InsertEnvironment registers an environment.
func (t *Tx) InsertEnvironment(e Environment) error {
	blobs, err := jsonText(e.Blobs)
	if err != nil {
		return fmt.Errorf("catalog: %s: %w", e.Name(), err)
	}
	_, err = t.exec(e.Name(), `INSERT INTO environments (`+environmentColumns+`) VALUES ($1, $2, $3, $4, $5, $6)`,
		e.Vendor.String(), e.Image.String(), e.DisplayName, e.Platform, blobs, stamp(e.Created))
	return err
}

// Environment returns one environment.
func (t *Tx) Environment(vendor resource.Organization, image digest.Digest) (*Environment, error) {
	return queryOne(t, environmentName(vendor, image), scanEnvironment,
		`SELECT `+environmentColumns+` FROM environments WHERE vendor = $1 AND image = $2`, vendor.String(), image.String())
}

// Environments lists a vendor's environments by image digest, those after the digest `after` ("sha256:…").
func (t *Tx) Environments(vendor resource.Organization, after string, limit int) ([]Environment, error) {
	return queryAll(t, "environments", scanEnvironment,
		`SELECT `+environmentColumns+` FROM environments WHERE vendor = $1 AND image > $2 ORDER BY image LIMIT $3`,
		vendor.String(), after, bound(limit))
}
