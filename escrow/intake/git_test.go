package intake

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/intake/gitbundle"
)

// What git 2.39.5 says of the bundles in testdata, which hold oddTree as the second commit.
const (
	stockTag    = "ed53b755b93b11828f78c86aac94dc077eaec1a2"
	stockCommit = "cea4b477856cb9599431e28ee35243998cb78329"
)

func TestStockBundles(t *testing.T) {
	annotated := []string{"swh:1:dir:" + oddSHA1, "swh:1:rev:" + stockCommit, "swh:1:rel:" + stockTag}
	for _, c := range []struct {
		bundle, tag string
		swhids      []string
	}{
		{"v2.bundle", "v1.0", annotated},
		{"v2.bundle", "refs/tags/v1.0", annotated},
		{"v3.bundle", "v1.0", annotated},
		{"v2.bundle", "light", annotated[:2]},
	} {
		t.Run(c.bundle+"/"+c.tag, func(t *testing.T) {
			scratch := t.TempDir()
			tree := openBundleFile(t, filepath.Join("testdata", c.bundle), c.tag, scratch)
			id, err := Identify(context.Background(), tree)
			if err != nil {
				t.Fatal(err)
			}
			if id.Tree != TreePrefix+oddSHA256 || !slices.Equal(id.SWHIDs, c.swhids) || !id.Time.Equal(packTime) || id.Files != 16 {
				t.Errorf("%+v", id)
			}
			checkContents(t, tree.Provenance())
			dir := t.TempDir()
			if err := Unpack(context.Background(), tree, dir); err != nil {
				t.Fatal(err)
			}
			for _, f := range oddTree {
				checkUnpacked(t, dir, f)
			}
			if err := tree.Close(); err != nil {
				t.Error(err)
			}
			if left, err := os.ReadDir(scratch); err != nil || len(left) > 0 {
				t.Errorf("left in the scratch folder: %v, %v", left, err)
			}
		})
	}
}

