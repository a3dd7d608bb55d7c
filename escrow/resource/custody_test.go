package resource

import "testing"

func TestCustodyNames(t *testing.T) {
	const release = "organizations/acme/products/widget/releases/1.0"
	for in, ok := range map[string]bool{
		release + "/holds/0196-a": true,
		release + "/holds/":       false,
		release + "/holds/a/b":    false,
		release + "/holds/a b":    false,
		release:                   false,
		"organizations/acme/products/widget/releases/-1/holds/a": false,
		"organizations/acme/holds/a":                             false,
	} {
		if h, err := ParseHold(in); (err == nil) != ok || ok && h.String() != in {
			t.Errorf("ParseHold(%q) = %v, %v", in, h, err)
		}
	}
	for in, ok := range map[string]bool{
		release + "/retention":   true,
		release + "/retention/x": false,
		release:                  false,
		"organizations/acme/products/widget/retention": false,
	} {
		if r, err := ParseRetention(in); (err == nil) != ok || ok && r.String() != in {
			t.Errorf("ParseRetention(%q) = %v, %v", in, r, err)
		}
	}
}
