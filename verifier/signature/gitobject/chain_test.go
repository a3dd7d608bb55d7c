package gitobject

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The blocks of a published collision are found out in what is hashed. Behind the head of a git object they collide no more.
func TestCollision(t *testing.T) {
	b, err := os.ReadFile("testdata/shattered-1.bin")
	if err != nil {
		t.Fatal(err)
	}
	if _, attack := sum(nil, b); !attack {
		t.Error("not found out")
	}
	if _, attack := sum([]byte("commit 320\x00"), b); attack {
		t.Error("found out where it is none")
	}
}

func TestChain(t *testing.T) {
	commit := treeHead + "\nm\n"
	tag := func(object, kind, name string) string {
		return "object " + object + "\ntype " + kind + "\ntag " + name + "\ntagger a <b> 1 +0000\n\nm\n"
	}
	id := func(kind, content string) string {
		id, _ := sum([]byte(kind+" "+strconv.Itoa(len(content))+"\x00"), []byte(content))
		return id
	}
	tree, other := strings.Repeat("1", 40), strings.Repeat("2", 40)
	good := tag(id("commit", commit), "commit", "v1")
	for name, c := range map[string]struct {
		tag, commit string
		change      func(*Source)
		want        string
	}{
		"good":              {good, commit, func(*Source) {}, ""},
		"tag id":            {good, commit, func(s *Source) { s.TagID = other }, "the tag object has the id"},
		"commit id":         {good, commit, func(s *Source) { s.CommitID = other }, "another commit"},
		"commit content":    {good, commit, func(s *Source) { s.Commit = append(s.Commit, 'x') }, "the commit object has the id"},
		"tag content":       {good, commit, func(s *Source) { s.Tag = append(s.Tag, 'x') }, "the tag object has the id"},
		"tag name":          {good, commit, func(s *Source) { s.Ref = "v2" }, "another tag"},
		"tree id":           {good, commit, func(s *Source) { s.TreeID = other }, "another tree"},
		"tag of a tree":     {tag(tree, "tree", "v1"), commit, func(*Source) {}, "not for a commit"},
		"tag of a tag":      {tag(other, "tag", "v1"), commit, func(*Source) {}, "not for a commit"},
		"no object":         {"type commit\n" + good, commit, func(*Source) {}, "does not begin with object"},
		"object in capital": {tag(strings.Repeat("A", 40), "commit", "v1"), commit, func(*Source) {}, "does not begin with object"},
		"no tree": {tag(id("commit", "author a <b> 1 +0000\n"+commit), "commit", "v1"), "author a <b> 1 +0000\n" + commit, func(*Source) {},
			"does not begin with its tree"},
		"too long": {good + strings.Repeat("x", maxObjectBytes), commit, func(*Source) {}, "at most"},
	} {
		s := Source{Ref: "v1", TagID: id("tag", c.tag), Tag: []byte(c.tag), CommitID: id("commit", c.commit), Commit: []byte(c.commit), TreeID: tree}
		c.change(&s)
		got := newChain(s).tagProblem()
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestSignedAt(t *testing.T) {
	for in, want := range map[string]time.Time{
		tagHead + "\nm\n":                        time.Unix(1, 0).UTC(),
		"tagger a <b> 5 +0200":                   time.Unix(5, 0).UTC(),
		"tagger a <b>\n":                         {},
		"tagger a <b> -5 +0\n":                   {},
		"tagger a <b> x\n":                       {},
		"object x\n\ntagger a <b> 5 +0200\n":     {},
		"tagger a <b> 99999999999999999999 +0\n": {},
	} {
		if got := signedAt([]byte(in), "tagger"); !got.Equal(want) {
			t.Errorf("%q: %v, want %v", in, got, want)
		}
	}
}
