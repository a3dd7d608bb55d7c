package checksums

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Names that lists have to escape, or that look like a part of their form.
var odd = []string{"plain", "two words", " blanks ", "*star", `back\slash`, "new\nline", "return\r", "#hash", "SHA256 (x) = y", "ü", "-dash", "x) = 00"}

func run(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skip("needs " + name)
	}
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "LC_ALL=C")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %q: %v", name, args, err)
	}
	return string(out)
}

// What the stock tools write of files with odd names is read as they mean it, and they agree that these are the files.
func TestStockTools(t *testing.T) {
	dir := t.TempDir()
	for _, name := range odd {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("content of "+name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	args := func(options ...string) []string { return append(append(options, "--"), odd...) }
	for name, list := range map[string]string{
		"sha256sum":          run(t, dir, "sha256sum", args()...),
		"sha256sum --binary": run(t, dir, "sha256sum", args("--binary")...),
		"sha256sum --tag":    run(t, dir, "sha256sum", args("--tag")...),
		"sha512sum":          run(t, dir, "sha512sum", args()...),
		"sha512sum --tag":    run(t, dir, "sha512sum", args("--tag")...),
	} {
		l, err := Parse([]byte(list))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var names []string
		for _, e := range l.Entries {
			names = append(names, e.Name)
		}
		if !slices.Equal(names, odd) {
			t.Errorf("%s: read as %q", name, names)
		}
		if err := os.WriteFile(filepath.Join(dir, "LIST"), []byte(list), 0o600); err != nil {
			t.Fatal(err)
		}
		if out := run(t, dir, strings.Fields(name)[0], "--check", "--strict", "LIST"); strings.Count(out, ": OK") != len(odd) {
			t.Errorf("%s: the tool itself says %q", name, out)
		}
	}
}

func TestStockOpenSSL(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a (b)"), []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, algorithm := range []string{"-sha256", "-sha512"} {
		l, err := Parse([]byte(run(t, dir, "openssl", "dgst", algorithm, "a (b)")))
		if err != nil || len(l.Entries) != 1 || l.Entries[0].Name != "a (b)" {
			t.Errorf("%+v, %v", l, err)
		}
	}
}
