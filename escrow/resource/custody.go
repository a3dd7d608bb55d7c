package resource

import (
	"fmt"
	"strings"
)

// Scrubs is the collection of an operator's scrubs.
const Scrubs Collection = "scrubs"

// Hold is organizations/{o}/products/{p}/releases/{r}/holds/{h}.
type Hold struct {
	Release Release
	ID      string
}

// String returns the resource name.
func (h Hold) String() string { return h.Release.String() + "/holds/" + h.ID }

// ParseHold reads organizations/{o}/products/{p}/releases/{r}/holds/{h}.
func ParseHold(s string) (Hold, error) {
	parts, err := split(s, "organizations", "products", "releases", "holds")
	if err != nil {
		return Hold{}, err
	}
	r, err := ParseRelease(s[:strings.LastIndex(s, "/holds/")])
	if err != nil {
		return Hold{}, err
	}
	if !childID.MatchString(parts[3]) {
		return Hold{}, fmt.Errorf("resource name %q: malformed id %q", clip(s), clip(parts[3]))
	}
	return Hold{Release: r, ID: parts[3]}, nil
}

// Retention is organizations/{o}/products/{p}/releases/{r}/retention: every sealed release has one.
type Retention struct{ Release Release }

// String returns the resource name.
func (r Retention) String() string { return r.Release.String() + "/retention" }

// ParseRetention reads organizations/{o}/products/{p}/releases/{r}/retention.
func ParseRetention(s string) (Retention, error) {
	name, ok := strings.CutSuffix(s, "/retention")
	if !ok {
		return Retention{}, fmt.Errorf("resource name %q: must have the form organizations/{…}/products/{…}/releases/{…}/retention", clip(s))
	}
	r, err := ParseRelease(name)
	return Retention{Release: r}, err
}
