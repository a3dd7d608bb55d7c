package intake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/intake/gitbundle"
	"github.com/countersign-escrow/countersign/escrow/manifest"
)

// pointerTo is what Git LFS puts in the place of content.
func pointerTo(content string) string {
	return fmt.Sprintf("version https://git-lfs.github.com/spec/v1\noid %s\nsize %d\n", digest.Of([]byte(content)), len(content))
}

// withPointers has two pointers to the same content, one to the empty file, and files that only look like pointers.
var withPointers = []file{
	{name: "data/large.bin", mode: Regular, body: pointerTo("the large file")},
	{name: "data/run", mode: Executable, body: pointerTo("the large file")},
	{name: "empty", mode: Regular, body: pointerTo("")},
	{name: "README", mode: Regular, body: "A pointer begins with:\n" + pointerTo("x")},
	{name: "fixture", mode: Regular, body: pointerTo("x") + strings.Repeat("#", maxPointer)},
	{name: "version", mode: Regular, body: "version https://git-lfs.github.com/spec/v1\n"},
}

var replaced = []file{
	{name: "data/large.bin", mode: Regular, body: "the large file"},
	{name: "data/run", mode: Executable, body: "the large file"},
	{name: "empty", mode: Regular},
	withPointers[3], withPointers[4], withPointers[5],
}

// lfsSources deposits withPointers in every form.
func (d *deposited) lfsSources(t *testing.T) map[string]manifest.Source {
	r := newRepo(t)
	for _, f := range withPointers {
		if err := os.MkdirAll(filepath.Join(r.dir, filepath.Dir(f.name)), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	writeTree(t, r.dir, withPointers)
	r.git("add", "-A")
	r.git("commit", "-q", "-m", "first")
	r.git("tag", "v1")
	archive := func(b []byte) manifest.Source {
		f := d.put(b)
		return manifest.Source{Kind: manifest.Archive, Name: "src", Digest: f.Digest, Size: f.Size}
	}
	return map[string]manifest.Source{"bundle": d.source(r.bundle("v1"), "v1"), "tar": archive(packTar(t, withPointers)), "zip": archive(packZip(t, withPointers))}
}

func TestLFSContentStandsInForPointers(t *testing.T) {
	d := newDeposit()
	pointers, err := readAll(packTar(t, withPointers), DefaultLimits())
	if !isIncomplete(err, `"data/large.bin"`) {
		t.Fatalf("pointers that nothing stands in for: %v, %v", pointers, err)
	}
	unpacked, err := readAll(packTar(t, replaced), DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	lfs := []manifest.File{d.put([]byte("the large file")), d.put(nil), d.put([]byte("nobody asks for it"))}
	var trees []string
	for form, s := range d.lfsSources(t) {
		s.LFS = lfs
		id, err := d.identify(t, s)
		if err != nil {
			t.Errorf("%s: %v", form, err)
			continue
		}
		trees = append(trees, id.Tree)
		if id.Unpacked != unpacked.Tree || id.Tree == unpacked.Tree || id.Bytes != unpacked.Bytes || id.Files != unpacked.Files {
			t.Errorf("%s: %+v, unpacked should be %+v", form, id, unpacked)
		}
		dir := t.TempDir()
		d.unpack(t, dir, s)
		for _, f := range replaced {
			info, err := os.Stat(filepath.Join(dir, f.name))
			b, readErr := os.ReadFile(filepath.Join(dir, f.name))
			if errors.Join(err, readErr) != nil || string(b) != f.body || (info.Mode()&0o100 != 0) != (f.mode == Executable) {
				t.Errorf("%s: %s holds %q, mode %v, %v", form, f.name, b, info.Mode(), err)
			}
		}
	}
	if len(trees) != 3 || len(slices.Compact(slices.Clone(trees))) != 1 {
		t.Errorf("the forms have different identities: %v", trees)
	}
}

func isIncomplete(err error, field string) bool {
	var domain *fault.Error
	return errors.As(err, &domain) && domain.Reason == gitbundle.ReasonIncomplete && strings.HasPrefix(domain.Field, field)
}

// The identity of a source is that of its commit, pointers and all.
func TestIdentityWithPointersIsGits(t *testing.T) {
	r := newRepo(t, "--object-format=sha256")
	d := newDeposit()
	s := d.lfsSources(t)["bundle"]
	s.LFS = []manifest.File{d.put([]byte("the large file")), d.put(nil)}
	id, err := d.identify(t, s)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		files []file
		want  string
	}{{withPointers, id.Tree}, {replaced, id.Unpacked}} {
		if err := os.MkdirAll(filepath.Join(r.dir, "data"), 0o755); err != nil {
			t.Fatal(err)
		}
		writeTree(t, r.dir, c.files)
		r.git("add", "-f", "-A")
		if got := TreePrefix + r.git("write-tree"); got != c.want {
			t.Errorf("git says %s, we %s", got, c.want)
		}
	}
}

func TestLFSMistakes(t *testing.T) {
	d := newDeposit()
	large := d.put([]byte("the large file"))
	empty := d.put(nil)
	for form, s := range d.lfsSources(t) {
		s.LFS = []manifest.File{empty}
		if _, err := d.identify(t, s); !isIncomplete(err, `"data/large.bin"`) || !strings.Contains(err.Error(), large.Digest.String()) {
			t.Errorf("%s, not listed: %v", form, err)
		}
		s.LFS = []manifest.File{empty, {Digest: large.Digest, Size: 5}}
		if _, err := d.identify(t, s); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), `"data/large.bin"`) {
			t.Errorf("%s, of another size: %v", form, err)
		}
		s.LFS = []manifest.File{empty, large}
		held := d.files[large.Digest]
		d.files[large.Digest] = []byte("the LARGE file")
		if _, err := d.identify(t, s); !fault.Is(err, fault.Corrupt) || !strings.Contains(err.Error(), "is not "+large.Digest.String()) {
			t.Errorf("%s, other content: %v", form, err)
		}
		d.files[large.Digest] = held[:3]
		if _, err := d.identify(t, s); err == nil {
			t.Errorf("%s: cut short, and taken", form)
		}
		d.files[large.Digest] = held
	}
}

