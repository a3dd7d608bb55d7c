package checksums

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
)

var (
	sumA         = strings.Repeat("a1", 32)
	sumB         = strings.Repeat("b2", 32)
	longA, longB = strings.Repeat("a3", 64), strings.Repeat("b4", 64)
)

// written is a list in one short form: line name sum size.
func (l List) written() string {
	var out []string
	for _, e := range l.Entries {
		_, sum, _ := strings.Cut(e.sum(), ":")
		out = append(out, fmt.Sprintf("%d %q %.4s %d", e.Line, e.Name, sum, e.Size))
	}
	return strings.Join(out, "; ")
}

func TestParse(t *testing.T) {
	for name, c := range map[string]struct{ in, want, notes string }{
		"GNU":              {sumA + "  a\n" + sumB + " *dir/b\n", `1 "a" a1a1 -1; 2 "dir/b" b2b2 -1`, ""},
		"GNU, SHA-512":     {longA + "  a\n", `1 "a" a3a3 -1`, ""},
		"no last newline":  {sumA + "  a", `1 "a" a1a1 -1`, ""},
		"capitals":         {strings.ToUpper(sumA) + "  a\n", `1 "a" a1a1 -1`, ""},
		"CRLF":             {"# made by hand\r\n\r\n" + sumA + "  a\r\n", `3 "a" a1a1 -1`, ""},
		"name of blanks":   {sumA + "   a b \n", `1 " a b " a1a1 -1`, ""},
		"escaped":          {`\` + sumA + `  a\nb\\c\r` + "\n", `1 "a\nb\\c\r" a1a1 -1`, ""},
		"not escaped":      {sumA + `  a\nb` + "\n", `1 "a\\nb" a1a1 -1`, ""},
		"BSD":              {"SHA256 (a) = " + sumA + "\nSHA512 (b) = " + longB + "\n", `1 "a" a1a1 -1; 2 "b" b4b4 -1`, ""},
		"BSD, odd name":    {"SHA256 (a) = b) = " + sumA + "\n", `1 "a) = b" a1a1 -1`, ""},
		"BSD, escaped":     {`\SHA256 (a\nb) = ` + sumA + "\n", `1 "a\nb" a1a1 -1`, ""},
		"openssl":          {"SHA2-256(a)= " + sumA + "\nSHA256(b)= " + sumB + "\n", `1 "a" a1a1 -1; 2 "b" b2b2 -1`, ""},
		"mixed":            {sumA + "  a\n" + longA + "  a\n" + sumA[:40] + "  a\n" + sumA[:32] + "  a\n", `1 "a" a1a1 -1; 2 "a" a3a3 -1`, noteIgnored},
		"others":           {sumA + "  a\nBLAKE2b (a) = " + longA + "\n" + sumA[:56] + "  a\n", `1 "a" a1a1 -1`, "BLAKE2b sums are not used;SHA224 sums are not used"},
		"twice the same":   {sumA + "  a\n" + sumA + " *a\n", `1 "a" a1a1 -1`, ""},
		"same base name":   {sumA + "  x/a\n" + sumB + "  y/a\n", `1 "x/a" a1a1 -1; 2 "y/a" b2b2 -1`, ""},
		"control":          {"Format: 3.0\nChecksums-Sha256:\n " + sumA + " 12 a\n\t" + sumB + " 0 b\nFiles:\n ? ? ?\n", `3 "a" a1a1 12; 4 "b" b2b2 0`, noteIgnored},
		"control, SHA-512": {"\nOrigin: x\r\nSHA512:\r\n " + longA + "   12 main/a\r\n\n\n", `4 "main/a" a3a3 12`, ""},
	} {
		l, err := Parse([]byte(c.in))
		if err != nil || l.written() != c.want || strings.Join(l.Notes, ";") != c.notes {
			t.Errorf("%s: %s, %q, %v; want %s", name, l.written(), l.Notes, err, c.want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"nothing":               {"", "names no file"},
		"weak sums alone":       {sumA[:40] + "  a\n", "names no file"},
		"text":                  {sumA + "  a\nwelcome\n", "line 2: is of no known form"},
		"sum alone":             {sumA + "\n", "line 1: is of no known form"},
		"one blank":             {sumA + " a\n", "line 1: is of no known form"},
		"no name":               {sumA + "  \n", "line 1: has no name"},
		"sum of odd length":     {sumA + "a  a\n", "line 1: 65 digits"},
		"sum for another name":  {"SHA256 (a) = " + longA + "\n", "line 1: 128 digits"},
		"unknown algorithm":     {"CRC (a) = " + sumA + "\n", "line 1: 64 digits"},
		"bad escape":            {`\` + sumA + `  a\tb` + "\n", "line 1: the name"},
		"escape at the end":     {`\` + sumA + `  a\` + "\n", "line 1: the name"},
		"twice, different":      {sumA + "  a\n\n" + sumB + "  a\n", "lines 1 and 3: say different"},
		"long name":             {sumA + "  " + strings.Repeat("a", maxName+1) + "\n", "1025 bytes, 1024 at most"},
		"long list":             {strings.Repeat("#\n", MaxBytes/2) + "#\n", "1048578 bytes"},
		"control, twice":        {"SHA256:\n " + sumA + " 1 a\nsha256:\n " + sumB + " 1 b\n", "line 3: the field sha256 is there twice"},
		"control, two":          {"SHA256:\n " + sumA + " 1 a\n\nSHA512:\n", "line 4: something follows"},
		"control, words":        {"SHA256:\n " + sumA + " a\n", "line 2: is not sum, size and name"},
		"control, size":         {"SHA256:\n " + sumA + " -1 a\n", "line 2: \"-1\" is no size"},
		"control, sum":          {"SHA256:\n " + sumA[:62] + " 1 a\n", "line 2: 62 digits"},
		"control, first line":   {"SHA256: " + sumA + " 1 a\n", "line 1: the field SHA256 has something in its first line"},
		"control, no field":     {"Format: 3.0\nwelcome\n", "line 2: is no field"},
		"control, sizes differ": {"SHA256:\n " + sumA + " 1 a\n " + sumA + " 2 a\n", "lines 2 and 3"},
	} {
		if l, err := Parse([]byte(c.in)); err == nil || !strings.Contains(err.Error(), c.want) || len(err.Error()) > 500 {
			t.Errorf("%s: %s, %v; want %s", name, l.written(), err, c.want)
		}
	}
}

func TestTooManyEntries(t *testing.T) {
	var b bytes.Buffer
	b.WriteString("SHA256:\n")
	for i := range MaxEntries + 1 {
		fmt.Fprintf(&b, " %064x 1 %d\n", i, i)
	}
	if _, err := Parse(b.Bytes()); err == nil { // longer than a list may be, too
		t.Error("was read")
	}
	p := parser{seen: map[key]int{}}
	for i := range MaxEntries {
		if err := p.add(Entry{Name: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.add(Entry{Name: "more", Line: 7}); err == nil || !strings.Contains(err.Error(), "line 7") {
		t.Error(err)
	}
}

func TestRealLists(t *testing.T) {
	for name, want := range map[string]struct {
		entries int
		line    string
	}{
		"xz-utils_5.4.1-1+deb12u1.dsc.txt": {3, `28 "xz-utils_5.4.1.orig.tar.xz" 5d98 1485272`},
		"Release-excerpt.txt":              {5, `"main/source/Sources.gz"`},
	} {
		b, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		l, err := Parse(b)
		if err != nil || len(l.Entries) != want.entries || !strings.Contains(l.written(), want.line) || len(l.Notes) != 1 || l.Notes[0] != noteIgnored {
			t.Errorf("%s: %s, %q, %v", name, l.written(), l.Notes, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{sumA + "  a\n" + sumB + " *b\n", "SHA256 (a) = " + sumA + "\n", `\` + sumA + `  a\n` + "\n", "SHA2-512(a)= " + longA + "\n",
		"Format: 3\nChecksums-Sha256:\n " + sumA + " 1 a\nFiles:\n x\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := Parse(b)
		if err != nil {
			return
		}
		lines := bytes.Split(b, []byte("\n"))
		for _, e := range l.Entries {
			_, sum, _ := strings.Cut(e.sum(), ":")
			if e.Name == "" || e.Line < 1 || e.Line > len(lines) || !bytes.Contains(bytes.ToLower(lines[e.Line-1]), []byte(sum)) {
				t.Errorf("%q: %+v", b, e)
			}
		}
	})
}
