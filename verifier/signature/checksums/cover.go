package checksums

import (
	"fmt"
	"iter"
	"path"
	"strings"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

// cover compares a list with the files of a release.
type cover struct {
	names   map[string][]*Entry        // by the whole name, and by every end of it that begins after a slash
	sums    map[digest.Digest][]*Entry // SHA-256 alone
	hash512 func(proof.File) ([64]byte, error)
	notes   []string
	unnoted int // files of which there is no note, for there are enough
}

// Cover returns the files that the list names by name and sum, and size if it gives one. A list may have been made in another folder, so that
// names are compared from their ends: of several files with a base name, those decide that have most of the path in common. Notes are on files
// of which it says something else. The same bytes under another name are not covered: another version's list may have them. SHA-512 is
// computed by hash512 where the list has no SHA-256 for a name; without that function such entries cover nothing. Errors are hash512's.
func (l List) Cover(files []proof.File, hash512 func(proof.File) ([64]byte, error)) (covered []proof.Covered, notes []string, err error) {
	c := &cover{names: map[string][]*Entry{}, sums: map[digest.Digest][]*Entry{}, hash512: hash512}
	c.index(l.Entries)
	for _, f := range files {
		ok, err := c.file(f)
		if err != nil {
			return nil, nil, err
		}
		if ok {
			covered = append(covered, proof.Covered{Role: f.Role, Name: f.Name, Digest: f.Digest})
		}
	}
	if c.unnoted > 0 {
		c.notes = append(c.notes, fmt.Sprintf("does not fit the names or the contents of %d more files", c.unnoted))
	}
	return covered, c.notes, nil
}

// index makes entries findable. Where a name has both sums, SHA-256 decides.
func (c *cover) index(entries []Entry) {
	short := map[string]bool{}
	for i := range entries {
		if e := &entries[i]; e.SHA512 == nil {
			short[e.Name] = true
			c.sums[e.SHA256] = append(c.sums[e.SHA256], e)
		}
	}
	for i := range entries {
		if e := &entries[i]; e.SHA512 == nil || !short[e.Name] {
			for end := range ends(e.Name) {
				c.names[end] = append(c.names[end], e)
			}
		}
	}
}

// ends gives a path, and what is left of it without its first folder, its first two and so on.
func ends(name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		name = strings.TrimPrefix(path.Clean(name), "/")
		for more := true; more; _, name, more = strings.Cut(name, "/") {
			if !yield(name) {
				return
			}
		}
	}
}

// entries returns those with most of a file's path. A manifest has no name of its own among the release's files.
func (c *cover) entries(f proof.File) []*Entry {
	if f.Role == proof.Manifest {
		return append(append([]*Entry(nil), c.names["manifest"]...), c.names["manifest.json"]...)
	}
	for end := range ends(f.Name) {
		if found := c.names[end]; len(found) > 0 {
			return found
		}
	}
	return nil
}

func (c *cover) file(f proof.File) (bool, error) {
	named := c.entries(f)
	if len(named) == 0 {
		if same := c.sums[f.Digest]; len(same) > 0 {
			c.notef("has the content of %.200q under another name, %.200q (line %d), which covers nothing", f.Name, same[0].Name, same[0].Line)
		}
		return false, nil
	}
	match, err := c.match(named, f)
	switch {
	case err != nil:
		return false, err
	case match == nil:
		c.notef("lists another content for %.200q (line %d, %.40s…)", f.Name, named[0].Line, named[0].sum())
	case match.Size >= 0 && match.Size != f.Size:
		c.notef("lists another size for %.200q (line %d: %d bytes, and not %d)", f.Name, match.Line, match.Size, f.Size)
	default:
		return true, nil
	}
	return false, nil
}

// match returns the entry with a file's sum.
func (c *cover) match(named []*Entry, f proof.File) (*Entry, error) {
	long := false
	for _, e := range named {
		if e.SHA512 == nil && e.SHA256 == f.Digest {
			return e, nil
		}
		long = long || e.SHA512 != nil
	}
	if !long || c.hash512 == nil {
		return nil, nil
	}
	sum, err := c.hash512(f)
	if err != nil {
		return nil, err
	}
	for _, e := range named {
		if e.SHA512 != nil && *e.SHA512 == sum {
			return e, nil
		}
	}
	return nil, nil
}

// notef notes something of a file. Of a release of many files, those that are too many are only counted.
func (c *cover) notef(format string, args ...any) {
	if len(c.notes) == maxNotes {
		c.unnoted++
		return
	}
	c.notes = append(c.notes, fmt.Sprintf(format, args...))
}
