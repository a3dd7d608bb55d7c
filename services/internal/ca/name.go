package ca

import (
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"strings"

	"github.com/countersign-escrow/countersign/escrow/resource"
)

// trustDomain is the trust domain of the SPIFFE ids in client certificates, which have the form
// spiffe://countersign/organizations/{o}/members/{m}.
const trustDomain = "countersign"

const membersPart = "/members/"

// Serial writes a certificate's serial number as the catalog keeps it: lower-case hexadecimal, 32 digits.
func Serial(cert *x509.Certificate) string { return serialText(cert.SerialNumber) }

func serialText(n *big.Int) string { return fmt.Sprintf("%032x", n) }

func memberURI(org resource.Organization, member string) ([]*url.URL, error) {
	if err := resource.CheckMember(member); err != nil {
		return nil, err
	}
	return []*url.URL{{Scheme: "spiffe", Host: trustDomain, Path: "/" + org.String() + membersPart + member}}, nil
}

// Member returns whom a client certificate names: the organization and the member of it.
func Member(cert *x509.Certificate) (resource.Organization, string, error) {
	if len(cert.URIs) != 1 {
		return resource.Organization{}, "", errors.New("certificate: must have one URI name")
	}
	u := cert.URIs[0]
	path, ok := strings.CutPrefix(u.String(), "spiffe://"+trustDomain+"/")
	if !ok {
		return resource.Organization{}, "", fmt.Errorf("certificate: URI name is not in the trust domain %s", trustDomain)
	}
	name, member, ok := strings.Cut(path, membersPart)
	if !ok {
		return resource.Organization{}, "", errors.New("certificate: URI name does not name a member")
	}
	org, err := resource.ParseOrganization(name)
	if err != nil {
		return resource.Organization{}, "", fmt.Errorf("certificate: %w", err)
	}
	if err := resource.CheckMember(member); err != nil {
		return resource.Organization{}, "", fmt.Errorf("certificate: %w", err)
	}
	return org, member, nil
}
