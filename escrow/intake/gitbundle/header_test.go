package gitbundle

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

const someID = "ed53b755b93b11828f78c86aac94dc077eaec1a2"

func TestReadHeader(t *testing.T) {
	for name, in := range map[string]string{
		"version 2": "# v2 git bundle\n" + someID + " refs/tags/v1\n" + someID + " HEAD\n\nPACK",
		"version 3": "# v3 git bundle\n@object-format=sha1\n" + someID + " refs/tags/v1\n" + someID + " HEAD\n\nPACK",
	} {
		h, err := ReadHeader(strings.NewReader(in))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if int(h.Size) != len(in)-len("PACK") || len(h.Refs) != 2 || fmt.Sprint("version ", h.Version) != name {
			t.Errorf("%s: %+v", name, h)
		}
		if id, err := h.Tag("v1"); err != nil || id.String() != someID {
			t.Errorf("%s: %v, %v", name, id, err)
		}
		if _, err := h.Tag("HEAD"); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: HEAD is no tag: %v", name, err)
		}
	}
}

func TestReadHeaderWithPrerequisites(t *testing.T) {
	const other = "cea4b477856cb9599431e28ee35243998cb78329"
	h, err := ReadHeader(strings.NewReader("# v2 git bundle\n-" + someID + " a comment\n-" + other + "\n" + other + " refs/tags/v1\n\nPACK"))
	if err != nil {
		t.Fatal(err)
	}
	if len(h.Prerequisites) != 2 || h.Prerequisites[0].String() != someID || h.Prerequisites[1].String() != other || len(h.Refs) != 1 {
		t.Errorf("%+v", h)
	}
}

func TestReadHeaderRefuses(t *testing.T) {
	const v2, v3 = "# v2 git bundle\n", "# v3 git bundle\n"
	var refs strings.Builder
	for i := range MaxRefs + 1 {
		fmt.Fprintf(&refs, "%s r%d\n", someID, i)
	}
	for in, want := range map[string]struct {
		kind  fault.Kind
		place string
	}{
		"":                                       {fault.Invalid, "bundle"},
		"# v1 git bundle\n":                      {fault.Invalid, "bundle"},
		"PACK":                                   {fault.Invalid, "bundle"},
		v2:                                       {fault.Invalid, "line 1"},
		v2 + someID + " refs/tags/v1\n":          {fault.Invalid, "line 2"},
		v2 + someID + "\n\n":                     {fault.Invalid, "line 2"},
		v2 + someID + " \n\n":                    {fault.Invalid, "line 2"},
		v2 + someID[1:] + " r\n\n":               {fault.Invalid, "line 2"},
		v2 + strings.ToUpper(someID) + " r\n\n":  {fault.Invalid, "line 2"},
		v2 + someID + " r\n" + someID + " r\n\n": {fault.Invalid, "line 3"},
		v2 + "-" + someID[1:] + " before\n" + someID + " r\n\n":      {fault.Invalid, "line 2"},
		v2 + someID + " r\n-" + someID + " before\n\n":               {fault.Invalid, "line 3"},
		v2 + "@object-format=sha1\n\n":                               {fault.Invalid, "line 2"},
		v3 + "@object-format=sha256\n\n":                             {fault.Invalid, "line 2"},
		v3 + "@filter=blob:none\n\n":                                 {fault.Precondition, "line 2"},
		v3 + "@teleport\n\n":                                         {fault.Invalid, "line 2"},
		v3 + someID + " r\n@object-format=sha1\n\n":                  {fault.Invalid, "line 3"},
		v2 + someID + " " + strings.Repeat("r", maxLineBytes) + "\n": {fault.Exhausted, "line 1"},
		v2 + refs.String():                                           {fault.Exhausted, fmt.Sprintf("line %d", MaxRefs+2)},
	} {
		_, err := ReadHeader(strings.NewReader(in))
		var domain *fault.Error
		if !errors.As(err, &domain) || domain.Kind != want.kind || !strings.HasSuffix(domain.Field, want.place) {
			t.Errorf("%.60q: %v", in, err)
		}
	}
}

func TestReadHeaderPassesFailuresOn(t *testing.T) {
	broken := errors.New("disk on fire")
	for _, before := range []string{"", "# v2 git bundle\n"} {
		_, err := ReadHeader(io.MultiReader(strings.NewReader(before), readFunc(func([]byte) (int, error) { return 0, broken })))
		if !errors.Is(err, broken) {
			t.Errorf("after %q: %v", before, err)
		}
	}
}

func FuzzReadHeader(f *testing.F) {
	f.Add([]byte("# v2 git bundle\n" + someID + " refs/tags/v1\n\nPACK"))
	f.Add([]byte("# v3 git bundle\n@object-format=sha1\n" + someID + " refs/tags/v1\n\n"))
	f.Add([]byte("# v2 git bundle\n-" + someID + " c\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := ReadHeader(bytes.NewReader(b))
		if err != nil {
			var domain *fault.Error
			if !errors.As(err, &domain) || domain.Field == "" {
				t.Errorf("no domain error that names a place: %v", err)
			}
			return
		}
		if h.Size > int64(len(b)) || !bytes.HasSuffix(b[:h.Size], []byte("\n\n")) {
			t.Errorf("the header ends at %d of %d", h.Size, len(b))
		}
		for name, id := range h.Refs {
			if !bytes.Contains(b[:h.Size], []byte("\n"+id.String()+" "+name+"\n")) {
				t.Errorf("%s %q is not in the header", id, name)
			}
		}
	})
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }
