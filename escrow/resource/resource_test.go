package resource

import (
	"strings"
	"testing"
)

func TestParseAndPrint(t *testing.T) {
	parse := map[string]func(string) (interface{ String() string }, error){
		"organization": func(s string) (interface{ String() string }, error) { return ParseOrganization(s) },
		"product":      func(s string) (interface{ String() string }, error) { return ParseProduct(s) },
		"release":      func(s string) (interface{ String() string }, error) { return ParseRelease(s) },
		"grant":        func(s string) (interface{ String() string }, error) { return ParseChild(s, Grants) },
		"attestation":  func(s string) (interface{ String() string }, error) { return ParseAttestation(s) },
	}
	for _, tt := range []struct {
		kind, in string
		ok       bool
	}{
		{"organization", "organizations/acme", true},
		{"organization", "organizations/a", false},
		{"organization", "organizations/Acme", false},
		{"organization", "organizations/acme/", false},
		{"organization", "organization/acme", false},
		{"product", "organizations/acme/products/go", true},
		{"product", "organizations/acme/products/../go", false},
		{"product", "organizations/acme/product/go", false},
		{"release", "organizations/acme/products/go/releases/1.26.5", true},
		{"release", "organizations/acme/products/go/releases/.hidden", false},
		{"release", "organizations/acme/products/go/releases/1 2", false},
		{"release", "organizations/acme/products/go/releases/", false},
		{"grant", "organizations/acme/grants/0190", true},
		{"grant", "organizations/acme/reports/0190", false},
		{"grant", "organizations/acme/grants/a/b", false},
		{"attestation", "attestations/0190-x", true},
		{"attestation", "attestations/" + strings.Repeat("x", 65), false},
	} {
		name, err := parse[tt.kind](tt.in)
		if (err == nil) != tt.ok {
			t.Errorf("%s %q: %v, want ok=%v", tt.kind, tt.in, err, tt.ok)
		}
		if tt.ok && name.String() != tt.in {
			t.Errorf("%s %q prints as %q", tt.kind, tt.in, name)
		}
	}
}

func TestNumber(t *testing.T) {
	for in, want := range map[string]int64{"7": 7, "0": 0, "x1": 0, "99999999999999999999": 0} {
		c := Child{Organization: Organization{ID: "fi"}, Collection: Reports, ID: in}
		n, err := c.Number()
		if n != want || (err == nil) != (want > 0) {
			t.Errorf("Number of %q = %d, %v", in, n, err)
		}
	}
}

func FuzzParseRelease(f *testing.F) {
	f.Add("organizations/acme/products/go/releases/1.0")
	f.Add("organizations//products//releases/")
	f.Fuzz(func(t *testing.T, s string) {
		if r, err := ParseRelease(s); err == nil && r.String() != s {
			t.Errorf("%q prints as %q", s, r)
		}
	})
}
