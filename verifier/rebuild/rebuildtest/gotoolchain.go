package rebuildtest

import (
	"archive/tar"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// GoToolchain is the module of a published Go distribution, which the go command downloads and checks.
const GoToolchain = "golang.org/toolchain@v0.0.1-go1.26.5.linux-amd64"

// GoRecipe is the command that rebuilds programs of that distribution to the published bytes.
func GoRecipe(out string, programs ...string) []string {
	return append([]string{"/usr/local/go/bin/go", "build", "-trimpath", "-ldflags=-w", "-gcflags=cmd/...=-dwarf=false", "-o", out}, programs...)
}

// GoVariables are the variables of that command.
func GoVariables() map[string]string {
	return map[string]string{"CGO_ENABLED": "0", "GOFLAGS": "", "GOTOOLCHAIN": "local"}
}

// GoToolchainFolder returns the folder of the module and skips the test where it cannot be had.
func GoToolchainFolder(t testing.TB) string {
	t.Helper()
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		t.Skip("the distribution is for linux/amd64")
	}
	out, err := exec.Command("go", "env", "GOMODCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(strings.TrimSpace(string(out)), filepath.FromSlash(GoToolchain))
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("the Go distribution is not in the module cache: go mod download %s", GoToolchain)
	}
	return dir
}

// GoEnvironment puts an image of the toolchain without its sources: those are looked for where a release's source
// is unpacked.
func GoEnvironment(t testing.TB, toolchain string) (entries []Entry) {
	t.Helper()
	add := func(from, to string) {
		b, err := os.ReadFile(filepath.Join(toolchain, from))
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, File(to, 0o755, b))
	}
	const root = "usr/local/go"
	add("bin/go", root+"/bin/go")
	tools, err := os.ReadDir(filepath.Join(toolchain, "pkg/tool/linux_amd64"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tool := range tools {
		name := path.Join("pkg/tool/linux_amd64", tool.Name())
		add(name, path.Join(root, name))
	}
	for _, p := range []string{"src", "lib", "pkg/include", "VERSION", "go.env"} {
		entries = append(entries, Link(path.Join(root, p), path.Join("/build/source", p)))
	}
	return entries
}

// GoSource writes the distribution's sources below dir: all but its programs, module files under their own names.
func GoSource(t testing.TB, toolchain, dir string) {
	t.Helper()
	err := filepath.WalkDir(toolchain, func(from string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(toolchain, from)
		if err != nil {
			return err
		}
		to := filepath.Join(dir, rel)
		switch {
		case rel == "bin" || rel == filepath.Join("pkg", "tool"):
			return fs.SkipDir
		case d.IsDir():
			return os.MkdirAll(to, 0o755)
		case d.Name() == "_go.mod":
			to = filepath.Join(filepath.Dir(to), "go.mod")
		}
		b, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		return os.WriteFile(to, b, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// WriteEntries writes the files and links of a layer below dir, for a peer that runs without a sandbox.
func WriteEntries(t testing.TB, dir string, entries []Entry, link func(target string) string) {
	t.Helper()
	for _, e := range entries {
		to := filepath.Join(dir, e.Name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if e.Typeflag == tar.TypeSymlink {
			err = os.Symlink(link(e.Linkname), to)
		} else {
			err = os.WriteFile(to, e.Content, fs.FileMode(e.Mode))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
