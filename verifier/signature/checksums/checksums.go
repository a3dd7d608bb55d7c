// Package checksums reads lists of checksums, such as SHA256SUMS and Debian's .dsc, and says which files they name. It knows nothing of
// who signed a list.
package checksums

import (
	"bytes"
	"crypto/sha512"
	"fmt"

	"github.com/countersign-escrow/countersign/escrow/digest"
)

// Caps on a list.
const (
	MaxBytes   = 1 << 20
	MaxEntries = 20_000
	maxName    = 1024 // bytes
	maxNotes   = 16   // on files of a release
)

// noteIgnored says that sums of weak hashes were passed over.
const noteIgnored = "SHA-1 and MD5 sums are not used"

// Entry is a file that a list names, by one of the two sums.
type Entry struct {
	Name   string // as it stands there, maybe with a path
	SHA256 digest.Digest
	SHA512 *[sha512.Size]byte
	Size   int64 // -1 if the list does not say
	Line   int   // from 1
}

func (e *Entry) sum() string {
	if e.SHA512 != nil {
		return fmt.Sprintf("sha512:%x", *e.SHA512)
	}
	return e.SHA256.String()
}

// List is what a list of checksums says.
type List struct {
	Entries []Entry
	Notes   []string
}

// Parse reads a list in the form of GNU's sha256sum, of BSD or openssl, or of Debian's control files. The algorithm is told by the form or
// by the length of the sum; a list may have several.
func Parse(b []byte) (List, error) {
	if len(b) > MaxBytes {
		return List{}, fmt.Errorf("the list has %d bytes, %d at most", len(b), MaxBytes)
	}
	p := parser{seen: map[key]int{}}
	parse := p.lines
	if isControl(b) {
		parse = p.control
	}
	if err := parse(bytes.Split(b, []byte("\n"))); err != nil {
		return List{}, err
	}
	if len(p.list.Entries) == 0 {
		return List{}, fmt.Errorf("the list names no file with a SHA-256 or SHA-512 sum")
	}
	return p.list, nil
}

type key struct {
	name   string
	sha512 bool
}

type parser struct {
	list List
	seen map[key]int // index of an entry
}

// add takes an entry unless it is there already.
func (p *parser) add(e Entry) error {
	switch {
	case e.Name == "":
		return fmt.Errorf("line %d: has no name", e.Line)
	case len(e.Name) > maxName:
		return fmt.Errorf("line %d: the name has %d bytes, %d at most", e.Line, len(e.Name), maxName)
	}
	k := key{e.Name, e.SHA512 != nil}
	if i, ok := p.seen[k]; ok {
		old := &p.list.Entries[i]
		if old.sum() != e.sum() || old.Size != e.Size {
			return fmt.Errorf("lines %d and %d: say different things of %.200q", old.Line, e.Line, e.Name)
		}
		return nil
	}
	if len(p.list.Entries) == MaxEntries {
		return fmt.Errorf("line %d: the list names more than %d files", e.Line, MaxEntries)
	}
	p.seen[k] = len(p.list.Entries)
	p.list.Entries = append(p.list.Entries, e)
	return nil
}

// note adds a note once.
func (p *parser) note(s string) {
	for _, n := range p.list.Notes {
		if n == s {
			return
		}
	}
	p.list.Notes = append(p.list.Notes, s)
}
