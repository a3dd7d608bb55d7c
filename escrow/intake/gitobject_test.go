package intake

import (
	"bytes"
	"context"
	"crypto/sha1"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/countersign-escrow/countersign/escrow/intake/gitbundle"
	"github.com/countersign-escrow/countersign/escrow/manifest"
)

// FuzzGitObjects fuzzes what is read of the objects themselves: folders, commits and tags.
func FuzzGitObjects(f *testing.F) {
	f.Add([]byte("100644 a\x00" + strings.Repeat("i", 20) + "40000 d\x00" + strings.Repeat("j", 20)))
	f.Add([]byte("tree " + strings.Repeat("12", 20) + "\ncommitter a <b> 1 +0000\n\nmessage\n"))
	f.Add([]byte("object " + strings.Repeat("12", 20) + "\ntype commit\ntag v1\n\nmessage\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for rest := b; len(rest) > 0; {
			e, next, err := nextTreeEntry(rest, "at")
			if err != nil {
				wantDomainError(t, err)
				break
			}
			if want := len(rest) - len(e.mode) - len(e.name) - 2 - len(gitbundle.ID{}); len(next) != want {
				t.Fatalf("%q: %d bytes follow, want %d", rest, len(next), want)
			}
			rest = next
		}
		if id, at, err := readCommit(b); err != nil {
			wantDomainError(t, err)
		} else if !strings.Contains(string(b), "tree "+id.String()) || at.Unix() < 0 {
			t.Errorf("%q was read as %s, %v", b, id, at)
		}
		if id, err := commitOfTag(b, "v1"); err != nil {
			wantDomainError(t, err)
		} else if !strings.Contains(string(b), "object "+id.String()) || !strings.Contains(string(b), "tag v1") {
			t.Errorf("%q was read as %s", b, id)
		}
	})
}

// FuzzIncrement fuzzes a bundle that builds on another one.
func FuzzIncrement(f *testing.F) {
	first, err := os.ReadFile("testdata/v2.bundle")
	if err != nil {
		f.Fatal(err)
	}
	thin, err := os.ReadFile("testdata/increment.bundle")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(thin)
	d, scratch := newDeposit(), f.TempDir()
	base := d.source(first, "v1.0")
	f.Fuzz(func(t *testing.T, b []byte) {
		if start := bytes.Index(b, []byte("\n\nPACK")) + 2; start > 1 && len(b) > start+sha1.Size { // without the right sum no pack gets far
			sum := sha1.Sum(b[start : len(b)-sha1.Size])
			b = append(bytes.Clone(b[:len(b)-sha1.Size]), sum[:]...)
		}
		s := d.source(b, "v2.0", base)
		defer delete(d.files, s.Digest)
		tree, err := (&Release{Sources: []manifest.Source{s}, Files: d, Scratch: scratch, Limits: small()}).Open(context.Background(), s)
		if err == nil {
			err = walkTwice(t, tree)
			if err := tree.Close(); err != nil {
				t.Error(err)
			}
		}
		wantDomainError(t, err)
		if d.open != 0 {
			t.Errorf("%d files are open", d.open)
		}
	})
}

// incrementTree is git's id of the tree that increment.bundle has over v2.bundle, from git 2.39.5.
const incrementTree = "f41bdafea903f3b732bbd81654305c6c4507934a"

func TestStockIncrement(t *testing.T) {
	d := newDeposit()
	read := func(name, tag string, bases ...manifest.Source) manifest.Source {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return d.source(b, tag, bases...)
	}
	s := read("testdata/increment.bundle", "v2.0", read("testdata/v2.bundle", "v1.0"))
	if id, err := d.identify(t, s); err != nil || id.Files != 17 || id.SWHIDs[0] != "swh:1:dir:"+incrementTree {
		t.Errorf("%+v, %v", id, err)
	}
}

// checkContents makes sure that the objects that signatures cover are given as their ids say.
func checkContents(t *testing.T, p Provenance) {
	t.Helper()
	for _, o := range []struct {
		kind, id string
		content  []byte
	}{{"tag", p.TagObject, p.TagContent}, {"commit", p.Commit, p.CommitContent}} {
		if o.id == "" {
			if o.content != nil {
				t.Errorf("%q of no %s", o.content, o.kind)
			}
			continue
		}
		if id := fmt.Sprintf("%x", sha1.Sum(fmt.Appendf(nil, "%s %d\x00%s", o.kind, len(o.content), o.content))); id != o.id {
			t.Errorf("the %s %s is given as %q", o.kind, o.id, o.content)
		}
	}
}
