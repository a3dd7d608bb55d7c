package intake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/intake/gitbundle"
	"github.com/countersign-escrow/countersign/escrow/manifest"
)

// deposited holds files in memory and counts those that are open.
type deposited struct {
	files map[digest.Digest][]byte
	open  int
	fail  error // of reads
}

func newDeposit() *deposited { return &deposited{files: make(map[digest.Digest][]byte)} }

func (d *deposited) put(b []byte) manifest.File {
	f := manifest.File{Digest: digest.Of(b), Size: int64(len(b))}
	d.files[f.Digest] = b
	return f
}

func (d *deposited) OpenFile(_ context.Context, f manifest.File) (File, error) {
	b, ok := d.files[f.Digest]
	if !ok {
		return nil, fault.NoSuch(f.Digest.String())
	}
	d.open++
	return &depositedFile{Reader: bytes.NewReader(b), of: d}, nil
}

type depositedFile struct {
	*bytes.Reader
	of *deposited
}

func (f *depositedFile) ReadAt(p []byte, off int64) (int, error) {
	if f.of.fail != nil {
		return 0, f.of.fail
	}
	return f.Reader.ReadAt(p, off)
}

func (f *depositedFile) Close() error { f.of.open--; return nil }

// source deposits a bundle and returns the source that it is.
func (d *deposited) source(b []byte, tag string, bases ...manifest.Source) manifest.Source {
	f := d.put(b)
	s := manifest.Source{Kind: manifest.GitBundle, Name: "src.bundle", Digest: f.Digest, Size: f.Size, Tag: tag, CaseSensitive: true}
	for _, base := range bases {
		s.Bases = append(s.Bases, manifest.File{Digest: base.Digest, Size: base.Size})
	}
	return s
}

// identify identifies a source and makes sure that nothing stays open or lies around.
func (d *deposited) identify(t testing.TB, s manifest.Source, others ...manifest.Source) (Identity, error) {
	t.Helper()
	scratch := t.TempDir()
	r := &Release{Sources: append([]manifest.Source{s}, others...), Files: d, Scratch: scratch, Limits: DefaultLimits()}
	tree, err := r.Open(context.Background(), s)
	var id Identity
	if err == nil {
		id, err = Identify(context.Background(), tree)
		err = errors.Join(err, tree.Close())
	}
	if left, readErr := os.ReadDir(scratch); readErr != nil || len(left) > 0 || d.open != 0 {
		t.Errorf("left behind: %v, %v; %d files open", left, readErr, d.open)
	}
	return id, err
}

// history is a repository with four releases; each tag's tree differs from the one before in one file.
func history(t testing.TB) *repo {
	r := newRepo(t)
	writeTree(t, r.dir, oddTree)
	for i := 1; i <= 4; i++ {
		writeTree(t, r.dir, []file{{name: "a/deep/nested/text", mode: Regular, body: strings.Repeat("a line that stays\n", 200) + fmt.Sprintln("release", i)}})
		r.git("add", "-f", "-A")
		r.git("commit", "-q", "-m", fmt.Sprint("release ", i))
		r.git("tag", "-a", "-m", "a release", fmt.Sprint("v", i))
	}
	return r
}

func TestABundleOnItsBasesIsTheFullOne(t *testing.T) {
	r, d := history(t), newDeposit()
	first := d.source(r.bundle("v1"), "v1")
	second := d.source(r.bundle("v2", "^v1"), "v2", first)
	third := d.source(r.bundle("v3", "^v2"), "v3", first, second)
	fourth := d.source(r.bundle("v4", "^v1"), "v4", first)
	for _, s := range []manifest.Source{first, second, third, fourth} {
		id, err := d.identify(t, s)
		if err != nil {
			t.Fatalf("%s: %v", s.Tag, err)
		}
		full := r.bundle(s.Tag)
		want, err := d.identify(t, d.source(full, s.Tag))
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(id, want) {
			t.Errorf("%s: %+v, the full bundle %+v", s.Tag, id, want)
		}
	}
}

