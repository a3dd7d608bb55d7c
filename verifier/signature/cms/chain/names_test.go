package chain_test

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"net/url"
	"testing"

	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
	"github.com/countersign-escrow/countersign/verifier/signature/cms/cmstest"
)

// TestNames gives certificates of an authority that certifies many others, some of whom want to be taken for the vendor.
func TestNames(t *testing.T) {
	root := cmstest.Root(t, "Many", cmstest.EC(t))
	key := cmstest.EC(t)
	named := func(change cmstest.Change) *cmstest.Holder { return root.Issue(t, "x", key, change) }
	uri := func(text string) cmstest.Change {
		return func(c *cmstest.Template) {
			c.URIs = []*url.URL{{Scheme: "https", Host: "vendor.example"}, {Path: text}}
		}
	}
	cn := func(names ...string) cmstest.Change {
		return func(c *cmstest.Template) {
			c.Subject = pkix.Name{}
			for _, n := range names {
				c.Subject.ExtraNames = append(c.Subject.ExtraNames, pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: n})
			}
		}
	}
	for name, c := range map[string]struct {
		change cmstest.Change
		want   string // the anchor's subject
		ok     bool
	}{
		"subject":                 {cn("Vendor"), "CN=Vendor", true},
		"common name":             {cn("Vendor"), "Vendor", true},
		"host":                    {func(c *cmstest.Template) { c.DNSNames = []string{"vendor.example"} }, "vendor.example", true},
		"mail":                    {func(c *cmstest.Template) { c.EmailAddresses = []string{"a@vendor.example"} }, "a@vendor.example", true},
		"address":                 {uri("x"), "https://vendor.example", true},
		"subject as common name":  {cn("CN=Vendor,O=Vendor"), "CN=Vendor,O=Vendor", false},
		"subject as host":         {func(c *cmstest.Template) { c.DNSNames = []string{"CN=Vendor"} }, "CN=Vendor", false},
		"subject as address":      {uri("CN=Vendor"), "CN=Vendor", false},
		"subject as mail":         {func(c *cmstest.Template) { c.EmailAddresses = []string{"CN=Vendor@x"} }, "CN=Vendor@x", false},
		"mail as host":            {func(c *cmstest.Template) { c.DNSNames = []string{"a@vendor.example"} }, "a@vendor.example", false},
		"no mail":                 {func(c *cmstest.Template) { c.EmailAddresses = []string{"vendor.example"} }, "vendor.example", false},
		"second common name":      {cn("Mallory", "Vendor"), "Vendor", false},
		"first common name":       {cn("Vendor", "Mallory"), "Vendor", false},
		"subject less one":        {cn("Mallory", "Vendor"), "CN=Vendor", false},
		"name with a zero behind": {cn("Vendor\x00.mallory.example"), "Vendor", false},
	} {
		held := read(t, cmstest.Anchor(t, "a", c.want, root))
		if got := held.Names(named(c.change).Certificate); got != c.ok {
			t.Errorf("%s: %v", name, got)
		}
	}
	material, _ := anchor.Material(anchor.Certificates{PEM: cmstest.PEM(root), Subject: anchor.Name{Pattern: ".*"}})
	held := read(t, anchor.Anchor{Kind: anchor.X509, Material: material})
	if held.Names(root.Issue(t, "", key, cn()).Certificate) {
		t.Error("a certificate without a name has one")
	}
}
