package openpgp

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
)

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestDebian verifies what Debian's maintainers signed.
func TestDebian(t *testing.T) {
	elbrus, dkg := holding("elbrus", string(read(t, "elbrus.asc"))), holding("dkg", string(read(t, "dkg.asc")))
	day := func(s string) time.Time {
		at, err := time.Parse(time.DateOnly, s)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	for _, c := range []struct {
		file, keyID, signer string
		anchor, stranger    anchor.Anchor
		from, claim, until  time.Time // days
	}{
		{"python-pretend_1.0.9-2.1.dsc", "58B66D48736BE93B052DE6729C5C99EB05BD750A",
			"Paul Gevers <elbrus@debian.org>, 58B66D48736BE93B052DE6729C5C99EB05BD750A", elbrus, dkg, day("2011-03-24"), day("2022-10-07"), day("2023-02-13")},
		{"python-sop_0.3.0-1.dsc", "2DB5491C9DF0DC8F432863CF3E9D717371DE565C",
			"Daniel Kahn Gillmor, C29F8A0C01F35E34D816AA5CE092EB3A5CA10DBA", dkg, elbrus, day("2020-12-27"), day("2022-04-29"), day("2023-12-24")},
	} {
		t.Run(c.file, func(t *testing.T) {
			content := read(t, c.file)
			p := proveOne(t, content, nil, c.stranger, c.anchor)
			wantGood(t, p)
			if p.KeyID != c.keyID || p.Signer != c.signer || len(p.Anchors) != 1 || p.Anchors[0].Name != c.anchor.Name {
				t.Errorf("%+v", p)
			}
			for what, times := range map[string][2]time.Time{"from": {p.Life.From, c.from}, "claim": {p.Claim, c.claim}, "until": {p.Life.Until, c.until}} {
				if got := times[0].UTC().Truncate(24 * time.Hour); !got.Equal(times[1]) {
					t.Errorf("%s: %v, want %v", what, got, times[1])
				}
			}
			if p.Signed == nil || !bytes.HasPrefix(p.Signed.Content, []byte("Format: 3.0 (quilt)\nSource: python-")) {
				t.Errorf("%+v", p.Signed)
			}
			wantProblem(t, proveOne(t, content, nil, c.stranger), "no trust anchor holds")
			wantProblem(t, proveOne(t, bytes.Replace(content, []byte("quilt"), []byte("quilu"), 1), nil, c.anchor), "one of them was changed")
		})
	}
}