func TestABundleWithoutItsBasesIsIncomplete(t *testing.T) {
	r, d := history(t), newDeposit()
	first := d.source(r.bundle("v1"), "v1")
	second := d.source(r.bundle("v2", "^v1"), "v2", first)
	thin := r.bundle("v3", "^v2")
	v1, v2 := r.git("rev-parse", "v1^{commit}"), r.git("rev-parse", "v2^{commit}")
	gone := manifest.Source{Digest: digest.Of([]byte("gone")), Size: 4}
	for name, c := range map[string]struct {
		s            manifest.Source
		kind         fault.Kind
		field, holds string
	}{
		"no base":                 {d.source(thin, "v3"), fault.Precondition, "bundle header", v2},
		"one base is missing":     {d.source(thin, "v3", first), fault.Precondition, "bundle header", v2},
		"a base needs another":    {d.source(thin, "v3", second), fault.Precondition, "base 1: bundle header", v1},
		"in the wrong order":      {d.source(thin, "v3", second, first), fault.Precondition, "base 1: bundle header", v1},
		"a base is no bundle":     {d.source(thin, "v3", first, d.source([]byte("text"), "")), fault.Invalid, "base 2: bundle", "no git bundle"},
		"a base is cut":           {d.source(thin, "v3", first, d.source(cut(d.files[second.Digest], 30), "")), fault.Invalid, "base 2: pack", ""},
		"a base is not held":      {d.source(thin, "v3", gone), fault.NotFound, "base 1", "does not exist"},
		"a base is of other work": {d.source(thin, "v3", d.source(history(t).bundleOther(), "x")), fault.Precondition, "bundle header", v2},
	} {
		_, err := d.identify(t, c.s)
		var domain *fault.Error
		if !errors.As(err, &domain) || domain.Kind != c.kind || !strings.HasPrefix(domain.Field, c.field) || !strings.Contains(err.Error(), c.holds) {
			t.Errorf("%s: %v", name, err)
		}
		if c.kind == fault.Precondition && (domain.Reason != gitbundle.ReasonIncomplete || !strings.Contains(domain.Advice, "base")) {
			t.Errorf("%s: reason %s, advice %s", name, domain.Reason, domain.Advice)
		}
	}
}

// bundleOther returns a bundle that shares nothing with the history.
func (r *repo) bundleOther() []byte {
	r.git("tag", "x", r.commitTree("100644 blob "+r.blob("x")+"\tx\n"))
	return r.bundle("x")
}

// A header that claims less than its pack needs: the objects are missed where they are used.
func TestABundleThatHidesWhatItNeeds(t *testing.T) {
	r, d := history(t), newDeposit()
	first := d.source(r.bundle("v1"), "v1")
	thin := r.bundle("v2", "^v1")
	start, end := bytes.Index(thin, []byte("\n-"))+1, 0
	end = start + bytes.IndexByte(thin[start:], '\n') + 1
	hidden := append(bytes.Clone(thin[:start]), thin[end:]...)
	if _, err := d.identify(t, d.source(hidden, "v2")); !fault.Is(err, fault.Precondition) || !strings.Contains(err.Error(), "object") {
		t.Errorf("without the base: %v", err)
	}
	if _, err := d.identify(t, d.source(hidden, "v2", first)); err != nil {
		t.Errorf("with it: %v", err)
	}
	blob := r.git("rev-parse", "v1:a.txt")
	lying := append(bytes.Clone(thin[:start]), "-"+blob+" no commit\n"...)
	if _, err := d.identify(t, d.source(append(lying, thin[end:]...), "v2", first)); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "is a blob and no commit") {
		t.Errorf("a prerequisite that is no commit: %v", err)
	}
}

// Looking for what is in none of many bases costs no more than looking into each of them.
func TestManyBases(t *testing.T) {
	r, d := newRepo(t), newDeposit()
	var bases []manifest.Source
	for i := range 30 {
		writeTree(t, r.dir, []file{{name: "f", mode: Regular, body: fmt.Sprint(i)}})
		r.git("add", "-A")
		r.git("commit", "-q", "-m", "next")
		r.git("tag", fmt.Sprint("v", i))
		args := []string{fmt.Sprint("v", i)}
		if i > 0 {
			args = append(args, fmt.Sprint("^v", i-1))
		}
		bases = append(bases, d.source(r.bundle(args...), fmt.Sprint("v", i), bases...))
	}
	last := bases[len(bases)-1]
	if _, err := d.identify(t, last); err != nil {
		t.Fatal(err)
	}
	lacking := d.source(r.bundle("v29", "^v28"), "v29", bases[:28]...)
	if _, err := d.identify(t, lacking); !fault.Is(err, fault.Precondition) {
		t.Error(err)
	}
}

func TestLimitsHoldForBasesTogether(t *testing.T) {
	r, d := history(t), newDeposit()
	first := d.source(r.bundle("v1"), "v1")
	second := d.source(r.bundle("v2", "^v1"), "v2", first)
	objects := len(strings.Fields(r.git("rev-list", "--objects", "--no-object-names", "v1")))
	for most, want := range map[int]bool{objects: false, objects + 1: false, objects + 20: true} {
		lim := DefaultLimits()
		lim.MaxObjects = int64(most)
		tree, err := (&Release{Files: d, Scratch: t.TempDir(), Limits: lim}).Open(context.Background(), second)
		if want != (err == nil) || err != nil && !fault.Is(err, fault.Exhausted) {
			t.Errorf("%d objects at most: %v", most, err)
		}
		if err == nil {
			tree.Close()
		}
	}
}

// A store that cannot be read is our failure, whichever file it is.
func TestReadFailureOfABaseIsNotTheVendors(t *testing.T) {
	r, d := history(t), newDeposit()
	first := d.source(r.bundle("v1"), "v1")
	second := d.source(r.bundle("v2", "^v1"), "v2", first)
	d.fail = errors.New("disk on fire")
	if _, err := d.identify(t, second); !errors.Is(err, d.fail) || fault.KindOf(err) != fault.Internal {
		t.Error(err)
	}
}

