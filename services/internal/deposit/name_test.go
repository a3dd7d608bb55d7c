package deposit

import (
	"fmt"
	"strings"
	"testing"
)

var hexDigits = strings.Repeat("ab", 32)

func TestParseUpload(t *testing.T) {
	for name, ok := range map[string]bool{
		"organizations/acme/uploads/" + hexDigits + "/0":                                true,
		"organizations/acme/uploads/" + hexDigits + "/1099511627776":                    true,
		"organizations/acme/uploads/" + hexDigits + "/1099511627777":                    false,
		"organizations/acme/uploads/" + hexDigits + "/-1":                               false,
		"organizations/acme/uploads/" + hexDigits + "/01":                               false,
		"organizations/acme/uploads/" + hexDigits:                                       false,
		"organizations/acme/uploads/" + strings.ToUpper(hexDigits) + "/1":               false,
		"organizations/ACME/uploads/" + hexDigits + "/1":                                false,
		"organizations/acme/blobs/" + hexDigits + "/1":                                  false,
		"organizations/acme/uploads/" + hexDigits + "/1" + strings.Repeat("/", 600):     false,
		"organizations/acme/uploads/" + hexDigits + "/99999999999999999999999999999999": false,
		"": false,
	} {
		if _, err := parseUpload(name); (err == nil) != ok {
			t.Errorf("%q: %v, want ok=%v", name, err, ok)
		}
	}
}

func FuzzParseUpload(f *testing.F) {
	f.Add("organizations/acme/uploads/" + hexDigits + "/17")
	f.Add("organizations//uploads//")
	f.Fuzz(func(t *testing.T, s string) {
		u, err := parseUpload(s)
		if err != nil {
			return
		}
		if back := fmt.Sprintf("%s/uploads/%s/%d", u.Holder, u.Digest.Hex(), u.size); back != s {
			t.Errorf("%q was read as %q", s, back)
		}
	})
}