func TestLFSObjectsCountForLimits(t *testing.T) {
	d := newDeposit()
	body := strings.Repeat("0", 2000)
	var files []file
	for i := range 10 {
		files = append(files, file{name: fmt.Sprint("f", i), mode: Regular, body: pointerTo(body)})
	}
	f := d.put(packTar(t, files))
	s := manifest.Source{Kind: manifest.Archive, Digest: f.Digest, Size: f.Size, LFS: []manifest.File{d.put([]byte(body))}}
	for name, tighten := range map[string]func(*Limits){"all": func(l *Limits) { l.MaxBytes = 15_000 }, "one": func(l *Limits) { l.MaxFileBytes = 1999 }} {
		lim := DefaultLimits()
		tighten(&lim)
		tree, err := (&Release{Files: d, Limits: lim}).Open(context.Background(), s)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Identify(context.Background(), tree); !fault.Is(err, fault.Exhausted) {
			t.Errorf("%s: %v", name, err)
		}
		tree.Close()
	}
}

// A store that cannot be read is our failure, not the vendor's.
func TestReadFailureOfAnLFSObjectIsNotTheVendors(t *testing.T) {
	broken := errors.New("disk on fire")
	opts := options{lfs: func(context.Context, manifest.File, string) (File, error) { return brokenFile{broken}, nil }}
	b := packTar(t, withPointers)
	tree, err := openArchive(&source{r: strings.NewReader(string(b)), size: int64(len(b))}, DefaultLimits(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Identify(context.Background(), tree); !errors.Is(err, broken) || fault.KindOf(err) != fault.Internal {
		t.Error(err)
	}
}

type brokenFile struct{ err error }

func (b brokenFile) ReadAt([]byte, int64) (int, error) { return 0, b.err }
func (b brokenFile) Close() error                      { return nil }

func TestNeeds(t *testing.T) {
	d := newDeposit()
	for form, s := range d.lfsSources(t) {
		n, err := (&Release{Files: d, Scratch: t.TempDir(), Limits: DefaultLimits()}).Needs(context.Background(), s)
		want := []manifest.File{{Digest: digest.Of([]byte("the large file")), Size: 14}, {Digest: digest.Of(nil)}}
		slices.SortFunc(want, func(a, b manifest.File) int { return strings.Compare(a.Digest.Hex(), b.Digest.Hex()) })
		if err != nil || !slices.Equal(n.LFS, want) || len(n.Submodules) != 0 || d.open != 0 {
			t.Errorf("%s: %+v, %v", form, n, err)
		}
	}
	r := newRepo(t)
	commit := strings.Repeat("12", 20)
	r.git("tag", "v1", r.commitTree("160000 commit "+commit+"\tlib\n100644 blob "+r.blob("x")+"\tmain.c\n"))
	n, err := (&Release{Files: d, Scratch: t.TempDir(), Limits: DefaultLimits()}).Needs(context.Background(), d.source(r.bundle("v1"), "v1"))
	if err != nil || !slices.Equal(n.Submodules, []Submodule{{Path: "lib", Commit: commit}}) {
		t.Errorf("%+v, %v", n, err)
	}
}

func TestParsePointer(t *testing.T) {
	oid := "oid " + digest.Of(nil).String() + "\n"
	const v1 = "version https://git-lfs.github.com/spec/v1\n"
	for in, want := range map[string]int64{
		v1 + oid + "size 12345\n":                                                  12345,
		v1 + oid + "size 0":                                                        0,
		strings.ReplaceAll(v1+oid+"size 7\n", "\n", "\r\n"):                        7,
		"version https://hawser.github.com/spec/v1\n" + oid + "size 5\n":           5,
		v1 + oid + "size -1\n":                                                     -1,
		v1 + oid + "size 99999999999999999999\n":                                   -1,
		v1 + oid + "\n":                                                            -1,
		v1 + "oid sha256:12\nsize 1\n":                                             -1,
		v1 + "oid sha512:" + strings.Repeat("0", 128) + "\nsize 1\n":               -1,
		v1 + oid + oid + "size 1\n":                                                -1,
		v1 + oid + "size 1\nsize 2\n":                                              -1,
		v1 + "ext-0-x sha256:" + strings.Repeat("0", 64) + "\n" + oid + "size 1\n": -1,
		v1 + strings.ToUpper("oid x") + "\nsize 1\n":                               -2,
		"version https://git-lfs.github.com/spec/v2\n" + oid + "size 1\n":          -2,
		"text\n" + v1 + oid + "size 1\n":                                           -2,
		v1 + oid + "size 1\n" + strings.Repeat("x", maxPointer):                    -2,
	} {
		if looksLikePointer([]byte(in)) != (want > -2) {
			t.Errorf("%.90q looks like a pointer: %v", in, want == -2)
			continue
		}
		if want == -2 {
			continue
		}
		p, err := parsePointer([]byte(in), "at")
		if want == -1 && !isIncomplete(err, "at") || want >= 0 && (err != nil || p.Size != want || p.Digest != digest.Of(nil)) {
			t.Errorf("%q: %+v, %v", in, p, err)
		}
	}
}

func FuzzPointer(f *testing.F) {
	f.Add([]byte(pointerTo("x")))
	f.Add([]byte("version https://hawser.github.com/spec/v1\r\noid sha256:12\r\nsize -1"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if !looksLikePointer(b) {
			return
		}
		p, err := parsePointer(b, "at")
		if err != nil {
			if !isIncomplete(err, "at") {
				t.Errorf("%q: %v", b, err)
			}
			return
		}
		if p.Size < 0 || p.Digest.IsZero() || !strings.Contains(string(b), "oid "+p.Digest.String()) {
			t.Errorf("%q was read as %+v", b, p)
		}
	})
}

// The content of small files is looked at and still comes whole.
func TestSmallFilesComeWhole(t *testing.T) {
	var files []file
	for _, n := range []int{0, 1, maxPointer - 1, maxPointer, maxPointer + 1} {
		files = append(files, file{name: fmt.Sprint(n), mode: Regular, body: strings.Repeat("v", n)})
	}
	tree, err := open(packTar(t, files), DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	i := 0
	err = tree.Walk(context.Background(), func(e Entry) error {
		b, err := io.ReadAll(e.Content)
		if string(b) != files[i].body || e.Size != int64(len(b)) || e.Pointer != nil {
			t.Errorf("%s holds %d bytes", e.Path, len(b))
		}
		i++
		return err
	})
	if err != nil || i != len(files) {
		t.Error(i, err)
	}
}
