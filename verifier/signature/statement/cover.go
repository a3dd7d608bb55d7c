package statement

import (
	"encoding/hex"
	"fmt"
	"path"

	"github.com/countersign-escrow/countersign/verifier/signature/gitobject"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

// Release is what a statement is compared with.
type Release struct {
	Product, Version string
	Files            []proof.File
	Git              []gitobject.Source
	// Hash512 computes SHA-512: registries of packages give no other. Nil: subjects without a SHA-256 are none of the release's.
	Hash512 func(proof.File) ([64]byte, error)
}

// matching is the comparison of a statement with a release.
type matching struct {
	s       *Statement
	r       Release
	named   map[string]*bytesOf // by the digest, sha256:… or sha512:…
	long    bool                // some have a SHA-512 alone
	matched []*Subject
	notes   []string
}

// bytesOf is what a statement calls the same bytes.
type bytesOf struct {
	subjects []*Subject
	bases    map[string]bool // base names
	any      bool            // one has no name, or is a package
	matched  bool
}

// Cover returns the files that are among the subjects by digest. A problem, with nothing covered, says that the statement is about
// another release that happens to have the same bytes, or may be. Errors are Hash512's.
func (s *Statement) Cover(r Release) (covered []proof.Covered, notes []string, problem string, err error) {
	m := &matching{s: s, r: r, named: map[string]*bytesOf{}}
	for i := range s.Subjects {
		m.index(&s.Subjects[i])
	}
	for _, f := range r.Files {
		ok, err := m.file(f)
		if err != nil {
			return nil, nil, "", err
		}
		if ok {
			covered = append(covered, proof.Covered{Role: f.Role, Name: f.Name, Digest: f.Digest})
		}
	}
	if len(covered) == 0 {
		return nil, m.notes, "", nil
	}
	if problem := m.origin(); problem != "" {
		return nil, m.notes, proof.Text(problem, maxProblem), nil
	}
	return covered, m.notes, "", nil
}

// index makes a subject findable, by SHA-256 if it has one.
func (m *matching) index(s *Subject) {
	sum := s.SHA256.String()
	if s.SHA256.IsZero() {
		if s.SHA512 == "" {
			return
		}
		sum, m.long = "sha512:"+s.SHA512, true
	}
	of := m.named[sum]
	if of == nil {
		of = &bytesOf{bases: map[string]bool{}}
		m.named[sum] = of
	}
	of.subjects = append(of.subjects, s)
	of.bases[path.Base(s.Name)] = true
	of.any = of.any || s.Name == "" || isPackage(s.Name)
}

// file says whether a file is among the subjects.
func (m *matching) file(f proof.File) (bool, error) {
	found := m.taken(f.Digest.String())
	if m.long && m.r.Hash512 != nil {
		sum, err := m.r.Hash512(f)
		if err != nil {
			return false, err
		}
		found = append(found, m.taken("sha512:"+hex.EncodeToString(sum[:]))...)
	}
	for _, of := range found {
		if of.any || of.bases[path.Base(f.Name)] {
			return true, nil
		}
	}
	if len(found) > 0 && len(m.notes) < maxNotes/2 {
		m.notef("names the file %.200q, whose bytes are those of %.200q", found[0].subjects[0].Name, f.Name)
	}
	return len(found) > 0, nil
}

// taken returns what is said of bytes, whose origin is then compared.
func (m *matching) taken(sum string) []*bytesOf {
	of := m.named[sum]
	if of == nil {
		return nil
	}
	if !of.matched {
		of.matched = true
		m.matched = append(m.matched, of.subjects...)
	}
	return []*bytesOf{of}
}

// maxNotes bounds what is said of files and sources. Half of it is for what is said of names.
const maxNotes = 16

func (m *matching) notef(format string, args ...any) {
	if len(m.notes) < maxNotes {
		m.notes = append(m.notes, fmt.Sprintf(format, args...))
	}
}
