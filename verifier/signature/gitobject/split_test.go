package gitobject

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

const (
	pgpBegin = "-----BEGIN PGP SIGNATURE-----\n"
	pgpEnd   = "-----END PGP SIGNATURE-----\n"
	tagHead  = "object 1111111111111111111111111111111111111111\ntype commit\ntag v1\ntagger a <b> 1 +0000\n"
	treeHead = "tree 1111111111111111111111111111111111111111\nauthor a <b> 1 +0000\ncommitter a <b> 1 +0000\n"
)

func TestSplitTag(t *testing.T) {
	signature := pgpBegin + "\nAAAA\n" + pgpEnd
	for name, c := range map[string]struct{ in, payload, signature, problem, note string }{
		"none":                   {in: tagHead + "\nmessage\n"},
		"signed":                 {in: tagHead + "\nmessage\n" + signature, payload: tagHead + "\nmessage\n", signature: signature},
		"the last of two":        {in: tagHead + "\n" + signature + signature, payload: tagHead + "\n" + signature, signature: signature},
		"not inside a line":      {in: tagHead + "\n> " + pgpBegin},
		"text after it":          {in: tagHead + "\nm\n" + signature + "more\n", payload: tagHead + "\nm\n", signature: signature, note: "text after"},
		"without an end":         {in: tagHead + "\nm\n" + pgpBegin + "A\n", payload: tagHead + "\nm\n", signature: pgpBegin + "A\n"},
		"SHA-256 beside it":      {in: tagHead + "gpgsig-sha256 X\n Y\n\nm\n" + signature, payload: tagHead + "\nm\n", signature: signature, note: "SHA-256"},
		"gpgsig in the header":   {in: tagHead + "gpgsig X\n\nm\n" + signature, payload: tagHead + "\nm\n", signature: signature, problem: "commits only"},
		"gpgsig in the message":  {in: tagHead + "\ngpgsig X\n" + signature, payload: tagHead + "\ngpgsig X\n", signature: signature},
		"SSH":                    {in: tagHead + "\nm\n-----BEGIN SSH SIGNATURE-----\nA\n", payload: tagHead + "\nm\n", signature: "-----BEGIN SSH SIGNATURE-----\nA\n"},
		"CMS":                    {in: tagHead + "\nm\n-----BEGIN SIGNED MESSAGE-----\nA\n", payload: tagHead + "\nm\n", signature: "-----BEGIN SIGNED MESSAGE-----\nA\n"},
		"OpenPGP of another age": {in: tagHead + "\nm\n-----BEGIN PGP MESSAGE-----\nA\n", payload: tagHead + "\nm\n", signature: "-----BEGIN PGP MESSAGE-----\nA\n"},
		"nothing":                {},
	} {
		checkParts(t, name, splitTag([]byte(c.in)), c.payload, c.signature, c.problem, c.note)
	}
}

func checkParts(t *testing.T, name string, got parts, payload, signature, problem, note string) {
	t.Helper()
	if string(got.payload) != payload || string(got.signature) != signature {
		t.Errorf("%s: payload %q, signature %q", name, got.payload, got.signature)
	}
	if (got.problem == "") != (problem == "") || !strings.Contains(got.problem, problem) {
		t.Errorf("%s: %q, want %q", name, got.problem, problem)
	}
	if notes := strings.Join(got.notes, ";"); (notes == "") != (note == "") || !strings.Contains(notes, note) {
		t.Errorf("%s: notes %q, want %q", name, notes, note)
	}
}

