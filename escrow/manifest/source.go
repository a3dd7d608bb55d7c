package manifest

import (
	"fmt"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
)

func (m *Manifest) checkSources() error {
	if n := len(m.Sources); n < 1 || n > MaxSources {
		return fault.Invalidf("sources", "has %d entries, must have 1 to %d", n, MaxSources)
	}
	objects := 0
	for i, s := range m.Sources {
		at := fmt.Sprintf("sources[%d]", i)
		if err := s.check(at); err != nil {
			return err
		}
		if objects += len(s.LFS); objects > MaxLFS {
			return fault.Exhaustedf(at+".lfs", "the sources have more than %d Git LFS objects together", MaxLFS)
		}
	}
	return nil
}

func (s Source) check(at string) error {
	if err := s.checkKind(at); err != nil {
		return err
	}
	if err := checkFile(at, s.Digest, s.Size); err != nil {
		return err
	}
	if s.Into != "" && !cleanRelative(s.Into) {
		return fault.Invalidf(at+".into", "%q must be a clean relative path", s.Into)
	}
	if n := len(s.Bases); n > MaxBases {
		return fault.Exhaustedf(at+".bases", "has %d entries, %d at most", n, MaxBases).WithAdvice("deposit a bundle with the full history again")
	}
	if err := checkFiles(at+".bases", s.Bases, s.Digest); err != nil {
		return err
	}
	return checkFiles(at+".lfs", s.LFS, digest.Digest{})
}

func (s Source) checkKind(at string) error {
	switch s.Kind {
	case Archive:
		if s.Tag != "" {
			return fault.Invalidf(at+".tag", "is for git bundles only")
		}
		if len(s.Bases) > 0 {
			return fault.Invalidf(at+".bases", "is for git bundles only")
		}
		return nil
	case GitBundle:
		if s.Tag == "" {
			return fault.Invalidf(at+".tag", "is missing: name the tag to check out")
		}
		return nil
	default:
		return fault.Invalidf(at+".kind", "is %q, must be %q or %q", s.Kind, Archive, GitBundle)
	}
}

// checkFiles refuses a file that is listed twice, or that is the source itself.
func checkFiles(at string, files []File, itself digest.Digest) error {
	seen := map[digest.Digest]bool{itself: true}
	for i, f := range files {
		at := fmt.Sprintf("%s[%d]", at, i)
		if err := checkFile(at, f.Digest, f.Size); err != nil {
			return err
		}
		if f.Digest == itself {
			return fault.Invalidf(at+".digest", "is the source itself")
		}
		if seen[f.Digest] {
			return fault.Invalidf(at+".digest", "is listed twice")
		}
		seen[f.Digest] = true
	}
	return nil
}

// Files returns every file that the source is made of, each with the field that names it: the source itself, its bases
// and its Git LFS objects.
func (s Source) Files(field string) []NamedFile {
	list := []NamedFile{{Field: field, Name: s.Name, File: File{Digest: s.Digest, Size: s.Size}}}
	for i, f := range s.Bases {
		list = append(list, NamedFile{Field: fmt.Sprintf("%s.bases[%d]", field, i), Name: fmt.Sprintf("%s: base %d", s.Name, i+1), File: f})
	}
	for i, f := range s.LFS {
		list = append(list, NamedFile{Field: fmt.Sprintf("%s.lfs[%d]", field, i), Name: s.Name + ": Git LFS object", File: f})
	}
	return list
}

// NamedFile is a file of a source with its place in the manifest and a name for people.
type NamedFile struct {
	Field string
	Name  string
	File
}
