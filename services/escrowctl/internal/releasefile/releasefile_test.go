package releasefile

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/manifest"
	"github.com/countersign-escrow/countersign/services/internal/problem"
)

const good = `product: organizations/acme/products/widget
version: 1.10
sources:
  - archive: src.tar.gz
    into: .
  - git-bundle: repo.bundle
    tag: v1.2.3
    into: vendor/lib
artifacts:
  - path: dist/widget
    name: bin/widget
    rebuilt: out/widget
    platform: linux/amd64
environment:
  image: sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
recipe:
  argv: [make, -j, 4]
  env: {CGO_ENABLED: 0, HOME: /build/home, YES: true}
  dir: .
  limits: {wall: 1h30m, cpu: 90s, memory: 4GiB, processes: 512, disk: 100B, output: 1KiB}
signatures:
  - release.sigstore.json
`

// lay writes a release file with the files that it names and returns its path.
func lay(t testing.TB, content string) string {
	t.Helper()
	dir := t.TempDir()
	for name, b := range map[string]string{"release.yaml": content, "src.tar.gz": "source", "repo.bundle": "bundle", "dist/widget": "widget"} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(b), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "release.yaml")
}

func prepare(t testing.TB, path string) (*File, *Deposit) {
	t.Helper()
	f, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	d, err := f.Prepare(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return f, d
}

func TestPrepare(t *testing.T) {
	_, d := prepare(t, lay(t, good))
	m := d.Manifest
	if m.Version != "1.10" || d.Release.String() != "organizations/acme/products/widget/releases/1.10" {
		t.Errorf("version %q, release %s", m.Version, d.Release)
	}
	if got := strings.Join(m.Recipe.Argv, " "); got != "make -j 4" {
		t.Errorf("argv %q", got)
	}
	if e := m.Recipe.Env; e["CGO_ENABLED"] != "0" || e["YES"] != "true" {
		t.Errorf("env %v", e)
	}
	want := manifest.Limits{WallSeconds: 5400, CPUSeconds: 90, MemoryBytes: 4 << 30, Processes: 512, DiskBytes: 100, OutputBytes: 1024}
	if m.Recipe.Limits != want {
		t.Errorf("limits %+v", m.Recipe.Limits)
	}
	if s := m.Sources; s[0].Into != "" || s[0].Digest != digest.Of([]byte("source")) || s[1].Kind != manifest.GitBundle || s[1].Tag != "v1.2.3" {
		t.Errorf("sources %+v", s)
	}
	if a := m.Artifacts[0]; a.Path != "bin/widget" || a.Size != 6 {
		t.Errorf("artifact %+v", a)
	}
	if parsed, err := manifest.Parse(d.Bytes); err != nil || parsed.Version != m.Version || d.Digest != digest.Of(d.Bytes) {
		t.Errorf("the manifest does not read back: %v", err)
	}
	if len(d.Files) != 3 {
		t.Errorf("%d files", len(d.Files))
	}
}

func TestProblems(t *testing.T) {
	replace := func(pairs ...string) string { return strings.NewReplacer(pairs...).Replace(good) }
	for name, c := range map[string]struct{ in, want string }{
		"unknown field":      {replace("  dir: .", "  directory: ."), `:19: recipe.directory: unknown field; did you mean dir?`},
		"misspelt field":     {replace("artifacts:", "artefacts:"), `:9: artefacts: unknown field; did you mean artifacts?`},
		"missing field":      {replace("  argv: [make, -j, 4]\n", ""), `:16: recipe.argv: is missing`},
		"wrong type":         {replace("[make, -j, 4]", "make -j 4"), `:17: recipe.argv: is text, must be a list`},
		"number for text":    {replace("path: dist/widget", "path: 12"), `:10: artifacts[0].path: is a number, must be text; put it in quotes`},
		"empty":              {replace("    rebuilt: out/widget", "    rebuilt:"), `:12: artifacts[0].rebuilt: is empty, must be text`},
		"bad time":           {replace("1h30m", "10 minutes"), `:20: recipe.limits.wall: must be whole hours, minutes and seconds, such as 90s, 10m or 1h30m`},
		"no time":            {replace("1h30m", "0s"), `:20: recipe.limits.wall: must be at least 1s`},
		"bad size":           {replace("4GiB", "4GB"), `:20: recipe.limits.memory: must be a whole number and B, KiB, MiB, GiB or TiB, such as 512MiB`},
		"huge size":          {replace("4GiB", "999999999999TiB"), `:20: recipe.limits.memory: "999999999999TiB" is no size that can be told`},
		"processes":          {replace("processes: 512", "processes: 1.5"), `:20: recipe.limits.processes: is a number, must be a whole number`},
		"no process":         {replace("processes: 512", "processes: 0"), `:20: recipe.limits.processes: must be at least 1`},
		"product":            {replace("organizations/acme/products/widget", "acme/widget"), `:1: product: must have the form organizations/{vendor}/products/{product}`},
		"base of an archive": {replace("    into: .\n", "    bases: [repo.bundle]\n"), `:4: sources[0]: bases goes with git-bundle, which is missing`},
		"missing base":       {replace("tag: v1.2.3", "tag: v1.2.3\n    bases: [src.tar.gz, gone.bundle]"), `:8: sources[1].bases[1]: gone.bundle: no such file`},
		"base twice":         {replace("tag: v1.2.3", "tag: v1.2.3\n    bases: [src.tar.gz, src.tar.gz]"), `:8: sources[1].bases[1].digest: is listed twice`},
		"base without size":  {replace("tag: v1.2.3", "tag: v1.2.3\n    bases: [{digest: sha256:12}]"), `:8: sources[1].bases[0].size: is missing`},
		"base's digest":      {replace("tag: v1.2.3", "tag: v1.2.3\n    bases: [{digest: sha256:12, size: 1}]"), `:8: sources[1].bases[0].digest: must be sha256: and 64 lower-case hexadecimal digits`},
		"bases as text":      {replace("tag: v1.2.3", "tag: v1.2.3\n    bases: src.tar.gz"), `:8: sources[1].bases: is text, must be a list`},
		"case as text":       {replace("tag: v1.2.3", "tag: v1.2.3\n    case-sensitive: sometimes"), `:8: sources[1].case-sensitive: is text, must be true or false`},
		"lfs of nonsense":    {replace("tag: v1.2.3", "tag: v1.2.3\n    lfs: dist"), `:6: sources[1].git-bundle: bundle: is no git bundle`},
		"missing lfs object": {replace("tag: v1.2.3", "tag: v1.2.3\n    lfs: [src.tar.gz, gone]"), `:8: sources[1].lfs[1]: gone: no such file`},
		"platform":           {replace("linux/amd64", "linux"), `:13: artifacts[0].platform: must be an operating system and an architecture, such as linux/amd64`},
		"two kinds":          {replace("git-bundle: repo.bundle", "git-bundle: repo.bundle\n    archive: src.tar.gz"), `:6: sources[1]: must have either archive or git-bundle`},
		"tag for archive":    {replace("    into: .\n", "    tag: x\n"), `:4: sources[0]: tag goes with git-bundle, which is missing`},
		"no tag":             {replace("    tag: v1.2.3\n", ""), `:6: sources[1]: git-bundle goes with tag, which is missing`},
		"variable":           {replace("CGO_ENABLED", "CGO-ENABLED"), `:18: recipe.env.CGO-ENABLED: cannot name a variable`},
		"over and list":      {replace("  - release.sigstore.json", "  - {file: a.asc, over: src.tar.gz, list: SHA256SUMS}"), `:22: signatures[0]: has both over and list`},
		"over without file":  {replace("  - release.sigstore.json", "  - {over: src.tar.gz}"), `:22: signatures[0].file: is missing`},
		"signature of what":  {replace("  - release.sigstore.json", "  - {file: a.asc, of: src.tar.gz}"), `:22: signatures[0].of: unknown field`},
		"twice":              {replace("version: 1.10", "version: 1\nversion: 2"), `:3: version: is given twice; first on line 2`},
		"digest":             {replace("sha256:e3b0c4", "sha256:E3B0C4"), `:15: environment.image: digest `},
		"not yaml":           {replace("sources:", "sources: ]"), `:3: did not find expected node content`},
		"second document":    {good + "---\nproduct: x\n", `a second document follows`},
		"empty file":         {"", `is empty`},
		"a list":             {"- a\n- b\n", `:1: is a list, must be a mapping`},
		"missing source":     {replace("archive: src.tar.gz", "archive: gone.tar.gz"), `:4: sources[0].archive: gone.tar.gz: no such file`},
		"folder as artifact": {replace("path: dist/widget", "path: dist"), `:10: artifacts[0].path: dist: is not a regular file`},
		"missing image":      {replace("image: sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "image: env.tar"), `:15: environment.image: env.tar: no such file or directory`},
		"no image":           {replace("image: sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "image: dist/widget"), `:15: environment.image: dist/widget: is neither`},
		"rebuilt outside":    {replace("rebuilt: out/widget", "rebuilt: /etc/passwd"), `:12: artifacts[0].rebuilt: "/etc/passwd" must lie below /build`},
		"path above":         {replace("path: dist/widget\n    name: bin/widget", "path: dist/../../"+"release.yaml/../x"), `:10: artifacts[0].path:`},
		"name outside":       {replace("name: bin/widget", "name: ../widget"), `:11: artifacts[0].name: "../widget" must be a clean relative path`},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := Read(lay(t, c.in))
			if err == nil {
				_, err = f.Prepare(t.Context())
			}
			var ps problem.Problems
			if !errors.As(err, &ps) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v\nwant %s", err, c.want)
			}
		})
	}
}

func TestSeveralProblemsAtOnce(t *testing.T) {
	in := strings.NewReplacer("version: 1.10", "version: [1]", "dir: .", "dri: .", "4GiB", "4GB").Replace(good)
	_, err := Read(lay(t, in))
	var ps problem.Problems
	if !errors.As(err, &ps) || len(ps) != 3 || ps[0].Line != 2 || ps[1].Field != "recipe.dri" || ps[2].Line != 20 {
		t.Errorf("got %v", err)
	}
}

func TestCaps(t *testing.T) {
	bomb := "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
	for i := 'b'; i < 'k'; i++ {
		bomb += fmt.Sprintf("%c: &%c [%s*%c]\n", i, i, strings.Repeat(fmt.Sprintf("*%c,", i-1), 9), i-1)
	}
	for name, in := range map[string]string{
		"aliases": bomb,
		"depth":   "a: " + strings.Repeat("[", 100) + strings.Repeat("]", 100),
		"size":    "a: " + strings.Repeat("x", MaxBytes),
		"itself":  "a: &a [*a]\n",
	} {
		if _, err := Parse("release.yaml", []byte(in)); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestSchemaInDocs(t *testing.T) {
	docs, err := os.ReadFile("../../../../docs/release.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(docs, Schema) {
		t.Error("docs/release.schema.json differs from the schema in this package: copy it there")
	}
}

// packed is a tar archive with a Git LFS pointer to content.
func packed(t *testing.T, content string) string {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	pointer := fmt.Sprintf("version https://git-lfs.github.com/spec/v1\noid %s\nsize %d\n", digest.Of([]byte(content)), len(content))
	for _, err := range []error{
		w.WriteHeader(&tar.Header{Name: "large", Mode: 0o644, Typeflag: tar.TypeReg, Size: int64(len(pointer))}),
		func() error { _, err := w.Write([]byte(pointer)); return err }(),
		w.Close(),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

func TestFilesBesideTheSource(t *testing.T) {
	held := digest.Of([]byte("held elsewhere"))
	in := strings.NewReplacer("    into: .\n", "    lfs: media\n    case-sensitive: true\n",
		"    tag: v1.2.3\n", "    tag: v1.2.3\n    bases: [old.bundle, {digest: "+held.String()+", size: 14}]\n    lfs: [objects/one]\n").Replace(good)
	path := lay(t, in)
	object := digest.Of([]byte("the large file")).Hex()
	write := func(name, content string) {
		name = filepath.Join(filepath.Dir(path), name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	write("src.tar.gz", packed(t, "the large file"))
	write("old.bundle", "an earlier bundle")
	write("objects/one", "an object")
	refused := func(want string) {
		t.Helper()
		f, err := Read(path)
		if err == nil {
			_, err = f.Prepare(t.Context())
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	refused("sources[0].lfs: ")
	refused("does not hold sha256:" + object + "; get it with: git lfs fetch")
	for _, folder := range []string{"media/.git/lfs/objects", "media/lfs/objects", "media/objects", "media"} {
		name := filepath.Join(folder, object[:2], object[2:4], object)
		write(name, "the LARGE file")
		refused(object + ": is damaged")
		write(name, "the large file")
		_, d := prepare(t, path)
		s := d.Manifest.Sources
		if len(s[0].LFS) != 1 || s[0].LFS[0] != (manifest.File{Digest: digest.Of([]byte("the large file")), Size: 14}) || !s[0].CaseSensitive || s[1].CaseSensitive {
			t.Errorf("%s: %+v", folder, s[0])
		}
		if want := []manifest.File{{Digest: digest.Of([]byte("an earlier bundle")), Size: 17}, {Digest: held, Size: 14}}; !slices.Equal(s[1].Bases, want) || len(s[1].LFS) != 1 {
			t.Errorf("%s: %+v", folder, s[1])
		}
		if len(d.Files) != 6 { // what is held elsewhere is not here to be sent
			t.Errorf("%s: %d files", folder, len(d.Files))
		}
		if err := os.RemoveAll(filepath.Join(filepath.Dir(path), "media")); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSourceYAMLReadsBack(t *testing.T) {
	e := BundleEntry{GitBundle: "repo.bundle", Tag: "1.10", Bases: []string{"a: b.bundle"}, CaseSensitive: true}
	lines, err := SourceYAML(e)
	if err != nil {
		t.Fatal(err)
	}
	start, end := strings.Index(good, "sources:"), strings.Index(good, "artifacts:")
	f, err := Parse("release.yaml", []byte(good[:start]+lines+good[end:]))
	if err != nil {
		t.Fatalf("%v\n%s", err, lines)
	}
	if s := f.doc.Sources[0]; s.GitBundle != e.GitBundle || s.Tag != e.Tag || s.Bases[0].path != e.Bases[0] || !s.CaseSensitive {
		t.Errorf("%+v", s)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte(strings.Replace(good, "tag: v1.2.3", "tag: v1.2.3\n    bases: [&b x, *b, {digest: sha256:12, size: 1}]\n    lfs: [*b]\n    case-sensitive: true", 1)))
	f.Add([]byte(strings.Replace(good, "into: .", "lfs: {a: b}", 1)))
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte("product: {? [a] : b}"))
	f.Add([]byte("recipe: {env: {<<: {a: b}}}"))
	f.Add([]byte("- 1\n---\n- 2"))
	f.Add([]byte("sources: [{12: x}]\nversion: 0x10"))
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := Parse("release.yaml", b)
		if (file == nil) == (err == nil) && err == nil {
			t.Fatal("neither a file nor an error")
		}
		var ps problem.Problems
		if err != nil && !errors.As(err, &ps) {
			t.Errorf("an error that names no place: %v", err)
		}
		for _, p := range ps {
			if p.Message == "" || p.Line > len(b)+1 {
				t.Errorf("a problem that cannot be: %+v", p)
			}
		}
		if err == nil {
			if _, err := file.Release(); err != nil {
				t.Errorf("taken with a release that has no name: %v", err)
			}
		}
	})
}
