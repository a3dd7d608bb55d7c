package fetch

import (
	"path"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/manifest"
)

func TestSafe(t *testing.T) {
	for wish, want := range map[string]string{
		"widget.tar.gz": "widget.tar.gz", "../../etc/passwd": "passwd", `..\..\evil.exe`: "evil.exe", "": "source", "..": "source", "-rf": "rf",
		".git": "git", "a\x1b[2J": "a_[2J", "tab\tle": "tab_le", "über.tar": "über.tar", "bad\xff": "bad_", "con:": "con_", "dots...": "dots",
		strings.Repeat("ü", 200): strings.Repeat("ü", 60), "/": "source", "a b": "a b",
	} {
		if got := safe(wish); got != want {
			t.Errorf("safe(%q) = %q, want %q", wish, got, want)
		}
	}
}

func FuzzSafe(f *testing.F) {
	for _, s := range []string{"a", "../x", "\x00", "-o", ".partial", "\u202e", "con"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, wish string) {
		got := safe(wish)
		if got == "" || len(got) > 120 || strings.ContainsAny(got, "/\\\x00\n") || strings.HasPrefix(got, ".") || strings.HasPrefix(got, "-") ||
			!utf8.ValidString(got) || path.Clean(got) != got {
			t.Errorf("safe(%q) = %q", wish, got)
		}
	})
}

func of(s string) digest.Digest { return digest.Of([]byte(s)) }

func TestSourcesHavePlacesOfTheirOwn(t *testing.T) {
	base, object := manifest.File{Digest: of("base"), Size: 4}, manifest.File{Digest: of("lfs"), Size: 3}
	m := &manifest.Manifest{Sources: []manifest.Source{
		{Name: "src.tar", Digest: of("1")}, {Name: "SRC.tar", Digest: of("2")}, {Name: "../src.tar", Digest: of("3")}, {Name: "bases", Digest: of("4")},
		{Name: "a.bundle", Digest: of("5"), Bases: []manifest.File{base}, LFS: []manifest.File{object}},
		{Name: "b.bundle", Digest: of("6"), Bases: []manifest.File{base}, LFS: []manifest.File{object}},
	}}
	files, paths := Sources(m)
	if err := Distinct(files); err != nil {
		t.Error(err)
	}
	want := "sources/src.tar sources/2-SRC.tar sources/3-src.tar sources/4-bases sources/a.bundle sources/b.bundle"
	if got := strings.Join(paths, " "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if len(files) != 8 {
		t.Errorf("%d files: a base and an object are fetched once: %v", len(files), files)
	}
}

func TestArtifactsThatAreInEachOthersWay(t *testing.T) {
	for what, c := range map[string]struct {
		paths []string
		ok    bool
	}{
		"folders":          {[]string{"bin/a", "bin/b", "lib/a"}, true},
		"capitals":         {[]string{"bin/a", "bin/A"}, false},
		"a file as folder": {[]string{"bin", "bin/a"}, false},
		"in capitals":      {[]string{"Bin", "bin/a"}, false},
	} {
		m := new(manifest.Manifest)
		for _, p := range c.paths {
			m.Artifacts = append(m.Artifacts, manifest.Artifact{Path: p})
		}
		if _, err := Artifacts(m); (err == nil) != c.ok || err != nil && !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestPartialsAreInNobodysWay(t *testing.T) {
	got := partials([]File{{Path: "d/a"}, {Path: "d/a.partial"}, {Path: "d/A.PARTIAL.partial"}, {Path: "e/a"}})
	want := []string{"a.partial.partial.partial", "a.partial.partial.partial.partial", "A.PARTIAL.partial.partial.partial", "a.partial"}
	seen := map[string]bool{"a": true, "a.partial": true, "a.partial.partial": true}
	for i, name := range got[:3] {
		if seen[strings.ToLower(name)] {
			t.Errorf("%d: %s is taken", i, name)
		}
		seen[strings.ToLower(name)] = true
	}
	if got[3] != want[3] || got[0] != want[0] {
		t.Errorf("%q", got)
	}
}

func TestEnvironment(t *testing.T) {
	layer := of("layer").String()
	raw := `{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json","config":{"digest":"` + of("config").String() +
		`","size":6},"layers":[{"digest":"` + layer + `","size":5},{"digest":"` + layer + `","size":5}]}`
	files, documents, err := Environment(of(raw), []byte(raw))
	if err != nil || len(files) != 2 || len(documents) != 3 || files[1].Path != "environment/blobs/sha256/"+of("layer").Hex() {
		t.Fatalf("%v, %v, %v", files, documents, err)
	}
	if index := string(documents["environment/index.json"]); !strings.Contains(index, of(raw).String()) || !strings.Contains(index, "docker") {
		t.Errorf("index %s", index)
	}
	for what, raw := range map[string]string{
		"no JSON": "x", "no digest": `{"config":{"size":1}}`, "a malformed one": `{"config":{"digest":"../../x","size":1}}`,
		"a negative size": `{"config":{"digest":"` + layer + `","size":-1}}`,
		"many layers":     `{"config":{"digest":"` + layer + `","size":1},"layers":[` + strings.Repeat("{},", maxLayers) + `{}]}`,
	} {
		if _, _, err := Environment(of(raw), []byte(raw)); err == nil {
			t.Errorf("%s was taken", what)
		}
	}
}

func FuzzEnvironment(f *testing.F) {
	f.Add([]byte(`{"config":{"digest":"` + of("x").String() + `","size":1},"layers":[{"digest":"sha256:..","size":2}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		files, _, err := Environment(of("image"), raw)
		if err != nil {
			return
		}
		if err := Distinct(files); err != nil {
			t.Error(err)
		}
		for _, file := range files {
			if file.Size < 0 || !strings.HasPrefix(file.Path, EnvironmentFolder+"/blobs/sha256/") || path.Clean(file.Path) != file.Path {
				t.Errorf("%+v", file)
			}
		}
	})
}
