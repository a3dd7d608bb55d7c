package proof

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestText(t *testing.T) {
	for _, c := range []struct {
		in   string
		most int
		want string
	}{
		{"plain", 5, "plain"},
		{"plainer", 5, "plain…"},
		{"ÄÖÜ", 5, "ÄÖ…"},
		{"a\x1b[31mb\n", 20, `a\x1b[31mb\n`},
		{"\u202eevil", 20, `\u202eevil`},
		{"\xff", 20, "\uFFFD"},
		{"", 0, ""},
	} {
		if got := Text(c.in, c.most); got != c.want {
			t.Errorf("Text(%q, %d) = %q, want %q", c.in, c.most, got, c.want)
		}
	}
}

func TestQuoted(t *testing.T) {
	for _, c := range []struct{ in, want string }{{"a \"b\"\n", `"a \"b\"\n"`}, {strings.Repeat("a", 11), `"aaaaaaaaaa"…`}, {"aaaaaaaaaÄ", `"aaaaaaaaa"…`}, {strings.Repeat("\n", 9), `"\n\n\n\n\n"…`}} {
		if got := Quoted(c.in, 10); got != c.want {
			t.Errorf("Quoted(%q) = %s, want %s", c.in, got, c.want)
		}
	}
}

func FuzzText(f *testing.F) {
	f.Add("a\x1b\u202e\xff", 3)
	f.Fuzz(func(t *testing.T, s string, most int) {
		if most < 0 || most > 1000 {
			return
		}
		for _, got := range []string{Text(s, most), Quoted(s, most)} {
			if !utf8.ValidString(got) || len(got) > most+5 || strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) && r != utf8.RuneError }) {
				t.Errorf("%q, %d: %q", s, most, got)
			}
		}
	})
}
