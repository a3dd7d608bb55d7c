package statement

import (
	"bytes"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/verifier/signature/gitobject"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

// release is version 1.2.3, with the file that the statements of these tests are about.
func release() Release {
	return Release{Product: "app", Version: "1.2.3", Files: []proof.File{
		proof.Bytes(proof.Manifest, "manifest", []byte("manifest")), proof.Bytes(proof.Artifact, "dist/app", []byte("test")),
	}}
}

var (
	commitA, commitB = strings.Repeat("a", 40), strings.Repeat("b", 40)
	gitA             = gitobject.Source{Ref: "v1.2.3", CommitID: commitA}
	gitB             = gitobject.Source{Ref: "lib-7", CommitID: commitB}
)

// provenance names one source, of which each part may be empty.
func provenance(name, ref, commit string) []byte {
	uri := "git+https://h/o/r"
	if ref != "" {
		uri += "@" + ref
	}
	return about(name, provenanceV1, fmt.Sprintf(`{"buildDefinition":{"externalParameters":{"source":{"uri":%q,"digest":{"gitCommit":%q}}}}}`, uri, commit))
}

func TestCover(t *testing.T) {
	const tag, branch = "refs/tags/v1.2.3", "refs/heads/main"
	for name, c := range map[string]struct {
		in      []byte
		git     []gitobject.Source
		problem string // "" if the file is covered
		note    string
	}{
		"no source named":                      {statement("x", "{}"), nil, "", "names no source"},
		"no source named, package":             {about("pkg:npm/app@1.2.3", "x", "{}"), nil, "", "names no source"},
		"no source named, other version":       {about("pkg:npm/app@1.2.2", "x", "{}"), nil, `"pkg:npm/app@1.2.2", and the release is the version "1.2.3"`, ""},
		"another file's name":                  {about("other", "x", "{}"), nil, "", `names the file "other", whose bytes are those of "dist/app"`},
		"commit":                               {provenance("app", "", commitA), []gitobject.Source{gitA}, "", ""},
		"commit of the second source":          {provenance("app", "", commitB), []gitobject.Source{gitA, gitB}, "", ""},
		"commit and tag":                       {provenance("app", tag, commitA), []gitobject.Source{gitA}, "", ""},
		"commit, and a branch":                 {provenance("app", branch, commitA), []gitobject.Source{gitA}, "", ""},
		"other commit":                         {provenance("app", "", commitB), []gitobject.Source{gitA}, "names the commit " + commitB, ""},
		"other commit, same tag":               {provenance("app", tag, commitB), []gitobject.Source{gitA}, "and the release has " + commitA, ""},
		"other commit, same package":           {provenance("pkg:npm/app@1.2.3", "", commitB), []gitobject.Source{gitA}, "names the commit", ""},
		"same commit, other tag":               {provenance("app", "refs/tags/v1.2.2", commitA), []gitobject.Source{gitA}, `names the tag "v1.2.2"`, ""},
		"same commit, another source's tag":    {provenance("app", "refs/tags/lib-7", commitA), []gitobject.Source{gitA, gitB}, `names the tag "lib-7"`, ""},
		"tag":                                  {provenance("app", tag, ""), []gitobject.Source{gitA}, "", ""},
		"tag after the version, of no source":  {provenance("app", tag, ""), []gitobject.Source{gitB}, "names the tag", ""},
		"branch":                               {provenance("app", branch, ""), []gitobject.Source{gitA}, "nothing in the release can confirm it: deposit the git source", ""},
		"no git, tag after the version":        {provenance("app", tag, ""), nil, "", ""},
		"no git, tag and commit":               {provenance("app", tag, commitA), nil, "", "cannot be compared"},
		"no git, other tag":                    {provenance("app", "refs/tags/v1.2.2", ""), nil, `names the tag "v1.2.2"`, ""},
		"no git, other tag, same package":      {provenance("pkg:npm/app@1.2.3", "refs/tags/v1.2.2", ""), nil, `names the tag "v1.2.2"`, ""},
		"no git, branch":                       {provenance("app", branch, commitA), nil, "deposit the git source", "cannot be compared"},
		"no git, branch, same package":         {provenance("pkg:npm/%40scope/app@1.2.3", branch, commitA), nil, "", "cannot be compared"},
		"no git, branch, package, version v":   {provenance("pkg:golang/h/o/app@v1.2.3?type=module#dir", branch, ""), nil, "", ""},
		"no git, branch, other package":        {provenance("pkg:npm/%40scope/app@1.2.30", branch, commitA), nil, "the release is the version", ""},
		"no git, package without a version":    {provenance("pkg:npm/app", branch, ""), nil, "deposit the git source", ""},
		"no git, image, whose version is none": {provenance("pkg:oci/app@sha256%3Aabc", branch, ""), nil, "deposit the git source", ""},
		"no git, a name that may be a tag's":   {provenance("app", "v1.2.3", ""), nil, "deposit the git source", ""},
		"a name as long as it likes":           {provenance("app", "refs/tags/"+strings.Repeat("\\u0001", 900), ""), nil, "names the tag", ""},
	} {
		s, err := Parse(c.in)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		r := release()
		r.Git = c.git
		covered, notes, problem, err := s.Cover(r)
		if err != nil || (problem == "") != (c.problem == "") || !strings.Contains(problem, c.problem) || len(problem) > 500 {
			t.Errorf("%s: %q, %v, want %q", name, problem, err, c.problem)
		}
		if ok := len(covered) == 1 && covered[0].Name == "dist/app" && covered[0].Role == proof.Artifact; ok != (c.problem == "") {
			t.Errorf("%s: covers %+v", name, covered)
		}
		if all := strings.Join(notes, "; "); c.note != "" && !strings.Contains(all, c.note) {
			t.Errorf("%s: notes %q, want %q", name, notes, c.note)
		}
	}
}

func TestCoversNothingElse(t *testing.T) {
	s, err := Parse(provenance("app", "refs/tags/v9", commitB))
	if err != nil {
		t.Fatal(err)
	}
	r := release()
	r.Files = r.Files[:1]
	if covered, _, problem, err := s.Cover(r); len(covered) > 0 || problem != "" || err != nil {
		t.Errorf("%v, %q, %v: there is nothing to compare", covered, problem, err)
	}
}

func TestTagOf(t *testing.T) {
	for tag, want := range map[string]bool{
		"1.2.3": true, "v1.2.3": true, "app-1.2.3": true, "app-v1.2.3": true, "@s/app@1.2.3": true, "app_1.2.3": true, "dir/v1.2.3": true,
		"11.2.3": false, "v11.2.3": false, "1.2.3-rc1": false, "1.2.30": false, "prev1.2.3": false, "app1.2.3": false, "": false, "v0.1.2.3": false,
		"2.0-1.2.3": false, "v2.0.0-1.2.3": false, "app-2.0-1.2.3": false, "2-1.2.3": false, "v2/1.2.3": false, "7zip-1.2.3": true, "lib2/v1.2.3": true,
	} {
		if got := tagOf(tag, "1.2.3"); got != want {
			t.Errorf("%q: %v", tag, got)
		}
	}
	if tagOf("v", "") {
		t.Error("no version")
	}
}

// TestManyOfTheSameBytes: thousands of subjects and of files that are all the same bytes are compared in no time, and said little of.
func TestManyOfTheSameBytes(t *testing.T) {
	one := []byte(fmt.Sprintf(`{"name":"x","digest":{"sha256":%q}},`, sum))
	in := bytes.Replace(about("x", provenanceV1, "{}"), []byte(`"subject":[`), append([]byte(`"subject":[`), bytes.Repeat(one, 2500)...), 1)
	s, err := Parse(in)
	if err != nil || len(s.Subjects) != 2501 {
		t.Fatal(len(s.Subjects), err)
	}
	r := release()
	for range 4096 {
		r.Files = append(r.Files, r.Files[1])
	}
	began := time.Now()
	covered, notes, problem, err := s.Cover(r)
	if err != nil || problem != "" || len(covered) != 4097 || len(notes) > maxNotes || !strings.Contains(notes[len(notes)-1], "names no source") {
		t.Errorf("%d, %d notes, %q, %v", len(covered), len(notes), problem, err)
	}
	if took := time.Since(began); took > 500*time.Millisecond {
		t.Errorf("took %v", took)
	}
}

// The real statements are of packages that are not here. So the digest that they name is said to be that of a file that is.
func TestCoverByRealStatements(t *testing.T) {
	const commit = "f0b49a04e5a62250e0f60fb128004a73110fe311"
	for name, c := range map[string]struct {
		file, version, commit, problem string
	}{
		"v1":                 {"npm-sigstore-2.0.0.json", "2.0.0", "", ""},
		"v1, commit":         {"npm-sigstore-2.0.0.json", "2.0.0", commit, ""},
		"v1, other commit":   {"npm-sigstore-2.0.0.json", "2.0.0", commitA, "names the commit " + commit},
		"v1, other version":  {"npm-sigstore-2.0.0.json", "2.0.1", commit, `is the version "2.0.1"`},
		"v0.2":               {"npm-sigstore-1.3.0.json", "1.3.0", "", ""},
		"v0.2, other commit": {"npm-sigstore-1.3.0.json", "1.3.0", commit, "names the commit dae8bd"},
		"publish":            {"npm-sigstore-1.3.0-publish.json", "1.3.0", "", ""},
		"publish, other":     {"npm-sigstore-1.3.0-publish.json", "1.3.1", "", `is the version "1.3.1"`},
		"branch alone":       {"slsa-demo.json", "0.0.7", "", "deposit the git source"},
		"branch and commit":  {"slsa-demo.json", "0.0.7", "29cff3dd65f780c3601bd457acb6fe4e5931c825", ""},
	} {
		s, err := Parse(read(t, c.file))
		if err != nil {
			t.Fatal(err)
		}
		r := release()
		r.Version = c.version
		if c.commit != "" {
			r.Git = []gitobject.Source{{Ref: "v" + c.version, CommitID: c.commit}}
		}
		r.Hash512 = func(f proof.File) (sum [64]byte, err error) {
			if f.Role == proof.Artifact {
				_, err = hex.Decode(sum[:], []byte(s.Subjects[0].SHA512))
			}
			return sum, err
		}
		covered, _, problem, err := s.Cover(r)
		if err != nil || (problem == "") != (c.problem == "") || !strings.Contains(problem, c.problem) || (len(covered) == 1) != (problem == "") {
			t.Errorf("%s: %v, %q, %v", name, covered, problem, err)
		}
	}
}

func TestSHA512(t *testing.T) {
	long := sha512.Sum512([]byte("test"))
	in := bytes.Replace(bytes.Replace(statement("x", "{}"), []byte("sha256"), []byte("sha512"), 1), []byte(sum), []byte(hex.EncodeToString(long[:])), 1)
	s, err := Parse(in)
	if err != nil {
		t.Fatal(err)
	}
	r := release()
	if covered, _, _, err := s.Cover(r); err != nil || len(covered) > 0 {
		t.Errorf("%v, %v", covered, err)
	}
	r.Hash512 = func(f proof.File) ([64]byte, error) {
		b, err := f.All(t.Context(), 100)
		return sha512.Sum512(b), err
	}
	if covered, _, _, err := s.Cover(r); err != nil || len(covered) != 1 {
		t.Errorf("%v, %v", covered, err)
	}
	broken := errors.New("the disk is broken")
	r.Hash512 = func(proof.File) ([64]byte, error) { return [64]byte{}, broken }
	if _, _, _, err := s.Cover(r); !errors.Is(err, broken) {
		t.Error(err)
	}
}
