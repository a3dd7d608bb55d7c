package manifest

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
)

func sample() *Manifest {
	return &Manifest{
		Schema:  Schema,
		Product: "organizations/acme/products/widget",
		Version: "1.2.3",
		Sources: []Source{{Kind: GitBundle, Name: "widget.bundle", Digest: digest.Of([]byte("b")), Size: 1, Tag: "v1.2.3", CaseSensitive: true,
			Bases: []File{{Digest: digest.Of([]byte("base")), Size: 2}}, LFS: []File{{Digest: digest.Of([]byte("large")), Size: 3}, {Digest: digest.Of(nil)}}}},
		Artifacts:   []Artifact{{Path: "bin/widget", Digest: digest.Of([]byte("w")), Size: 1, Rebuilt: "out/widget", Platform: "linux/amd64"}},
		Environment: Environment{Image: digest.Of([]byte("e"))},
		Recipe:      Recipe{Argv: []string{"make"}, Env: map[string]string{"A": "<b>"}},
	}
}

func TestMarshalParses(t *testing.T) {
	in := sample()
	b, err := in.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	out, err := Parse(b)
	if err != nil || !reflect.DeepEqual(in, out) {
		t.Errorf("%s read back as %+v, %v", b, out, err)
	}
}

func TestMistakesNameTheField(t *testing.T) {
	for field, spoil := range map[string]func(*Manifest){
		"schema":                     func(m *Manifest) { m.Schema = "v0" },
		"product":                    func(m *Manifest) { m.Product = "acme" },
		"version":                    func(m *Manifest) { m.Version = "" },
		"sources":                    func(m *Manifest) { m.Sources = nil },
		"sources[0].kind":            func(m *Manifest) { m.Sources[0].Kind = "svn" },
		"sources[0].tag":             func(m *Manifest) { m.Sources[0].Tag = "" },
		"sources[0].into":            func(m *Manifest) { m.Sources[0].Into = "../x" },
		"sources[0].digest":          func(m *Manifest) { m.Sources[0].Digest = digest.Digest{} },
		"sources[0].size":            func(m *Manifest) { m.Sources[0].Size = -1 },
		"sources[0].bases[1].digest": func(m *Manifest) { m.Sources[0].Bases = append(m.Sources[0].Bases, m.Sources[0].Bases[0]) },
		"sources[0].bases[0].digest": func(m *Manifest) { m.Sources[0].Bases[0].Digest = m.Sources[0].Digest },
		"sources[0].bases[0].size":   func(m *Manifest) { m.Sources[0].Bases[0].Size = -1 },
		"sources[0].bases":           func(m *Manifest) { m.Sources[0].Kind, m.Sources[0].Tag = Archive, "" },
		"sources[0].lfs[0].digest":   func(m *Manifest) { m.Sources[0].LFS[0].Digest = digest.Digest{} },
		"sources[0].lfs[2].digest":   func(m *Manifest) { m.Sources[0].LFS = append(m.Sources[0].LFS, File{Digest: digest.Of(nil)}) },
		"artifacts":                  func(m *Manifest) { m.Artifacts = nil },
		"artifacts[0].path":          func(m *Manifest) { m.Artifacts[0].Path = "/etc/passwd" },
		"artifacts[0].rebuilt":       func(m *Manifest) { m.Artifacts[0].Rebuilt = "../../etc/passwd" },
		"artifacts[0].platform":      func(m *Manifest) { m.Artifacts[0].Platform = "linux" },
		"artifacts[1].path":          func(m *Manifest) { m.Artifacts = append(m.Artifacts, m.Artifacts[0]) },
		"environment.image":          func(m *Manifest) { m.Environment.Image = digest.Digest{} },
		"recipe.argv":                func(m *Manifest) { m.Recipe.Argv = nil },
		"recipe.argv[0]":             func(m *Manifest) { m.Recipe.Argv[0] = "" },
		"recipe.env":                 func(m *Manifest) { m.Recipe.Env["A=B"] = "" },
		"recipe.dir":                 func(m *Manifest) { m.Recipe.Dir = "/etc" },
		"recipe.limits.memory_bytes": func(m *Manifest) { m.Recipe.Limits.MemoryBytes = -1 },
	} {
		m := sample()
		spoil(m)
		var e *fault.Error
		if err := m.Check(); !errors.As(err, &e) || e.Field != field || e.Kind != fault.Invalid {
			t.Errorf("%s spoilt: %v", field, err)
		}
	}
}

func TestParseIsStrict(t *testing.T) {
	b, err := sample().Marshal()
	if err != nil {
		t.Fatal(err)
	}
	good := string(b)
	for name, bad := range map[string]string{
		"unknown field": strings.Replace(good, `"version"`, `"colour": "red", "version"`, 1),
		"duplicate key": strings.Replace(good, `"version"`, `"version": "1", "version"`, 1),
		"other case":    strings.Replace(good, `"version"`, `"Version"`, 1),
		"other form":    strings.Replace(good, "\n", "", 1),
		"trailing":      good + "{}",
		"cut":           good[:len(good)/2],
		"too long":      good + strings.Repeat(" ", MaxBytes),
	} {
		if _, err := Parse([]byte(bad)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzParse(f *testing.F) {
	b, err := sample().Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Parse(b)
		if err != nil {
			return
		}
		if again, err := m.Marshal(); err != nil || string(again) != string(b) {
			t.Errorf("read %q, wrote %q, %v", b, again, err)
		}
	})
}

func TestCapsOnFilesOfSources(t *testing.T) {
	files := func(n int) []File {
		list := make([]File, n)
		for i := range list {
			list[i] = File{Digest: digest.Of([]byte{byte(i), byte(i >> 8)}), Size: 1}
		}
		return list
	}
	for field, spoil := range map[string]func(*Manifest){
		"sources[0].bases": func(m *Manifest) { m.Sources[0].Bases = files(MaxBases + 1) },
		"sources[0].lfs":   func(m *Manifest) { m.Sources[0].LFS = files(MaxLFS + 1) },
		"sources[1].lfs": func(m *Manifest) {
			m.Sources = append(m.Sources, m.Sources[0])
			m.Sources[0].LFS, m.Sources[1].LFS = files(MaxLFS/2), files(MaxLFS/2+1)
		},
	} {
		m := sample()
		spoil(m)
		var e *fault.Error
		if err := m.Check(); !errors.As(err, &e) || e.Field != field || e.Kind != fault.Exhausted {
			t.Errorf("%s: %v", field, err)
		}
	}
	m := sample()
	m.Sources[0].Bases, m.Sources[0].LFS = files(MaxBases), files(MaxLFS)
	b, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Parse(b); err != nil {
		t.Errorf("%d bytes: %v", len(b), err)
	}
}

func TestFilesOfASource(t *testing.T) {
	var fields []string
	for _, f := range sample().Sources[0].Files("sources[0]") {
		fields = append(fields, f.Field+" "+f.Digest.String()[:13]+" "+f.Name)
	}
	want := []string{"sources[0] sha256:3e23e8 widget.bundle", "sources[0].bases[0] sha256:9b79d8 widget.bundle: base 1",
		"sources[0].lfs[0] sha256:fb02fd widget.bundle: Git LFS object", "sources[0].lfs[1] sha256:e3b0c4 widget.bundle: Git LFS object"}
	if len(fields) != len(want) {
		t.Fatalf("%q", fields)
	}
	for i := range want {
		if fields[i][:20] != want[i][:20] || !strings.HasSuffix(fields[i], want[i][strings.LastIndex(want[i], "sha256:")+14:]) {
			t.Errorf("%q, want %q", fields[i], want[i])
		}
	}
}
