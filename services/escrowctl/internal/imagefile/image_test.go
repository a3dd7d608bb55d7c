package imagefile

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/escrow/digest"
)

func write(t testing.TB, name, content string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}

func folder(t testing.TB) string {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "bin/tool"), "tool", 0o755)
	write(t, filepath.Join(dir, "lib/helper"), "helper", 0o600)
	write(t, filepath.Join(dir, "lib/deep/"+strings.Repeat("x", 120)), "long", 0o640)
	if err := os.Symlink("../bin/tool", filepath.Join(dir, "lib/link")); err != nil {
		t.Fatal(err)
	}
	return dir
}

func build(t testing.TB, r Recipe) (string, digest.Digest) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "env.oci.tar")
	d, err := Build(t.Context(), out, r)
	if err != nil {
		t.Fatal(err)
	}
	return out, d
}

func TestBuildIsReproducible(t *testing.T) {
	recipe := func() Recipe {
		dir := folder(t)
		if err := os.Chtimes(filepath.Join(dir, "bin/tool"), time.Now(), time.Now().Add(-time.Hour)); err != nil {
			t.Fatal(err)
		}
		return Recipe{Folders: []Folder{{dir, "/opt/kit"}, {filepath.Join(dir, "bin"), "/bin"}}, Platform: "linux/amd64", Executable: []string{"/opt/**/helper"}}
	}
	a, first := build(t, recipe())
	b, second := build(t, recipe())
	x, _ := os.ReadFile(a)
	y, _ := os.ReadFile(b)
	if first != second || len(x) == 0 || !bytes.Equal(x, y) {
		t.Errorf("two builds of the same folders: %s and %s, %d and %d bytes", first, second, len(x), len(y))
	}
}

func TestBuildReadsBack(t *testing.T) {
	out, want := build(t, Recipe{Folders: []Folder{{folder(t), "/opt/kit"}}, Platform: "linux/arm64/v8", Executable: []string{"/opt/**/helper"}})
	image, err := Open(out, "linux/arm64/v8")
	if err != nil {
		t.Fatal(err)
	}
	defer image.Close()
	if image.Digest != want || image.Platform != "linux/arm64/v8" || len(image.Blobs) != 3 {
		t.Errorf("got %s, %s, %d blobs", image.Digest, image.Platform, len(image.Blobs))
	}
	checkBlobs(t, image)
	modes := layerModes(t, image.Blobs[2])
	for name, mode := range map[string]int64{"opt/": 0o755, "opt/kit/bin/tool": 0o755, "opt/kit/lib/helper": 0o755, "opt/kit/lib/link": 0o777,
		"opt/kit/lib/deep/" + strings.Repeat("x", 120): 0o644} {
		if modes[name] != mode {
			t.Errorf("%s has mode %o, want %o", name, modes[name], mode)
		}
	}
}

// checkBlobs reads every blob and holds it against its digest.
func checkBlobs(t *testing.T, image *Image) {
	t.Helper()
	for _, b := range image.Blobs {
		content, err := b.Open()
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := digest.FromReader(io.NewSectionReader(content, 0, b.Size))
		if err != nil || got != b.Digest {
			t.Errorf("%s holds %s (%v), want %s", b.Kind, got, err, b.Digest)
		}
		content.Close()
	}
}

func layerModes(t *testing.T, layer Blob) map[string]int64 {
	t.Helper()
	content, err := layer.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	modes := make(map[string]int64)
	for r := tar.NewReader(io.NewSectionReader(content, 0, layer.Size)); ; {
		h, err := r.Next()
		if err == io.EOF {
			return modes
		} else if err != nil {
			t.Fatal(err)
		}
		if h.Uid != 0 || h.Gid != 0 || !h.ModTime.Equal(time.Unix(0, 0)) {
			t.Errorf("%s: owner %d:%d, time %s", h.Name, h.Uid, h.Gid, h.ModTime)
		}
		modes[h.Name] = h.Mode
	}
}

// unpack writes the files of a tar into a folder: an OCI archive becomes an OCI layout folder.
func unpack(t testing.TB, archive string) string {
	t.Helper()
	dir := t.TempDir()
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if err == io.EOF {
			return dir
		} else if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, h.Name), string(b), 0o644)
	}
}

func TestOpenLayoutFolder(t *testing.T) {
	out, want := build(t, Recipe{Folders: []Folder{{folder(t), "/"}}, Platform: "linux/amd64"})
	dir := unpack(t, out)
	image, err := Open(dir, "linux/amd64")
	if err != nil {
		t.Fatal(err)
	}
	if image.Digest != want {
		t.Errorf("got %s, want %s", image.Digest, want)
	}
	checkBlobs(t, image)

	layer := filepath.Join(dir, blobName(image.Blobs[2].Digest))
	if err := os.Truncate(layer, 10); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, "linux/amd64"); err == nil || !strings.Contains(err.Error(), "has 10 bytes") {
		t.Errorf("a layer cut short: %v", err)
	}
}

