package checksums

import (
	"crypto/sha512"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

// contents are files by their names, which say what is in them.
func files() []proof.File {
	return []proof.File{
		proof.Bytes(proof.Manifest, "manifest", []byte("the manifest")),
		proof.Bytes(proof.Source, "app-1.0.tar.gz", []byte("source")),
		proof.Bytes(proof.Artifact, "dist/app", []byte("app")),
	}
}

func line(content, name string) string { return digest.Of([]byte(content)).Hex() + "  " + name + "\n" }

func long(content, name string) string {
	return fmt.Sprintf("%x  %s\n", sha512.Sum512([]byte(content)), name)
}

func TestCover(t *testing.T) {
	for name, c := range map[string]struct {
		list    string
		covered string
		note    string
		hashed  string // of which SHA-512 was computed
	}{
		"one":                    {line("app", "app"), "dist/app", "", ""},
		"by base name":           {line("app", "./elsewhere/app") + line("source", "app-1.0.tar.gz"), "app-1.0.tar.gz dist/app", "", ""},
		"another content":        {line("app 2", "app"), "", "lists another content for \"dist/app\" (line 1", ""},
		"another name":           {line("app", "app2"), "", "under another name, \"app2\"", ""},
		"another version's list": {line("app", "app-0.9") + line("old source", "app-0.9.tar.gz"), "", "under another name", ""},
		"unrelated":              {line("x", "x"), "", "", ""},
		"one of two folders":     {line("x", "mac/app") + line("app", "linux/app"), "dist/app", "", ""},
		"two swapped":            {line("x", "dist/app") + line("app", "windows/app"), "", "lists another content for \"dist/app\" (line 1", ""},
		"two swapped, deeper":    {line("app", "b/app") + line("x", "out/dist/app") + line("y", "a/app"), "", "(line 2", ""},
		"two swapped, dots":      {line("app", "b/app") + line("x", "./dist//app"), "", "(line 2", ""},
		"swapped by SHA-512":     {long("app", "b/app") + long("x", "dist/app"), "", "(line 2", "dist/app"},
		"the manifest":           {line("the manifest", "manifest.json"), "manifest", "", ""},
		"the manifest, plain":    {line("the manifest", "manifest"), "manifest", "", ""},
		"the manifest, named":    {line("the manifest", "release.json"), "", "under another name", ""},
		"size":                   {"SHA256:\n " + digest.Of([]byte("app")).Hex() + " 3 app\n", "dist/app", "", ""},
		"another size":           {"SHA256:\n " + digest.Of([]byte("app")).Hex() + " 4 app\n", "", "lists another size for \"dist/app\"", ""},
		"SHA-512":                {long("app", "app") + long("x", "x"), "dist/app", "", "dist/app"},
		"SHA-512, other":         {long("app 2", "app"), "", "lists another content", "dist/app"},
		"both, SHA-256 decides":  {line("app", "app") + long("x", "app"), "dist/app", "", ""},
		"both, SHA-256 differs":  {line("x", "app") + long("app", "app"), "", "lists another content", ""},
		"both, other folders":    {line("x", "mac/app") + long("app", "linux/app"), "dist/app", "", "dist/app"},
	} {
		l, err := Parse([]byte(c.list))
		if err != nil {
			t.Fatal(err)
		}
		var hashed []string
		covered, notes, err := l.Cover(files(), func(f proof.File) ([64]byte, error) {
			hashed = append(hashed, f.Name)
			b, err := f.All(t.Context(), 100)
			return sha512.Sum512(b), err
		})
		var names []string
		for _, f := range covered {
			if !slices.ContainsFunc(files(), func(g proof.File) bool { return g.Digest == f.Digest && g.Role == f.Role && g.Name == f.Name }) {
				t.Errorf("%s: %+v", name, f)
			}
			names = append(names, f.Name)
		}
		if got := strings.Join(names, " "); err != nil || got != c.covered || strings.Join(hashed, " ") != c.hashed {
			t.Errorf("%s: covers %q, hashed %q, %v", name, got, hashed, err)
		}
		if got := strings.Join(notes, "; "); (got == "") != (c.note == "") || !strings.Contains(got, c.note) {
			t.Errorf("%s: notes %q, want %q", name, notes, c.note)
		}
	}
}

func TestCoverWithoutSHA512(t *testing.T) {
	l, err := Parse([]byte(long("app", "app")))
	if err != nil {
		t.Fatal(err)
	}
	if covered, _, err := l.Cover(files(), nil); err != nil || len(covered) > 0 {
		t.Errorf("%v, %v", covered, err)
	}
	broken := errors.New("the disk is broken")
	if _, _, err := l.Cover(files(), func(proof.File) ([64]byte, error) { return [64]byte{}, broken }); !errors.Is(err, broken) {
		t.Error(err)
	}
}

func TestNotesAreBounded(t *testing.T) {
	var list strings.Builder
	var release []proof.File
	for i := range 1000 {
		name := fmt.Sprintf("file%d", i)
		list.WriteString(line("another", name))
		release = append(release, proof.Bytes(proof.Artifact, name, []byte("this")))
	}
	l, err := Parse([]byte(list.String()))
	if err != nil {
		t.Fatal(err)
	}
	covered, notes, err := l.Cover(release, nil)
	if err != nil || len(covered) > 0 || len(notes) > maxNotes+1 || !strings.Contains(notes[len(notes)-1], "of 984 more files") {
		t.Errorf("%d covered, %d notes, %v", len(covered), len(notes), err)
	}
}
