package releasefile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/signaturefiles"
	"github.com/countersign-escrow/countersign/services/internal/problem"
	"github.com/countersign-escrow/countersign/verifier/signature"
)

// Signature is a signature file, and what it is over.
type Signature struct {
	signature.Signature
	Path  string
	Over  string // for people: manifest, a path, or "" where its content carries what it is over or says it by itself
	Found bool   // it lay beside the files, and the release file does not name it
}

// signatures gathers the signatures of one deposit.
type signatures struct {
	*File
	deposit  *Deposit
	problems *problem.Collector
	subjects map[string]digest.Digest // of sources and artifacts, by path
	all      []Signature
	bytes    int
}

// Signatures reads the signature files that the release file names, and if asked those that lie beside sources and artifacts. It refuses
// what is no signature, and those that were plainly made over something else than this deposit. Whether any counts is for others to say.
// The paths in skip are never taken for signatures that lie about.
func (f *File) Signatures(d *Deposit, find bool, skip ...string) ([]Signature, error) {
	s := &signatures{File: f, deposit: d, problems: &problem.Collector{File: f.path, OneForPlace: true}, subjects: f.subjects(d)}
	if len(f.doc.Signatures) == 0 {
		s.problem("signatures", "is missing: name a file, and make it with: escrowctl sign %s --key FILE", f.path)
	}
	for i, e := range f.doc.Signatures {
		s.named(index("signatures", i), e)
	}
	if find && s.problems.Empty() {
		if err := s.find(skip); err != nil {
			return nil, err
		}
	}
	return s.all, s.problems.Err()
}

// subjects are the digests of sources and artifacts by their paths here.
func (f *File) subjects(d *Deposit) map[string]digest.Digest {
	paths := make(map[string]digest.Digest)
	for i, s := range f.doc.Sources {
		paths[f.resolve(s.Archive+s.GitBundle)] = d.Manifest.Sources[i].Digest
	}
	for i, a := range f.doc.Artifacts {
		paths[f.resolve(a.Path)] = d.Manifest.Artifacts[i].Digest
	}
	return paths
}

func (s *signatures) problem(field, format string, args ...any) {
	s.problems.Add(s.tree.line(field), field, format, args...)
}

// named takes a signature that the release file names.
func (s *signatures) named(field string, e signatureEntry) {
	path := s.resolve(e.File)
	content, err := readCapped(path, signature.MaxSignatureBytes)
	switch {
	case errors.Is(err, fs.ErrNotExist) && e.plain():
		s.problem(field, "%s: no such file; make it with: escrowctl sign %s --key FILE", e.File, s.path)
		return
	case errors.Is(err, fs.ErrNotExist):
		s.problem(field, "%s: no such file", e.File)
		return
	case err != nil:
		s.problem(field, "%s: %v", e.File, err)
		return
	}
	one := Signature{Path: path, Signature: signature.Signature{Name: filepath.Base(path), Content: content, MediaType: signature.Detect(content)}}
	if one.MediaType == "" {
		s.problem(field, "%s: is no signature of a kind that is known; make one with escrowctl sign, cosign sign-blob --bundle, gpg --detach-sign or ssh-keygen -Y sign", e.File)
		return
	}
	if s.over(field, e, &one) {
		s.add(field, one)
	}
}

// over fills in what a signature is over, and says whether that can be.
func (s *signatures) over(field string, e signatureEntry, one *Signature) bool {
	switch {
	case e.List != "":
		list, err := readCapped(s.resolve(e.List), signature.MaxListBytes)
		if err != nil {
			s.problem(join(field, "list"), "%s: %v", e.List, unwrapPath(err))
			return false
		}
		one.List, one.ListName, one.Over = list, filepath.Base(e.List), e.List
	case e.Over != "" && e.Over != manifestName:
		subject, ok := s.subjects[s.resolve(e.Over)]
		if !ok {
			s.problem(join(field, "over"), "%s: is no source or artifact of the release, nor %q", e.Over, manifestName)
			return false
		}
		one.Subject, one.Over = subject, e.Over
	default:
		one.Over = manifestName
		if err := staleBundle(one.Content, s.deposit); err != nil {
			s.problem(field, "%s: %v", e.File, err)
			return false
		}
	}
	return true
}

// add takes one more within the caps.
func (s *signatures) add(field string, one Signature) {
	s.bytes += len(one.Content) + len(one.List)
	switch {
	case len(s.all) >= signature.MaxSignatures:
		s.problem(field, "there are more than %d signatures%s", signature.MaxSignatures, s.limitAdvice(one))
	case s.bytes > signature.MaxTotalBytes:
		s.problem(field, "the signatures have more than %d bytes together%s", signature.MaxTotalBytes, s.limitAdvice(one))
	default:
		s.all = append(s.all, one)
	}
}

func (s *signatures) limitAdvice(one Signature) string {
	if !one.Found {
		return ""
	}
	return fmt.Sprintf(", with %s and others that lie beside the files: name those that matter, and give --no-found-signatures", one.Path)
}

// find takes the signatures that lie beside sources and artifacts.
func (s *signatures) find(skip []string) error {
	known := map[string]bool{s.path: true}
	for _, path := range skip {
		known[filepath.Clean(path)] = true
	}
	search := signaturefiles.Search{Manifest: s.deposit.Digest, Detect: signature.Detect,
		Skip:         func(path string) bool { _, is := s.subjects[path]; return is || known[filepath.Clean(path)] },
		MaxSignature: signature.MaxSignatureBytes, MaxList: signature.MaxListBytes}
	for _, one := range s.all {
		known[filepath.Clean(one.Path)] = true
	}
	search.Files = s.beside()
	found, err := search.Run()
	for _, f := range found {
		s.add("signatures", s.found(f))
	}
	return err
}

// beside are sources and artifacts in the order of the release file.
func (s *signatures) beside() (files []signaturefiles.File) {
	add := func(name string) {
		path := s.resolve(name)
		files = append(files, signaturefiles.File{Path: path, Digest: s.subjects[path]})
	}
	for _, source := range s.doc.Sources {
		add(source.Archive + source.GitBundle)
	}
	for _, a := range s.doc.Artifacts {
		add(a.Path)
	}
	return files
}

func (s *signatures) found(f signaturefiles.Found) Signature {
	one := Signature{Path: f.Path, Over: f.Over, Found: true, Signature: signature.Signature{Name: f.Name, MediaType: f.MediaType, Content: f.Content}}
	if f.Over != "" {
		one.Subject = s.subjects[f.Over]
	}
	if f.List != "" {
		one.Over, one.List, one.ListName = f.List, f.ListBytes, filepath.Base(f.List)
	}
	return one
}

func readCapped(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(b)) > most {
		err = fmt.Errorf("has more than %d KiB", most>>10)
	}
	return b, err
}

// unwrapPath leaves out the path, which messages name by themselves.
func unwrapPath(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
