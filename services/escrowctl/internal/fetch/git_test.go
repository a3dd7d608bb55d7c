package fetch

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/manifest"
)

// history makes a repository with two tagged versions, and two bundles of it: the first version, and what the second adds.
const history = `set -eu
git init -q repo && cd repo
echo one >file && git add . && git commit -q -m one && git tag v1
echo two >file && git commit -q -a -m two && git tag -a -m second v2
git replace "$(git rev-parse v2:file)" "$(git rev-parse v1:file)"
git bundle create -q ../first.bundle v1
git bundle create -q ../second.bundle v1..v2 v2 refs/replace/"$(git rev-parse v2:file)"
`

func shell(t *testing.T, dir, script string) string {
	t.Helper()
	cmd := exec.Command("sh", "-c", script)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "GIT_CONFIG_NOSYSTEM=1", "GIT_AUTHOR_NAME=Ann", "GIT_AUTHOR_EMAIL=ann@example.org",
		"GIT_COMMITTER_NAME=Ann", "GIT_COMMITTER_EMAIL=ann@example.org"}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return strings.TrimSpace(string(out))
}

// place lays files of the deposit into the folder, as Fetch does.
func place(t *testing.T, g *Git, files map[string]string) {
	t.Helper()
	for p, content := range files {
		if err := Save(g.folder, p, []byte(content)); err != nil {
			t.Fatal(err)
		}
	}
}

func gitIn(t *testing.T) (*Git, string, func(string) string) {
	t.Helper()
	f, dir := fetcher(t, nil)
	g, err := NewGit(f.Folder)
	if err != nil {
		t.Skip(err)
	}
	work := t.TempDir()
	shell(t, work, history)
	return g, dir, func(name string) string {
		b, err := os.ReadFile(filepath.Join(work, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
}

// A bundle that leaves out what an earlier one has becomes a whole repository, and what would change the meaning of its
// objects is left out.
func TestARepositoryOfSeveralBundles(t *testing.T) {
	g, dir, read := gitIn(t)
	first, second := read("first.bundle"), read("second.bundle")
	s := manifest.Source{Kind: manifest.GitBundle, Name: "x.bundle", Tag: "v2", Bases: []manifest.File{{Digest: of(first)}}, LFS: []manifest.File{{Digest: of("large")}}}
	place(t, g, map[string]string{"sources/x.bundle": second, BasePath(of(first)): first, LFSPath(of("large")): "large"})
	where, made, err := g.Repository(t.Context(), s, "sources/x.bundle")
	if err != nil || !made || where != "git/x" {
		t.Fatalf("%s, %t, %v", where, made, err)
	}
	want(t, dir, "git/x/file", []byte("two\n"))
	want(t, dir, "git/x/.git/lfs/objects/"+of("large").Hex()[:2]+"/"+of("large").Hex()[2:4]+"/"+of("large").Hex(), []byte("large"))
	if refs := shell(t, filepath.Join(dir, where), "git for-each-ref --format='%(refname)'"); refs != "refs/bases/1/tags/v1\nrefs/tags/v2" {
		t.Errorf("references: %s", refs)
	}
	if _, made, err = g.Repository(t.Context(), s, "sources/x.bundle"); made || err != nil {
		t.Errorf("again: %t, %v", made, err)
	}
}

func TestBundlesThatGitRefuses(t *testing.T) {
	g, dir, read := gitIn(t)
	second := read("second.bundle")
	place(t, g, map[string]string{"sources/thin.bundle": second, "sources/damaged.bundle": second[:len(second)-30], "sources/no.bundle": "nonsense"})
	for _, name := range []string{"thin", "damaged", "no"} {
		_, _, err := g.Repository(t.Context(), manifest.Source{Tag: "v2"}, "sources/"+name+".bundle")
		var f *fault.Error
		if !errors.As(err, &f) || f.Reason != "GIT_REFUSED" || !strings.Contains(err.Error(), "sources/"+name+".bundle") {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(filepath.Join(dir, "git", name)); err == nil {
			t.Errorf("%s: half a repository is left under its name", name)
		}
	}
}