func TestOpenWantsAKnownKind(t *testing.T) {
	d := newDeposit()
	f := d.put([]byte("x"))
	if _, err := d.identify(t, manifest.Source{Kind: "floppy", Digest: f.Digest, Size: f.Size}); !fault.Is(err, fault.Invalid) {
		t.Error(err)
	}
}

func TestSubmodules(t *testing.T) {
	d := newDeposit()
	lib := newRepo(t)
	writeTree(t, lib.dir, []file{{name: "lib.c", mode: Regular, body: "int lib;\n"}})
	lib.git("add", "-A")
	lib.git("commit", "-q", "-m", "lib")
	lib.git("tag", "-a", "-m", "lib", "v4")
	linked := lib.git("rev-parse", "HEAD")
	writeTree(t, lib.dir, []file{{name: "lib.c", mode: Regular, body: "int lib = 2;\n"}})
	lib.git("commit", "-q", "-a", "-m", "later")
	lib.git("tag", "v5")

	r := newRepo(t)
	line := func(mode, kind, id, name string) string { return mode + " " + kind + " " + id + "\t" + name + "\n" }
	sub, err := r.run(line("160000", "commit", linked, "lib")+line("100644", "blob", r.blob("x"), "lib.mk"), "mktree", "--missing")
	if err != nil {
		t.Fatal(err)
	}
	r.git("tag", "v1", r.commitTree(line("100644", "blob", r.blob("main"), "main.c")+line("40000", "tree", sub, "third_party")))
	main := d.source(r.bundle("v1"), "v1")
	main.Into = "src"
	held := func(tag, into string) manifest.Source {
		s := d.source(lib.bundle(tag), tag)
		s.Into, s.Name = into, "lib.bundle"
		return s
	}
	broken := held("v4", "src/third_party/lib")
	broken.Tag = "v9"
	archive := held("v4", "src/third_party/lib")
	archive.Kind, archive.Tag = manifest.Archive, ""
	for name, c := range map[string]struct {
		others []manifest.Source
		holds  string
	}{
		"not held":      {nil, "at the commit " + linked + ", which no source of the release holds"},
		"elsewhere":     {[]manifest.Source{held("v4", "third_party/lib")}, "into: src/third_party/lib"},
		"other commit":  {[]manifest.Source{held("v5", "src/third_party/lib")}, "is at " + lib.git("rev-parse", "v5")},
		"cannot be had": {[]manifest.Source{broken}, `"lib.bundle" for it cannot be used: tag: the bundle has no tag "v9"`},
		"an archive":    {[]manifest.Source{archive}, "which no source of the release holds"},
	} {
		_, err := d.identify(t, main, c.others...)
		var domain *fault.Error
		if !errors.As(err, &domain) || domain.Reason != gitbundle.ReasonIncomplete || domain.Field != `"third_party/lib"` || !strings.Contains(err.Error(), c.holds) {
			t.Errorf("%s: %v", name, err)
		}
	}
	library := held("v4", "src/third_party/lib")
	id, err := d.identify(t, main, held("v5", "src/third_party/lib"), library)
	if err != nil {
		t.Fatal(err)
	}
	if want := "swh:1:dir:" + r.git("rev-parse", "v1^{tree}"); id.SWHIDs[0] != want || id.Files != 2 {
		t.Errorf("%+v, want %s", id, want)
	}

	// What is unpacked has the identity that is told, and the submodule's own source goes into its place.
	dir := t.TempDir()
	d.unpack(t, dir, main, library)
	again, err := readAll(packTar(t, []file{{name: "main.c", mode: Regular, body: "main"}, {name: "third_party/lib", mode: Folder}, {name: "third_party/lib.mk", mode: Regular, body: "x"}}), DefaultLimits())
	if err != nil || id.Unpacked != again.Tree || id.Unpacked == id.Tree {
		t.Errorf("unpacked %s, the same as an archive %s, %v", id.Unpacked, again.Tree, err)
	}
	d.unpack(t, filepath.Join(dir, "third_party/lib"), library)
	if b, err := os.ReadFile(filepath.Join(dir, "third_party/lib/lib.c")); err != nil || string(b) != "int lib;\n" {
		t.Errorf("%q, %v", b, err)
	}
}

// unpack unpacks a source into dir.
func (d *deposited) unpack(t *testing.T, dir string, s manifest.Source, others ...manifest.Source) {
	t.Helper()
	tree, err := (&Release{Sources: append(others, s), Files: d, Scratch: t.TempDir(), Limits: DefaultLimits()}).Open(context.Background(), s)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(Unpack(context.Background(), tree, dir), tree.Close()); err != nil {
		t.Fatal(err)
	}
}
