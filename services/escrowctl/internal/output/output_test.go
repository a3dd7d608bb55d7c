package output

import (
	"bytes"
	"io"
	"strings"
	"testing"

	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
)

func TestList(t *testing.T) {
	products := []*pb.Product{{Name: "organizations/acme/products/a", DisplayName: "A\x1b[2J"}, {Name: "organizations/acme/products/long-name"}}
	row := func(p *pb.Product) []string { return []string{ID(p.GetName()), p.GetDisplayName()} }
	for json, want := range map[bool]string{
		false: "PRODUCT    NAME\na          A\\u001b[2J\nlong-name  -\n",
		true: `{
  "products": [
    {
      "name": "organizations/acme/products/a",
      "displayName": "A\u001b[2J"
    },
    {
      "name": "organizations/acme/products/long-name"
    }
  ]
}
`,
	} {
		var buf bytes.Buffer
		p := &Printer{Out: &buf, JSON: json}
		if err := List(p, "products", products, []string{"PRODUCT", "NAME"}, row); err != nil || buf.String() != want {
			t.Errorf("json %t: %v\n%s\nwant\n%s", json, err, buf.String(), want)
		}
	}
}

func TestEventIsOneLine(t *testing.T) {
	var buf bytes.Buffer
	p := &Printer{Out: &buf, JSON: true}
	if err := p.Event(&pb.Product{Name: "a", DisplayName: "b"}, "text"); err != nil || buf.String() != `{"name":"a","displayName":"b"}`+"\n" {
		t.Errorf("%v, %q", err, buf.String())
	}
	buf.Reset()
	p.JSON = false
	if err := p.Message(&pb.Product{}, func(w io.Writer) { Fields(w, "a", "1", "b", "", "long", "2") }); err != nil || buf.String() != "a:     1\nlong:  2\n" {
		t.Errorf("%v, %q", err, buf.String())
	}
}

func TestFormats(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1 << 30: "1.0 GiB", 1 << 62: "4096.0 PiB"} {
		if got := Bytes(n); got != want {
			t.Errorf("Bytes(%d) = %q, want %q", n, got, want)
		}
	}
	if got := Release("organizations/acme/products/w/releases/1.2"); got != "w/1.2" {
		t.Errorf("Release = %q", got)
	}
	if got := Enum(pb.Verdict_VERDICT_MATCH, "VERDICT_"); got != "MATCH" {
		t.Errorf("Enum = %q", got)
	}
	if got := Time(nil); got != "" {
		t.Errorf("Time(nil) = %q", got)
	}
}

func FuzzClean(f *testing.F) {
	f.Add("plain")
	f.Add("\x1b[31m\u202e\xff")
	f.Fuzz(func(t *testing.T, s string) {
		if got := Clean(s); strings.IndexFunc(got, hidden) >= 0 {
			t.Errorf("Clean(%q) = %q", s, got)
		}
	})
}