func TestOpenChoosesPlatform(t *testing.T) {
	one, arm := build(t, Recipe{Folders: []Folder{{folder(t), "/"}}, Platform: "linux/arm64"})
	two, amd := build(t, Recipe{Folders: []Folder{{folder(t), "/"}}, Platform: "linux/amd64"})
	dir, other := unpack(t, one), unpack(t, two)
	if err := os.CopyFS(filepath.Join(dir, "more"), os.DirFS(filepath.Join(other, "blobs"))); err != nil {
		t.Fatal(err)
	}
	entries, _ := filepath.Glob(filepath.Join(dir, "more/sha256/*"))
	for _, e := range entries {
		if err := os.Rename(e, filepath.Join(dir, "blobs/sha256", filepath.Base(e))); err != nil {
			t.Fatal(err)
		}
	}
	var both indexDocument
	for _, d := range []string{dir, other} {
		var index indexDocument
		b, _ := os.ReadFile(filepath.Join(d, "index.json"))
		if err := json.Unmarshal(b, &index); err != nil {
			t.Fatal(err)
		}
		both.Manifests = append(both.Manifests, index.Manifests...)
	}
	b, _ := json.Marshal(both)
	write(t, filepath.Join(dir, "index.json"), string(b), 0o644)
	for platform, want := range map[string]digest.Digest{"linux/arm64": arm, "linux/amd64": amd} {
		if image, err := Open(dir, platform); err != nil || image.Digest != want {
			t.Errorf("%s: %v, %v", platform, image, err)
		}
	}
	if _, err := Open(dir, "linux/riscv64"); err == nil || !strings.Contains(err.Error(), "linux/arm64") {
		t.Errorf("a platform that is not there: %v", err)
	}
}

// dockerArchive writes what docker save wrote before it wrote OCI layouts too.
func dockerArchive(t testing.TB, manifest string, link bool) string {
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	add := func(h tar.Header, content string) {
		h.Size, h.Mode = int64(len(content)), 0o644
		if err := tw.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := tw.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	add(tar.Header{Name: "aaa/layer.tar"}, "a layer")
	if link {
		add(tar.Header{Name: "bbb/layer.tar", Typeflag: tar.TypeSymlink, Linkname: "../aaa/layer.tar"}, "")
	} else {
		add(tar.Header{Name: "bbb/layer.tar"}, "\x1f\x8b packed")
	}
	add(tar.Header{Name: "config.json"}, `{"os":"linux","architecture":"amd64"}`)
	add(tar.Header{Name: "manifest.json"}, manifest)
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "image.tar")
	write(t, name, buf.String(), 0o644)
	return name
}

const dockerManifest = `[{"Config":"config.json","RepoTags":["a:b"],"Layers":["aaa/layer.tar","bbb/layer.tar"]}]`

func TestOpenDockerArchive(t *testing.T) {
	for _, link := range []bool{true, false} {
		image, err := Open(dockerArchive(t, dockerManifest, link), "linux/amd64")
		if err != nil {
			t.Fatal(err)
		}
		if image.Platform != "linux/amd64" || len(image.Blobs) != 4 || image.Blobs[0].Digest != image.Digest {
			t.Errorf("got %+v", image)
		}
		if same := image.Blobs[2].Digest == image.Blobs[3].Digest; same != link {
			t.Errorf("link %t: the layers' digests are equal: %t", link, same)
		}
		checkBlobs(t, image)
		again, err := Open(dockerArchive(t, dockerManifest, link), "linux/amd64")
		if err != nil || again.Digest != image.Digest {
			t.Errorf("opened again: %v, %v", again, err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "text"), "not an image", 0o644)
	write(t, filepath.Join(dir, "packed"), "\x1f\x8b…", 0o644)
	write(t, filepath.Join(dir, "empty/x"), "", 0o644)
	write(t, filepath.Join(dir, "outside/manifest.json"), `[{"Config":"../text","Layers":["../text"]}]`, 0o644)
	for name, want := range map[string]string{
		filepath.Join(dir, "text"):    "neither",
		filepath.Join(dir, "packed"):  "gunzip",
		filepath.Join(dir, "empty"):   "neither",
		filepath.Join(dir, "none"):    "no such file",
		filepath.Join(dir, "outside"): "outside",
		dockerArchive(t, `[{"Config":"config.json","Layers":["ccc"]}]`, true): "has no ccc",
		dockerArchive(t, `[{},{}]`, true):                                     "holds 2 images",
	} {
		if _, err := Open(name, "linux/amd64"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", filepath.Base(name), err, want)
		}
	}
}

func TestGlobs(t *testing.T) {
	g, err := compileGlobs([]string{"/usr/local/go/bin/*", "/opt/**/tool?", "**.sh"})
	if err != nil {
		t.Fatal(err)
	}
	for p, want := range map[string]bool{
		"/usr/local/go/bin/go": true, "/usr/local/go/bin/a/b": false, "/opt/tool1": true, "/opt/a/b/tool2": true, "/opt/a/tool": false,
		"/x/y.sh": true, "/usr/local/go/bin": false, "/x/ysh": false,
	} {
		if g.match(p) != want {
			t.Errorf("%s matches: %t", p, !want)
		}
	}
	if _, err := compileGlobs([]string{"bin/*"}); err == nil {
		t.Error("a relative pattern was taken")
	}
}

func FuzzOpen(f *testing.F) {
	out, _ := build(f, Recipe{Folders: []Folder{{folder(f), "/"}}, Platform: "linux/amd64"})
	b, err := os.ReadFile(out)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	b, err = os.ReadFile(dockerArchive(f, dockerManifest, true))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	name := filepath.Join(f.TempDir(), "image.tar")
	f.Fuzz(func(t *testing.T, b []byte) {
		write(t, name, string(b), 0o644)
		image, err := Open(name, "linux/amd64")
		if err == nil && (image.Digest.IsZero() || len(image.Blobs) < 3) {
			t.Errorf("opened as %+v", image)
		}
	})
}
