// Package signaturefiles finds the signature files that lie beside the files of a release. It knows nothing of release files, or of what
// a signature is worth.
package signaturefiles

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/countersign-escrow/countersign/escrow/digest"
)

// File is a source or an artifact of the release, here.
type File struct {
	Path   string
	Digest digest.Digest
}

// Found is a signature file.
type Found struct {
	Path      string // as the files' paths are given
	Name      string // of the file; of a line in a file of many, with the line's number
	MediaType string
	Content   []byte
	Over      string // the path of the file that it is over; "" where its content carries what it is over
	List      string // the path of the list of checksums that it is over; "" if none
	ListBytes []byte
}

// Search says where to look, and by what.
type Search struct {
	Files    []File
	Manifest digest.Digest
	// Detect tells the media type of a signature file by its content, "" if it is none.
	Detect func([]byte) string
	// Skip says of a path that its file is known already, or is something else.
	Skip func(path string) bool
	// Caps, in bytes.
	MaxSignature, MaxList int64
}

// suffixes are what signature files have after the name of the file that they are over.
var suffixes = []string{".asc", ".sig", ".gpg", ".sign", ".pgp", ".minisig", ".signify", ".sshsig", ".p7s", ".p7", ".sigstore", ".sigstore.json", ".bundle"}

// lists are the names of lists of checksums, in lower case.
var lists = []string{"sha256sums", "sha512sums", "sha256sums.txt", "sha256sum.txt", "sha512sums.txt", "sha512sum.txt", "checksums.txt", "*checksum*", "*.sha256sum", "*.sha512sum"}

// carrying are the names of files that carry what they are over, in lower case.
var carrying = []string{"*.dsc", "*.intoto.jsonl", "*.sigstore.json", "*.sigstore"}

// Run looks beside each file, and through the folders that the files lie in. What is found comes in the order of the files, then by
// folder and name.
func (s Search) Run() ([]Found, error) {
	w := &walk{Search: s, seen: make(map[string]bool)}
	for _, f := range s.Files {
		for _, suffix := range suffixes {
			w.over(f.Path, f.Path+suffix)
		}
	}
	for _, dir := range folders(s.Files) {
		if err := w.folder(dir); err != nil {
			return nil, err
		}
	}
	return w.found, nil
}

// folders returns the folders that the files lie in.
func folders(files []File) []string {
	var dirs []string
	for _, f := range files {
		dirs = append(dirs, filepath.Dir(f.Path))
	}
	slices.Sort(dirs)
	return slices.Compact(dirs)
}

type walk struct {
	Search
	seen  map[string]bool
	found []Found
}

func (w *walk) folder(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		switch name := strings.ToLower(e.Name()); {
		case matches(carrying, name):
			w.carried(path)
		case matches(lists, name):
			w.list(path)
		}
	}
	return nil
}

func matches(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		ok, _ := filepath.Match(p, name)
		return ok
	})
}

// take reads a file that was not taken yet. Whatever cannot be read, is too long or is no regular file is none.
func (w *walk) take(path string, most int64) ([]byte, bool) {
	if w.seen[path] || w.Skip != nil && w.Skip(path) {
		return nil, false
	}
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() || info.Size() > most {
		return nil, false
	}
	b, err := os.ReadFile(path)
	return b, err == nil && int64(len(b)) <= most
}

func (w *walk) add(path string, f Found) {
	w.seen[path] = true
	f.Path = path
	if f.Name == "" {
		f.Name = filepath.Base(path)
	}
	w.found = append(w.found, f)
}
