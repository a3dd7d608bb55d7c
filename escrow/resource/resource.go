// Package resource holds the names of what the service keeps, as AIP-122 resource names that cannot be malformed.
// It knows nothing of whether a named thing exists.
package resource

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Organization is organizations/{o}.
type Organization struct{ ID string }

// Product is organizations/{o}/products/{p}.
type Product struct {
	Vendor Organization
	ID     string
}

// Release is organizations/{o}/products/{p}/releases/{r}; the id is the version.
type Release struct {
	Product Product
	Version string
}

// Child is a resource directly below an organization, organizations/{o}/{collection}/{id}.
type Child struct {
	Organization Organization
	Collection   Collection
	ID           string
}

// Collection names a kind of resource directly below an organization.
type Collection string

// The collections directly below an organization.
const (
	TrustAnchors Collection = "trustAnchors"
	Environments Collection = "environments"
	Policies     Collection = "policies"
	Reports      Collection = "reports"
	Grants       Collection = "grants"
	Rebuilds     Collection = "rebuilds"
	Members      Collection = "members"
)

// Attestation is attestations/{a}.
type Attestation struct{ ID string }

var (
	slug    = regexp.MustCompile(`^[a-z][a-z0-9-]{0,62}$`)
	version = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+~-]{0,62}$`)
	childID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`)
	member  = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)
)

// NewOrganization makes the name of an organization.
func NewOrganization(id string) (Organization, error) {
	if len(id) < 2 || !slug.MatchString(id) {
		return Organization{}, fmt.Errorf("organization id %q: must be 2 to 63 of a-z, 0-9 and '-', starting with a letter", clip(id))
	}
	return Organization{ID: id}, nil
}

// NewProduct makes the name of a product.
func NewProduct(vendor Organization, id string) (Product, error) {
	if !slug.MatchString(id) {
		return Product{}, fmt.Errorf("product id %q: must be 1 to 63 of a-z, 0-9 and '-', starting with a letter", clip(id))
	}
	return Product{Vendor: vendor, ID: id}, nil
}

// NewRelease makes the name of a release.
func NewRelease(p Product, v string) (Release, error) {
	if !version.MatchString(v) {
		return Release{}, fmt.Errorf("version %q: must be 1 to 63 of A-Z, a-z, 0-9, '.', '_', '+', '~' and '-', starting with a letter or digit", clip(v))
	}
	return Release{Product: p, Version: v}, nil
}

// CheckMember says whether id can name a member of an organization.
func CheckMember(id string) error {
	if !member.MatchString(id) {
		return fmt.Errorf("member id %q: must be 1 to 63 of a-z, 0-9, '.', '_' and '-', starting with a letter or digit", clip(id))
	}
	return nil
}

// ParseOrganization reads organizations/{o}.
func ParseOrganization(s string) (Organization, error) {
	parts, err := split(s, "organizations")
	if err != nil {
		return Organization{}, err
	}
	return NewOrganization(parts[0])
}

// ParseProduct reads organizations/{o}/products/{p}.
func ParseProduct(s string) (Product, error) {
	parts, err := split(s, "organizations", "products")
	if err != nil {
		return Product{}, err
	}
	o, err := NewOrganization(parts[0])
	if err != nil {
		return Product{}, err
	}
	return NewProduct(o, parts[1])
}

// ParseRelease reads organizations/{o}/products/{p}/releases/{r}.
func ParseRelease(s string) (Release, error) {
	parts, err := split(s, "organizations", "products", "releases")
	if err != nil {
		return Release{}, err
	}
	p, err := ParseProduct("organizations/" + parts[0] + "/products/" + parts[1])
	if err != nil {
		return Release{}, err
	}
	return NewRelease(p, parts[2])
}

// ParseChild reads organizations/{o}/{collection}/{id}.
func ParseChild(s string, c Collection) (Child, error) {
	parts, err := split(s, "organizations", string(c))
	if err != nil {
		return Child{}, err
	}
	o, err := NewOrganization(parts[0])
	if err != nil {
		return Child{}, err
	}
	if !childID.MatchString(parts[1]) {
		return Child{}, fmt.Errorf("resource name %q: malformed id %q", clip(s), clip(parts[1]))
	}
	return Child{Organization: o, Collection: c, ID: parts[1]}, nil
}

// ParseMember reads organizations/{o}/members/{m}.
func ParseMember(s string) (Child, error) {
	parts, err := split(s, "organizations", string(Members))
	if err != nil {
		return Child{}, err
	}
	o, err := NewOrganization(parts[0])
	if err != nil {
		return Child{}, err
	}
	return Child{Organization: o, Collection: Members, ID: parts[1]}, CheckMember(parts[1])
}

// ParseAttestation reads attestations/{a}.
func ParseAttestation(s string) (Attestation, error) {
	parts, err := split(s, "attestations")
	if err != nil {
		return Attestation{}, err
	}
	if !childID.MatchString(parts[0]) {
		return Attestation{}, fmt.Errorf("resource name %q: malformed id", clip(s))
	}
	return Attestation{ID: parts[0]}, nil
}

// String returns the resource name.
func (o Organization) String() string { return "organizations/" + o.ID }

// String returns the resource name.
func (p Product) String() string { return p.Vendor.String() + "/products/" + p.ID }

// String returns the resource name.
func (r Release) String() string { return r.Product.String() + "/releases/" + r.Version }

// String returns the resource name.
func (c Child) String() string {
	return c.Organization.String() + "/" + string(c.Collection) + "/" + c.ID
}

// String returns the resource name.
func (a Attestation) String() string { return "attestations/" + a.ID }

// Number reads the id as a number from 1, as policies and reports have it.
func (c Child) Number() (int64, error) {
	n, err := strconv.ParseInt(c.ID, 10, 64)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("resource name %q: the id must be a number from 1", c)
	}
	return n, nil
}

// split takes a name apart whose every other part must be one of collections.
func split(s string, collections ...string) ([]string, error) {
	const most = 512
	parts := strings.Split(s, "/")
	if len(s) > most || len(parts) != 2*len(collections) {
		return nil, malformed(s, collections)
	}
	ids := make([]string, len(collections))
	for i, c := range collections {
		if parts[2*i] != c {
			return nil, malformed(s, collections)
		}
		ids[i] = parts[2*i+1]
	}
	return ids, nil
}

func malformed(s string, collections []string) error {
	var b strings.Builder
	for i, c := range collections {
		if i > 0 {
			b.WriteByte('/')
		}
		fmt.Fprintf(&b, "%s/{…}", c)
	}
	return fmt.Errorf("resource name %q: must have the form %s", clip(s), b.String())
}

func clip(s string) string {
	const most = 120
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
