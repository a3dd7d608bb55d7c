package gitpack

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

var stockLimits = Limits{MaxObjects: 100_000, MaxObjectBytes: 256 << 20, MaxInflated: 1 << 30}

// repo is a repository in a temporary folder, kept by stock git.
type repo struct {
	t   testing.TB
	dir string
}

func newRepo(t testing.TB) *repo {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("needs git")
	}
	r := &repo{t: t, dir: t.TempDir()}
	r.git("", "init", "-q")
	return r
}

func (r *repo) git(input string, args ...string) string {
	r.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = r.dir
	cmd.Stdin = strings.NewReader(input)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "HOME="+r.dir,
		"GIT_AUTHOR_NAME=builder", "GIT_AUTHOR_EMAIL=builder@example.invalid", "GIT_COMMITTER_NAME=builder", "GIT_COMMITTER_EMAIL=builder@example.invalid")
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		r.t.Fatalf("git %v: %v: %s", args, err, errs.String())
	}
	return string(out)
}

// history commits changes to files of many sizes, the largest larger than what is held in memory.
func (r *repo) history(commits int) {
	r.t.Helper()
	random := rand.New(rand.NewPCG(5, 6))
	large := make([]byte, largeObject+largeObject/2)
	for i := range large {
		large[i] = byte(random.Uint32())
	}
	r.write("large", large)
	for i := range 60 {
		r.write(fmt.Sprintf("folder%d/sub/file%d", i%7, i), []byte(strings.Repeat(fmt.Sprintln("line", random.Uint64()), 1+i*i)))
	}
	r.write("empty", nil)
	for i := range commits {
		r.write(fmt.Sprintf("folder%d/sub/file%d", i%7, i%60), []byte(strings.Repeat(fmt.Sprintln("line", random.Uint64()), 1+i)))
		r.write("growing", []byte(strings.Repeat(fmt.Sprintln("line", i/10), 1000+i)))
		if i%30 == 29 {
			large[random.IntN(len(large))] ^= 1
			r.write("large", large)
		}
		r.git("", "add", "-A")
		r.git("", "commit", "-q", "-m", fmt.Sprint("change ", i))
	}
	r.git("", "tag", "-a", "-m", "release", "v1")
}

func (r *repo) write(name string, b []byte) {
	r.t.Helper()
	path := filepath.Join(r.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		r.t.Fatal(err)
	}
}

// pack packs objects that are listed as git pack-objects wants them, and returns the file.
func (r *repo) pack(list string, args ...string) []byte {
	r.t.Helper()
	return []byte(r.git(list, append([]string{"-c", "core.bigFileThreshold=1g", "pack-objects", "-q", "--stdout"}, args...)...))
}

func open(t testing.TB, b []byte, bases ...*Pack) *Pack {
	t.Helper()
	p, err := Open(context.Background(), bytes.NewReader(b), int64(len(b)), bases, t.TempDir(), stockLimits)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// compare compares all objects with what stock git says of them.
func (r *repo) compare(p *Pack, ids string) int {
	r.t.Helper()
	out := bufio.NewReader(strings.NewReader(r.git(ids, "cat-file", "--batch")))
	n := 0
	for ; ; n++ {
		var hexID, kind string
		var size int64
		if _, err := fmt.Fscanf(out, "%s %s %d\n", &hexID, &kind, &size); err != nil {
			return n
		}
		want := make([]byte, size+1) // a newline follows
		if _, err := io.ReadFull(out, want); err != nil {
			r.t.Fatal(err)
		}
		id, _ := ParseID(hexID)
		o, err := p.Object(context.Background(), id)
		if err != nil {
			r.t.Fatalf("%s %s: %v", kind, hexID, err)
		}
		got, err := io.ReadAll(o.Content)
		if err != nil || string(o.Kind) != kind || o.Size != size || !bytes.Equal(got, want[:size]) {
			r.t.Fatalf("%s %s of %d bytes: %s, %d bytes, %v", kind, hexID, size, o.Kind, o.Size, err)
		}
	}
}

const everything = "cat-file --batch-all-objects --unordered --batch-check=%(objectname)"

func TestAgreesWithStockGit(t *testing.T) {
	r := newRepo(t)
	r.history(40)
	all := r.git("", strings.Fields(everything)...)
	for name, args := range map[string][]string{
		"bases by offset": {"--delta-base-offset"},
		"bases by id":     {},
		"long chains":     {"--delta-base-offset", "--depth=4000", "--window=60", "--no-reuse-delta"},
		"by id, long":     {"--depth=4000", "--window=60", "--no-reuse-delta"},
		"no deltas":       {"--window=0", "--no-reuse-delta"},
		"stored":          {"--compression=0", "--delta-base-offset", "--no-reuse-object"},
	} {
		t.Run(name, func(t *testing.T) {
			p := open(t, r.pack(all, args...))
			if n := r.compare(p, all); n != strings.Count(all, "\n") || n != p.x.count() {
				t.Errorf("%d of %d objects", n, strings.Count(all, "\n"))
			}
		})
	}
}

// A release that leaves out what an earlier one has, and one that leaves out what that has: thin packs, whose bases are elsewhere.
func TestThinPacks(t *testing.T) {
	r := newRepo(t)
	r.history(20)
	var packs []*Pack
	var files [][]byte
	from := ""
	for i, tag := range []string{"first", "second", "third"} {
		if i > 0 {
			r.write("growing", []byte(strings.Repeat(fmt.Sprintln("line", i), 900)))
			r.write("folder1/sub/file1", []byte(tag))
			r.git("", "commit", "-a", "-q", "-m", tag)
		}
		r.git("", "tag", tag)
		b := r.pack(tag+"\n"+from, "--revs", "--thin", "--delta-base-offset")
		packs = append(packs, open(t, b, packs...))
		files = append(files, b)
		from += "^" + tag + "\n"
		ids := r.git("", "rev-list", "--objects", "--no-object-names", tag)
		if n := r.compare(packs[i], ids); n != strings.Count(ids, "\n") {
			t.Errorf("%s: %d of %d objects", tag, n, strings.Count(ids, "\n"))
		}
	}
	_, err := openBytes(files[1], t.TempDir())
	var domain *fault.Error
	if !errors.As(err, &domain) || domain.Reason != ReasonIncomplete || !strings.Contains(domain.Field, "byte") {
		t.Errorf("without the base: %v", err)
	}
}
