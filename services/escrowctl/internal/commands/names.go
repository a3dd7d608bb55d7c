package commands

import (
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/countersign-escrow/countersign/escrow/resource"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/client"
)

// organization reads organizations/{o} or {o}.
func organization(s string) (resource.Organization, error) {
	if strings.Contains(s, "/") {
		return named(resource.ParseOrganization(s))
	}
	return named(resource.NewOrganization(s))
}

// named makes a malformed name a usage error.
func named[T any](name T, err error) (T, error) {
	if err != nil {
		return name, usagef("%v", err)
	}
	return name, nil
}

// ownOrganization reads the organization that is meant: the flag's, or the profile's where there is none.
func ownOrganization(c *client.Client, flag string) (resource.Organization, error) {
	if flag == "" {
		return c.Profile.Organization, nil
	}
	return organization(flag)
}

// product reads a product: in full, as {vendor}/{product}, or as {product} of the profile's organization.
func product(c *client.Client, s string) (resource.Product, error) {
	if strings.HasPrefix(s, "organizations/") {
		return named(resource.ParseProduct(s))
	}
	vendor, id, ok := strings.Cut(s, "/")
	if !ok {
		return named(resource.NewProduct(c.Profile.Organization, s))
	}
	o, err := organization(vendor)
	if err != nil {
		return resource.Product{}, err
	}
	return named(resource.NewProduct(o, id))
}

// release reads a release: in full, as {vendor}/{product}/{version}, or as {product}/{version} of the profile's organization.
func release(c *client.Client, s string) (resource.Release, error) {
	if strings.HasPrefix(s, "organizations/") {
		return named(resource.ParseRelease(s))
	}
	cut := strings.LastIndex(s, "/")
	if cut < 0 {
		return resource.Release{}, usagef("release %q: must have the form {product}/{version}, {vendor}/{product}/{version} or organizations/{o}/products/{p}/releases/{r}", s)
	}
	p, err := product(c, s[:cut])
	if err != nil {
		return resource.Release{}, err
	}
	return named(resource.NewRelease(p, s[cut+1:]))
}

// child reads organizations/{o}/{collection}/{id}, or {id} of the profile's organization.
func child(c *client.Client, collection resource.Collection, s string) (resource.Child, error) {
	if !strings.Contains(s, "/") {
		s = c.Profile.Organization.String() + "/" + string(collection) + "/" + s
	}
	return named(resource.ParseChild(s, collection))
}

// attestation reads attestations/{a} or {a}.
func attestation(s string) (resource.Attestation, error) {
	if !strings.Contains(s, "/") {
		s = "attestations/" + s
	}
	return named(resource.ParseAttestation(s))
}

// when reads a time: a span from now such as 90d or 12h, a date, or RFC 3339.
func when(s string, now time.Time) (time.Time, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n > 0 && n <= 36500 {
			return now.AddDate(0, 0, n), nil
		}
	}
	if d, err := time.ParseDuration(s); err == nil && d > 0 {
		return now.Add(d), nil
	}
	for _, form := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(form, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, usagef("time %q: must be a span from now such as 90d or 12h, a date such as 2031-12-31, or RFC 3339", s)
}

// requestID makes a call that creates something harmless to repeat (AIP-155).
func requestID() string { return uuid.NewString() }

// pages collects all pages of a list.
func pages[T any](fetch func(token string) ([]T, string, error)) ([]T, error) {
	var all []T
	for token := ""; ; {
		page, next, err := fetch(token)
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
		if next == "" || next == token {
			return all, nil
		}
		token = next
	}
}
