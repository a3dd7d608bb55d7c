package anchor

import (
	"strings"
	"testing"
	"time"
)

func TestProblem(t *testing.T) {
	at := func(h int) time.Time { return time.Date(2026, 3, 1, h, 0, 0, 0, time.UTC) }
	for name, c := range map[string]struct {
		a    Anchor
		at   time.Time
		want string
	}{
		"no term":           {Anchor{}, at(5), ""},
		"before":            {Anchor{From: at(6)}, at(5), "counts only from 2026-03-01T06:00:00Z"},
		"at its begin":      {Anchor{From: at(5)}, at(5), ""},
		"last instant":      {Anchor{Until: at(6)}, at(6).Add(-1), ""},
		"at its end":        {Anchor{Until: at(6)}, at(6), "counted only until"},
		"before revocation": {Anchor{Revoked: at(6)}, at(5), ""},
		"at revocation":     {Anchor{Revoked: at(6)}, at(6), "was revoked at"},
		"compromised":       {Anchor{Revoked: at(6), Compromised: true}, at(1), "nothing that it signed counts"},
	} {
		if got := c.a.Problem(c.at); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestName(t *testing.T) {
	for _, c := range []struct {
		name Name
		s    string
		want bool
	}{
		{Name{Exact: "a.b"}, "a.b", true},
		{Name{Exact: "a.b"}, "axb", false},
		{Name{Exact: "a"}, "ab", false},
		{Name{Pattern: "a.b"}, "axb", true},
		{Name{Pattern: "a.b"}, "axbc", false},
		{Name{Pattern: "a.b"}, "xaxb", false},
		{Name{Pattern: "a|b"}, "ax", false},
		{Name{Pattern: "a"}, "a\n", false},
		{Name{Pattern: "(?m)^a$"}, "b\na", false},
		{Name{Pattern: "("}, "(", false},
		{Name{Pattern: "a)|(b"}, "ax", false},
		{Name{Pattern: "a)|(?:.*"}, "x", false},
		{Name{}, "", false},
		{Name{Exact: "a", Pattern: "b"}, "b", false},
	} {
		if got := c.name.Matches(c.s); got != c.want {
			t.Errorf("%+v and %q: %t", c.name, c.s, got)
		}
	}
}

func TestMaterial(t *testing.T) {
	certificates := func(s string) error { _, err := ParseCertificates(s); return err }
	identity := func(s string) error { _, err := ParseIdentity(s); return err }
	for _, c := range []struct {
		parse    func(string) error
		in, want string
	}{
		{certificates, `{"pem":"x"}`, ""},
		{certificates, `{"pem":"x","subject":{"exact":"CN=a"}}`, ""},
		{certificates, `{}`, "pem: is missing"},
		{certificates, `{"pem":"x","subject":{"pattern":"("}}`, `subject: the pattern "("`},
		{certificates, `{"pem":"x","subjects":{}}`, "subjects"},
		{certificates, `{"pem":"x"} {}`, "byte 13: something follows"},
		{certificates, `{"pem":"` + strings.Repeat("x", MaxMaterial) + `"}`, "at most"},
		{identity, `{"issuer":{"exact":"i"},"subject":{"pattern":".*@example.org"}}`, ""},
		{identity, `{"issuer":{"exact":"i"}}`, "subject: must be either"},
		{identity, `{"issuer":{"exact":"i","pattern":"i"},"subject":{"exact":"s"}}`, "issuer: must be either"},
		{identity, `{"issuer":{"exact":"i"},"subject":{"exact":"` + strings.Repeat("s", 2000) + `"}}`, "subject: is longer than"},
		{identity, ``, "byte 0: EOF"},
	} {
		err := c.parse(c.in)
		if (err == nil) != (c.want == "") || (err != nil && !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%.80s: %v, want %q", c.in, err, c.want)
		}
	}
}

// FuzzMaterial makes sure that what is read can be written and read again, and means the same.
func FuzzMaterial(f *testing.F) {
	f.Add(`{"pem":"x","subject":{"exact":"CN=a"}}`)
	f.Add(`{"issuer":{"exact":"i"},"subject":{"pattern":".*@example.org"},"trustedRoot":"organizations/o/trustAnchors/t"}`)
	f.Fuzz(func(t *testing.T, in string) {
		if i, err := ParseIdentity(in); err == nil {
			again(t, i, ParseIdentity)
		}
		if c, err := ParseCertificates(in); err == nil {
			again(t, c, ParseCertificates)
		}
	})
}

func again[T comparable](t *testing.T, v T, parse func(string) (T, error)) {
	m, err := Material(v)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := parse(m); err != nil || got != v {
		t.Errorf("%+v was read again as %+v: %v", v, got, err)
	}
}
