package intake

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// repo is a repository in a temporary folder, kept by stock git.
type repo struct {
	t   testing.TB
	dir string
}

func newRepo(t testing.TB, initArgs ...string) *repo {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("needs git")
	}
	r := &repo{t: t, dir: t.TempDir()}
	r.git(append([]string{"init", "-q"}, initArgs...)...)
	return r
}

func (r *repo) git(args ...string) string {
	r.t.Helper()
	out, err := r.run("", args...)
	if err != nil {
		r.t.Fatal(err)
	}
	return out
}

func (r *repo) run(input string, args ...string) (string, error) {
	cmd := exec.Command("git", args...)
	cmd.Dir = r.dir
	cmd.Stdin = strings.NewReader(input)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "HOME="+r.dir,
		"GIT_AUTHOR_NAME=builder", "GIT_AUTHOR_EMAIL=builder@example.invalid", "GIT_AUTHOR_DATE="+packTime.Format(time.RFC3339),
		"GIT_COMMITTER_NAME=builder", "GIT_COMMITTER_EMAIL=builder@example.invalid", "GIT_COMMITTER_DATE="+packTime.Format(time.RFC3339))
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		err = errors.Join(err, errors.New(errs.String()))
	}
	return strings.TrimSpace(string(out)), err
}

// commitTree commits a tree that is given in the form of git mktree and returns the commit.
func (r *repo) commitTree(mktree string) string {
	r.t.Helper()
	tree, err := r.run(mktree, "mktree", "--missing")
	if err != nil {
		r.t.Fatal(err)
	}
	return r.git("commit-tree", "-m", "made by hand", tree)
}

func (r *repo) blob(content string) string {
	r.t.Helper()
	id, err := r.run(content, "hash-object", "-w", "--stdin")
	if err != nil {
		r.t.Fatal(err)
	}
	return id
}

func (r *repo) bundle(args ...string) []byte {
	r.t.Helper()
	path := filepath.Join(r.t.TempDir(), "bundle")
	r.git(append([]string{"bundle", "create", "-q", "--version=3", path}, args...)...)
	b, err := os.ReadFile(path)
	if err != nil {
		r.t.Fatal(err)
	}
	return b
}

// writeTree writes files below dir with plain system calls.
func writeTree(t testing.TB, dir string, files []file) {
	t.Helper()
	for _, f := range files {
		p := filepath.Join(dir, f.name)
		var err error
		switch f.mode {
		case Folder:
			err = os.MkdirAll(p, 0o755)
		case Symlink:
			err = os.Symlink(f.body, p)
		case Executable:
			err = os.WriteFile(p, []byte(f.body), 0o755)
		default:
			err = os.WriteFile(p, []byte(f.body), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
