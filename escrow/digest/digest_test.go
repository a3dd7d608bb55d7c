package digest

import (
	"encoding/json"
	"strings"
	"testing"
)

const emptyHex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func TestParse(t *testing.T) {
	for in, ok := range map[string]bool{
		"sha256:" + emptyHex:                  true,
		emptyHex:                              false,
		"sha256:" + strings.ToUpper(emptyHex): false,
		"sha256:" + emptyHex[:62]:             false,
		"sha256:" + emptyHex + "00":           false,
		"sha256:" + "g" + emptyHex[1:]:        false,
		"sha512:" + emptyHex:                  false,
		"":                                    false,
	} {
		d, err := Parse(in)
		if (err == nil) != ok {
			t.Errorf("Parse(%q): %v, want ok=%v", in, err, ok)
		}
		if ok && d.String() != in {
			t.Errorf("Parse(%q) = %s", in, d)
		}
	}
}

func TestOfAgrees(t *testing.T) {
	fromReader, n, err := FromReader(strings.NewReader("abc"))
	if err != nil || n != 3 || fromReader != Of([]byte("abc")) {
		t.Errorf("FromReader = %s, %d, %v; Of = %s", fromReader, n, err, Of([]byte("abc")))
	}
	if got := Of(nil).Hex(); got != emptyHex {
		t.Errorf("Of(nil) = %s", got)
	}
}

func TestJSON(t *testing.T) {
	in := struct{ D, None Digest }{D: Of([]byte("x"))}
	b, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	out := in
	out.D = Digest{}
	if err := json.Unmarshal(b, &out); err != nil || out != in {
		t.Errorf("%s read back as %v, %v", b, out, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("sha256:" + emptyHex)
	f.Add("sha256:")
	f.Fuzz(func(t *testing.T, s string) {
		d, err := Parse(s)
		if err == nil && !d.IsZero() && d.String() != s {
			t.Errorf("Parse(%q).String() = %q", s, d)
		}
	})
}