func openBundleFile(t testing.TB, path, tag, scratch string) Tree {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := openBundle(b, tag, scratch, DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// openBundle opens a bundle whose names may differ in case alone, as those of oddTree do.
func openBundle(b []byte, tag, scratch string, lim Limits) (Tree, error) {
	g := &gitOpener{ctx: context.Background(), scratch: scratch, lim: lim, options: options{caseSensitive: true}}
	return g.open(&source{r: bytes.NewReader(b), size: int64(len(b))}, nil, tag)
}

func identifyBundle(t testing.TB, b []byte, tag string, lim Limits) (Identity, error) {
	t.Helper()
	tree, err := openBundle(b, tag, t.TempDir(), lim)
	if err != nil {
		return Identity{}, err
	}
	id, err := Identify(context.Background(), tree)
	return id, errors.Join(err, tree.Close())
}

// Stock git gives the same ids in both object formats, by itself and for a tree that we unpacked.
func TestIdentityAgreesWithStockGit(t *testing.T) {
	for _, format := range []string{"sha1", "sha256"} {
		r := newRepo(t, "--object-format="+format)
		if err := unpack(packTar(t, oddTree), r.dir); err != nil {
			t.Fatal(err)
		}
		r.git("add", "-f", "-A")
		want := map[string]string{"sha1": oddSHA1, "sha256": oddSHA256}[format]
		if got := r.git("write-tree"); got != want {
			t.Errorf("git says %s, we %s", got, want)
		}
	}
}

// A history with deltas, made now by whatever git is installed.
func TestLongHistory(t *testing.T) {
	r := newRepo(t)
	writeTree(t, r.dir, oddTree)
	var text strings.Builder
	for i := range 40 {
		text.WriteString(strings.Repeat("line ", 50+i) + "\n")
		if err := os.WriteFile(filepath.Join(r.dir, "a/deep/growing"), []byte(text.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		r.git("add", "-f", "-A")
		r.git("commit", "-q", "-m", "one more")
	}
	r.git("tag", "-a", "-m", "release", "v1")
	id, err := identifyBundle(t, r.bundle("--all"), "v1", DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"swh:1:dir:" + r.git("rev-parse", "v1^{tree}"), "swh:1:rev:" + r.git("rev-parse", "v1^{commit}"), "swh:1:rel:" + r.git("rev-parse", "v1")}
	if !slices.Equal(id.SWHIDs, want) {
		t.Errorf("%v, want %v", id.SWHIDs, want)
	}
}

func TestHostileBundles(t *testing.T) {
	r := newRepo(t)
	blob := r.blob("content\n")
	line := func(mode, kind, id, name string) string { return mode + " " + kind + " " + id + "\t" + name + "\n" }
	missing := strings.Repeat("12", 20)
	pointer := r.blob("version https://git-lfs.github.com/spec/v1\noid sha256:" + strings.Repeat("0", 64) + "\nsize 12345\n")
	sub := strings.Fields(r.git("cat-file", "-p", r.commitTree(line("100644", "blob", blob, "f"))))[1]
	for name, c := range map[string]struct {
		tree  string
		kind  fault.Kind
		field string
	}{
		"submodule":        {line("100644", "blob", blob, "f") + line("160000", "commit", missing, "sub"), fault.Precondition, `"sub"`},
		"LFS pointer":      {line("100644", "blob", blob, "f") + line("100644", "blob", pointer, "large.bin"), fault.Precondition, `"large.bin"`},
		"absolute link":    {line("120000", "blob", r.blob("/etc/passwd"), "l"), fault.Invalid, `"l"`},
		"link out":         {line("120000", "blob", r.blob("../x"), "l"), fault.Invalid, `"l"`},
		"long link":        {line("120000", "blob", r.blob(strings.Repeat("x", 2000)), "l"), fault.Exhausted, `"l"`},
		"backslash":        {line("100644", "blob", blob, `a\b`), fault.Invalid, `"a\\b"`},
		"git's short name": {line("40000", "tree", sub, "git~1"), fault.Invalid, `"git~1"`},
		"git's own folder": {line("40000", "tree", sub, ".GIT"), fault.Invalid, `".GIT"`},
	} {
		t.Run(name, func(t *testing.T) {
			r.git("tag", "-f", "bad", r.commitTree(c.tree))
			_, err := identifyBundle(t, r.bundle("bad"), "bad", DefaultLimits())
			var domain *fault.Error
			if !errors.As(err, &domain) || domain.Kind != c.kind || !strings.Contains(domain.Field, c.field) {
				t.Errorf("%v", err)
			}
			if c.kind == fault.Precondition && domain.Reason != gitbundle.ReasonIncomplete {
				t.Errorf("reason %s", domain.Reason)
			}
		})
	}
}

func TestTagsThatNameNoRelease(t *testing.T) {
	r := newRepo(t)
	writeTree(t, r.dir, oddTree)
	r.git("add", "-f", "-A")
	r.git("commit", "-q", "-m", "first")
	r.git("tag", "-a", "-m", "release", "good")
	r.git("tag", "-a", "-m", "of a tag", "nested", "good")
	r.git("tag", "-a", "-m", "of a tree", "tree", "HEAD^{tree}")
	r.git("tag", "light-tree", "HEAD^{tree}")
	r.git("update-ref", "refs/tags/renamed", r.git("rev-parse", "good"))
	b := r.bundle("--tags")
	for _, tag := range []string{"nested", "tree", "light-tree", "renamed", "absent", "", "refs/heads/master"} {
		if _, err := identifyBundle(t, b, tag, DefaultLimits()); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "tag") {
			t.Errorf("%s: %v", tag, err)
		}
	}
	if _, err := identifyBundle(t, b, "good", DefaultLimits()); err != nil {
		t.Error(err)
	}
}

func TestIncompleteBundles(t *testing.T) {
	r := newRepo(t)
	writeTree(t, r.dir, oddTree)
	r.git("add", "-f", "-A")
	r.git("commit", "-q", "-m", "first")
	r.git("tag", "v1")
	writeTree(t, r.dir, []file{{name: "more", mode: Regular, body: "x"}})
	r.git("add", "-f", "-A")
	r.git("commit", "-q", "-m", "second")
	r.git("tag", "v2")
	for name, b := range map[string][]byte{
		"thin":     r.bundle("v1..v2"),
		"filtered": r.bundle("--filter=blob:none", "v2"),
	} {
		_, err := identifyBundle(t, b, "v2", DefaultLimits())
		var domain *fault.Error
		if !errors.As(err, &domain) || domain.Reason != gitbundle.ReasonIncomplete || !strings.Contains(domain.Advice, "full") {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The pack of a filtered bundle under a header that does not own up to it.
	filtered := r.bundle("--filter=blob:none", "v2")
	hidden := bytes.Replace(filtered, []byte("@filter=blob:none\n"), nil, 1)
	_, err := identifyBundle(t, hidden, "v2", DefaultLimits())
	if !fault.Is(err, fault.Precondition) || !strings.Contains(err.Error(), "(object ") {
		t.Errorf("hidden filter: %v", err)
	}
}

func TestGitLimits(t *testing.T) {
	r := newRepo(t)
	writeTree(t, r.dir, []file{{name: "zeros", mode: Regular, body: strings.Repeat("\x00", 2<<20)}, {name: "f", mode: Regular, body: "x"}})
	r.git("add", "-A")
	r.git("commit", "-q", "-m", "first")
	r.git("tag", "v1")
	b := r.bundle("v1")
	for name, tighten := range map[string]func(*Limits){
		"objects":      func(l *Limits) { l.MaxObjects = 3 },
		"object bytes": func(l *Limits) { l.MaxObjectBytes = 1 << 20 },
		"file bytes":   func(l *Limits) { l.MaxFileBytes = 1 << 20 },
		"bytes":        func(l *Limits) { l.MaxBytes = 1 << 20 },
		"files":        func(l *Limits) { l.MaxFiles = 1 },
		"ratio":        func(l *Limits) { l.MaxRatio = 100 },
	} {
		lim := DefaultLimits()
		lim.MaxRatio = 10_000
		if _, err := identifyBundle(t, b, "v1", lim); err != nil {
			t.Fatal(err)
		}
		tighten(&lim)
		if _, err := identifyBundle(t, b, "v1", lim); !fault.Is(err, fault.Exhausted) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Every byte of a bundle is covered by a check: of the header's form, of the pack's, or of an id.
func TestDamagedBundles(t *testing.T) {
	good, err := os.ReadFile("testdata/v2.bundle")
	if err != nil {
		t.Fatal(err)
	}
	light := bytes.Index(good, []byte("refs/tags/light"))
	for i := range good {
		if i > light-42 && i < light+16 {
			continue // the other tag, which is not asked for
		}
		id, err := identifyBundle(t, damaged(good, i), "v1.0", DefaultLimits())
		var domain *fault.Error
		if !errors.As(err, &domain) {
			t.Errorf("byte %d: %v, %v", i, id.Tree, err)
		}
	}
	for i := 0; i < len(good); i += 7 {
		if _, err := identifyBundle(t, good[:i], "v1.0", DefaultLimits()); !fault.Is(err, fault.Invalid) {
			t.Errorf("cut at byte %d: %v", i, err)
		}
	}
	if _, err := identifyBundle(t, append(good, 'x'), "v1.0", DefaultLimits()); !fault.Is(err, fault.Invalid) {
		t.Errorf("something behind it: %v", err)
	}
}

func TestBundleIsCalledOff(t *testing.T) {
	b, err := os.ReadFile("testdata/v2.bundle")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	scratch := t.TempDir()
	_, err = OpenGitBundle(ctx, bytes.NewReader(b), int64(len(b)), "v1.0", scratch, DefaultLimits())
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if left, err := os.ReadDir(scratch); err != nil || len(left) > 0 {
		t.Errorf("left in the scratch folder: %v, %v", left, err)
	}
	broken := errors.New("disk on fire")
	_, err = OpenGitBundle(context.Background(), failingReader{bytes.NewReader(b), 600, broken}, int64(len(b)), "v1.0", scratch, DefaultLimits())
	if !errors.Is(err, broken) || fault.KindOf(err) != fault.Internal {
		t.Error(err)
	}
}

// lyingTree stands for a pack whose index gave other content than the commit names.
type lyingTree struct{ Tree }

func (l lyingTree) Provenance() Provenance {
	return Provenance{Commit: stockCommit, CommitsTo: strings.Repeat("0", 40)}
}

func TestIdentifyComparesWithTheCommit(t *testing.T) {
	tree, err := open(packTar(t, oddTree), DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Identify(context.Background(), lyingTree{tree}); !fault.Is(err, fault.Corrupt) {
		t.Error(err)
	}
}
