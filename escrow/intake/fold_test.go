package intake

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

// Names that some file system takes for one, by what it does not tell apart, and whether they are one even where case counts.
var collisions = []struct {
	what, a, b string
	always     bool
}{
	{"case", "README", "readme", false},
	{"case of a letter with an accent", "GRÖSSE", "grösse", false},
	{"the long form of a letter", "straße", "STRASSE", false},
	{"final sigma", "ΜΆΪΟΣ", "μάϊος", false},
	{"Kelvin sign", "\u212a", "k", false},
	{"a composed letter", "caf\u00e9", "cafe\u0301", true},
	{"Hangul", "\ud55c", "\u1112\u1161\u11ab", true},
	{"the order of marks", "a\u0323\u0307", "a\u0307\u0323", true},
	{"the Ångström sign", "\u212b", "\u00c5", true},
	{"an invisible code point", "ab", "a\u200cb", true},
	{"a variation selector", "ab", "a\ufe0fb", true},
	{"a byte order mark", "\ufeffab", "ab", true},
}

func TestNamesThatCollide(t *testing.T) {
	for _, c := range collisions {
		for _, files := range [][]file{
			{{name: c.a, mode: Regular}, {name: c.b, mode: Regular}},
			{{name: "d/" + c.a + "/x", mode: Regular}, {name: "d/" + c.b + "/y", mode: Regular}},
			{{name: c.a, mode: Folder}, {name: c.b, mode: Symlink, body: "x"}},
		} {
			for form, packed := range map[string][]byte{"tar": packTar(t, files), "zip": packZip(t, files)} {
				for _, caseSensitive := range []bool{false, true} {
					tree, err := openArchive(&source{r: bytes.NewReader(packed), size: int64(len(packed))}, DefaultLimits(), options{caseSensitive: caseSensitive})
					if err != nil {
						t.Fatal(err)
					}
					_, err = Identify(context.Background(), tree)
					var domain *fault.Error
					if refused := c.always || !caseSensitive; !refused {
						if err != nil {
							t.Errorf("%s, %s, where case counts: %v", c.what, form, err)
						}
					} else if !errors.As(err, &domain) || domain.Kind != fault.Invalid || !strings.Contains(domain.Message, "letter case and Unicode normalization") {
						t.Errorf("%s, %s, case-sensitive %v: %v", c.what, form, caseSensitive, err)
					} else if form == "tar" && !strings.Contains(domain.Field, "(byte ") {
						t.Errorf("%s: no place in %s", c.what, domain.Field)
					}
				}
			}
		}
	}
}

// Names that differ for every file system. Compatibility variants, such as full-width letters, are among them.
func TestNamesThatDoNotCollide(t *testing.T) {
	files := []file{{name: "a", mode: Regular}, {name: "\uff41", mode: Regular}, {name: "latin1-\xe9", mode: Regular}, {name: "latin1-\xe8", mode: Regular},
		{name: "latin1-\ufffd", mode: Regular}, {name: "Latin2-\xe9", mode: Regular}, {name: "Latin2-\xe8", mode: Regular}, {name: "ä", mode: Regular}, {name: "a.", mode: Regular}, {name: "ı", mode: Regular}, {name: "i", mode: Regular},
		{name: "x/a", mode: Regular}, {name: "x\xff/a", mode: Regular}}
	b := packTar(t, files)
	tree, err := OpenArchive(bytes.NewReader(b), int64(len(b)), DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Identify(context.Background(), tree); err != nil {
		t.Error(err)
	}
}

func TestGitCollision(t *testing.T) {
	r := newRepo(t)
	blob := r.blob("x")
	r.git("tag", "v1", r.commitTree("100644 blob "+blob+"\tREADME\n100644 blob "+blob+"\tReadme\n"))
	b := r.bundle("v1")
	tree, err := OpenGitBundle(context.Background(), bytes.NewReader(b), int64(len(b)), "v1", t.TempDir(), DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	if _, err := Identify(context.Background(), tree); !fault.Is(err, fault.Invalid) || !strings.HasPrefix(err.Error(), `"Readme": it has the path of "README"`) {
		t.Error(err)
	}
}

func TestGitsOwnFolderInEverySpelling(t *testing.T) {
	for _, name := range []string{
		".git", ".GIT", ".Git", ".git.", ".git ", ".git. . ", ".git::$INDEX_ALLOCATION", ".GIT:x:$DATA", ".git ::$INDEX_ALLOCATION", "git~1", "GIT~1", "Git~1.", "git~1::$INDEX_ALLOCATION",
		".g\u200cit", "\u200d.git", ".git\u200e", ".gi\u200ft", ".\u202agit", ".g\u202bit", ".git\u202c", ".g\u202dit", ".g\u202eit", ".g\u206ait", ".git\u206f", "\ufeff.git",
		".g\u200c\u200d\ufeffIT", ".git\u200c.", ".git\u00ad", ".g\u034fit", ".gi\ufe0ft", ".g\u2060it", ".g\xffit", ".git\xc0",
	} {
		for _, p := range []string{name, "sub/" + name, name + "/config"} {
			refuses(t, packTar(t, []file{{name: p, mode: Regular}}), DefaultLimits(), fault.Invalid, "(byte 0)")
			refuses(t, packZip(t, []file{{name: p, mode: Regular}}), DefaultLimits(), fault.Invalid, "(byte 0)")
		}
	}
	for _, name := range []string{`.git\config`, `sub\.git`, `.git\`} {
		refuses(t, packTar(t, []file{{name: name, mode: Regular}}), DefaultLimits(), fault.Invalid, "")
	}
	for _, name := range []string{".gitignore", ".gitattributes", ".github", "git", "x.git", "git~2", ".git1", ".g it", "ɡit"} {
		if err := checkPath(name, "at", DefaultLimits()); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func FuzzFold(f *testing.F) {
	for _, c := range collisions {
		f.Add(c.a + "/" + c.b)
	}
	f.Add("a\xff/.GIT\u200c")
	exact, folded := newFolding(true), newFolding(false)
	f.Fuzz(func(t *testing.T, p string) {
		if len(p) > 1024 {
			return
		}
		once, loose := exact.path(p), folded.path(p)
		if exact.path(once) != once || folded.path(loose) != loose {
			t.Errorf("%q folds to %q and %q, and these to others", p, once, loose)
		}
		if folded.path(once) != loose {
			t.Errorf("%q and %q are one where case counts, and not where it does not", p, once)
		}
		if strings.Count(loose, "/") != strings.Count(p, "/") || len(loose) > 12*len(p) || utf8.ValidString(p) && !utf8.ValidString(loose) {
			t.Errorf("%q folds to %q", p, loose)
		}
		if strings.ToLower(p) == ".git" && !isDotGit(p) {
			t.Errorf("%q stands for .git", p)
		}
	})
}