func TestSplitCommit(t *testing.T) {
	signature := pgpBegin + "\nAAAA\n" + pgpEnd
	folded := "gpgsig " + strings.TrimSuffix(strings.ReplaceAll(signature, "\n", "\n "), " ")
	merged := "mergetag object 2222\n type commit\n tag x\n \n m\n " + strings.TrimSuffix(strings.ReplaceAll(signature, "\n", "\n "), " ")
	for name, c := range map[string]struct{ in, payload, signature, problem, note string }{
		"none":              {in: treeHead + "\nmessage\n", payload: treeHead + "\nmessage\n"},
		"signed":            {in: treeHead + folded + "\nm\n", payload: treeHead + "\nm\n", signature: signature},
		"before a field":    {in: treeHead + folded + "encoding x\n\nm\n", payload: treeHead + "encoding x\n\nm\n", signature: signature},
		"twice":             {in: treeHead + folded + folded + "\nm\n", payload: treeHead + "\nm\n", problem: "2 signatures"},
		"twice, apart":      {in: treeHead + folded + "x y\n" + folded + "\nm\n", payload: treeHead + "x y\n\nm\n", problem: "2 signatures"},
		"in the message":    {in: treeHead + "\nm\n" + folded, payload: treeHead + "\nm\n" + folded},
		"also there":        {in: treeHead + folded + "\n" + folded, payload: treeHead + "\n" + folded, signature: signature},
		"SHA-256 beside it": {in: treeHead + folded + "gpgsig-sha256 X\n Y\n\nm\n", payload: treeHead + "\nm\n", signature: signature, note: "SHA-256"},
		"SHA-256 alone":     {in: treeHead + "gpgsig-sha256 X\n Y\n\nm\n", payload: treeHead + "\nm\n", note: "SHA-256"},
		"another name":      {in: treeHead + folded + "gpgsigs X\n Y\n\nm\n", payload: treeHead + "\nm\n", problem: `"gpgsigs X"`},
		"a merged tag":      {in: treeHead + merged + "\nm\n", payload: treeHead + merged + "\nm\n"},
		"text after it":     {in: treeHead + folded + " more\n\nm\n", payload: treeHead + "\nm\n", signature: signature, note: "text after"},
	} {
		checkParts(t, name, splitCommit([]byte(c.in)), c.payload, c.signature, c.problem, c.note)
	}
}

func seeds(f *testing.F, suffix string) {
	f.Helper()
	list, err := os.ReadDir("testdata")
	if err != nil {
		f.Fatal(err)
	}
	for _, e := range list {
		if b, err := os.ReadFile("testdata/" + e.Name()); err == nil && strings.HasSuffix(e.Name(), suffix) {
			f.Add(b)
		}
	}
}

// FuzzTag: payload and signature, one after the other, are how the object begins, unless header fields were left out.
func FuzzTag(f *testing.F) {
	seeds(f, ".tag")
	f.Fuzz(func(t *testing.T, b []byte) {
		p := splitTag(b)
		if len(p.signature) == 0 || p.problem != "" || bytes.Contains(b, []byte("gpgsig")) {
			return
		}
		if !bytes.HasPrefix(b, append(bytes.Clone(p.payload), p.signature...)) {
			t.Errorf("%q was split into %q and %q", b, p.payload, p.signature)
		}
		if rest := b[len(p.payload)+1:]; bytes.Contains(rest, []byte("\n"+pgpBegin)) {
			t.Errorf("%q: a signature begins after %q", b, p.payload)
		}
	})
}

// FuzzCommit: the signature folded into the header again gives the object.
func FuzzCommit(f *testing.F) {
	seeds(f, ".commit")
	f.Fuzz(func(t *testing.T, b []byte) {
		splitCommit(b)
		b = append(bytes.Clone(b), '\n') // a last line of nothing but the blank that folds would be lost
		c := cutFields(b)
		if c.other || c.unknown != "" || len(c.own) > 1 {
			return
		}
		if len(c.own) == 0 {
			if !bytes.Equal(c.rest, b) {
				t.Errorf("%q became %q", b, c.rest)
			}
			return
		}
		at := 0
		if !bytes.HasPrefix(b, []byte("gpgsig ")) {
			at = bytes.Index(b, []byte("\ngpgsig ")) + 1
		}
		again := append(bytes.Clone(c.rest[:at]), "gpgsig "...)
		for i, line := range bytes.SplitAfter(c.own[0], []byte("\n")) {
			if i > 0 && len(line) > 0 {
				again = append(again, ' ')
			}
			again = append(again, line...)
		}
		if again = append(again, c.rest[at:]...); !bytes.Equal(again, b) {
			t.Errorf("%q became %q", b, again)
		}
	})
}
