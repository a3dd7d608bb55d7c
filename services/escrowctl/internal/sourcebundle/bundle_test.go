package sourcebundle

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
)

// project is a repository with two tagged commits, of which the second changes one file of two, and a folder for bundles.
type project struct {
	t    *testing.T
	repo string
	out  string
}

func newProject(t *testing.T) *project {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("needs git")
	}
	p := &project{t: t, repo: t.TempDir(), out: t.TempDir()}
	p.git("init", "-q")
	noise := make([]byte, 0, 64<<10)
	for len(noise) < cap(noise) {
		d := digest.Of(noise)
		noise = append(noise, d.Bytes()...)
	}
	p.commit("v1.0", map[string]string{"large": string(noise), "text": "one\n"})
	p.commit("v1.1", map[string]string{"text": "two\n"})
	return p
}

func (p *project) git(args ...string) string {
	p.t.Helper()
	cmd := exec.Command("git", append([]string{"-C", p.repo}, args...)...)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_AUTHOR_NAME=builder", "GIT_AUTHOR_EMAIL=builder@example.invalid",
		"GIT_COMMITTER_NAME=builder", "GIT_COMMITTER_EMAIL=builder@example.invalid")
	out, err := cmd.CombinedOutput()
	if err != nil {
		p.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (p *project) commit(tag string, files map[string]string) {
	p.t.Helper()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(p.repo, name), []byte(content), 0o644); err != nil {
			p.t.Fatal(err)
		}
	}
	p.git("add", "-A")
	p.git("commit", "-q", "-m", tag)
	p.git("tag", "-a", "-m", tag, tag)
}

func (p *project) bundle(tag string, bases ...string) (*Bundle, error) {
	return Make(p.t.Context(), Request{Repository: p.repo, Tag: tag, Bases: bases, Out: filepath.Join(p.out, tag+".bundle")})
}

func TestABundleLeavesOutWhatItsBasesHold(t *testing.T) {
	p := newProject(t)
	first, err := p.bundle("v1.0")
	if err != nil {
		t.Fatal(err)
	}
	second, err := Make(t.Context(), Request{Repository: p.repo, Tag: "refs/tags/v1.1", Bases: []string{first.File}, Out: filepath.Join(p.out, "v1.1.bundle")})
	if err != nil {
		t.Fatal(err)
	}
	if first.Size < 64<<10 || second.Size > first.Size/50 || second.Commit != p.git("rev-parse", "v1.1^{commit}") || second.Tag != "v1.1" {
		t.Errorf("the first %+v, the second %+v", first, second)
	}
	if b, err := os.ReadFile(second.File); err != nil || digest.Of(b) != second.Digest || int64(len(b)) != second.Size {
		t.Errorf("%+v: %v", second, err)
	}
	p.commit("v1.2", map[string]string{"text": "three\n"})
	if third, err := p.bundle("v1.2", first.File, second.File); err != nil || third.Size > first.Size/50 {
		t.Errorf("on both: %+v, %v", third, err)
	}
}

func TestTheSameBytesEachTime(t *testing.T) {
	p := newProject(t)
	first, err := p.bundle("v1.1")
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(first.File)
	if err != nil {
		t.Fatal(err)
	}
	p.git("config", "pack.window", "0") // what a user has set
	p.git("config", "pack.compression", "0")
	if _, err := p.bundle("v1.1"); err != nil {
		t.Fatal(err)
	}
	if again, err := os.ReadFile(first.File); err != nil || !bytes.Equal(again, b) {
		t.Errorf("other bytes the second time, %v", err)
	}
}

func TestMistakes(t *testing.T) {
	p := newProject(t)
	first, err := p.bundle("v1.0")
	if err != nil {
		t.Fatal(err)
	}
	second, err := p.bundle("v1.1", first.File)
	if err != nil {
		t.Fatal(err)
	}
	p.commit("v1.2", map[string]string{"text": "three\n"})
	p.git("tag", "again", "v1.1^{commit}")
	other := newProject(t)
	other.commit("x", map[string]string{"x": "x"})
	stranger, err := other.bundle("x")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		tag   string
		bases []string
		kind  fault.Kind
		holds string
	}{
		"no such tag":         {"v9", nil, fault.Invalid, `no tag "v9"`},
		"an option":           {"--all", nil, fault.Invalid, `no tag "--all"`},
		"a base is missing":   {"v1.2", []string{second.File}, fault.Precondition, "base 1: bundle header"},
		"a base of others":    {"v1.2", []string{stranger.File}, fault.Precondition, "does not have its refs/tags/x"},
		"a base is no file":   {"v1.2", []string{"nowhere"}, fault.Internal, "nowhere"},
		"a base is no bundle": {"v1.2", []string{filepath.Join(p.repo, "text")}, fault.Invalid, "no git bundle"},
		"nothing new":         {"again", []string{first.File, second.File}, fault.Precondition, "hold all of the tag"},
	} {
		_, err := p.bundle(c.tag, c.bases...)
		if err == nil || fault.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.holds) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if left, err := filepath.Glob(filepath.Join(p.out, ".bundle-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if _, err := Make(t.Context(), Request{Repository: t.TempDir(), Tag: "v1", Out: filepath.Join(p.out, "x")}); err == nil || errors.Is(err, os.ErrNotExist) {
		t.Errorf("no repository: %v", err)
	}
}

func TestWhatGoesWithIt(t *testing.T) {
	p := newProject(t)
	pointer := "version https://git-lfs.github.com/spec/v1\noid " + digest.Of([]byte("x")).String() + "\nsize 1\n"
	commit := p.git("rev-parse", "v1.0^{commit}")
	p.git("update-index", "--add", "--cacheinfo", "160000,"+commit+",lib/sub")
	if err := os.WriteFile(filepath.Join(p.repo, "Text"), []byte("other"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(p.repo, "pointer"), []byte(pointer), 0o644); err != nil {
		t.Fatal(err)
	}
	p.git("add", "Text", "pointer")
	p.git("commit", "-q", "-m", "more")
	p.git("tag", "v2")
	b, err := p.bundle("v2")
	if err != nil {
		t.Fatal(err)
	}
	if len(b.LFS) != 1 || b.LFS[0].Digest != digest.Of([]byte("x")) || len(b.Submodules) != 1 || b.Submodules[0].Path != "lib/sub" || b.Submodules[0].Commit != commit || !b.CaseSensitive {
		t.Errorf("%+v", b)
	}
	folder, err := LFSObjects(t.Context(), p.repo)
	if want := filepath.Join(p.repo, ".git/lfs/objects"); err != nil || folder != want {
		t.Errorf("%s, %v; want %s", folder, err, want)
	}
}
