package gitpack

import (
	"bytes"
)

// refer is called with what an object refers to.
type refer func(id *ID, kind code) error

// checkForm says whether a commit, tree or tag is well-formed, and calls to with everything that it refers to.
func checkForm(kind code, b []byte, to refer) error {
	switch kind {
	case codeCommit:
		return checkCommit(b, to)
	case codeTree:
		return checkTree(b, to)
	case codeTag:
		return checkTag(b, to)
	default:
		return nil
	}
}

// malformed is what is wrong with an object.
type malformed string

func (m malformed) Error() string { return string(m) }

// field takes a line "name value" off a header.
func field(b []byte, name string) (value, rest []byte, ok bool) {
	rest, ok = bytes.CutPrefix(b, []byte(name))
	if !ok || len(rest) == 0 || rest[0] != ' ' {
		return nil, b, false
	}
	i := bytes.IndexByte(rest, '\n')
	if i < 0 {
		return nil, b, false
	}
	return rest[1:i], rest[i+1:], true
}

func idField(b []byte, name string) (id ID, rest []byte, ok bool) {
	value, rest, ok := field(b, name)
	if ok {
		id, ok = ParseID(string(value))
	}
	return id, rest, ok
}

// header returns what is before the first blank line; a NUL in it would hide the rest from programs in C.
func header(b []byte) ([]byte, error) {
	end := bytes.Index(b, []byte("\n\n"))
	head := b
	if end >= 0 {
		head = b[:end+1]
	}
	if !bytes.HasSuffix(head, []byte("\n")) {
		return nil, malformed("its header does not end")
	}
	if bytes.IndexByte(head, 0) >= 0 {
		return nil, malformed("its header holds a NUL")
	}
	return head, nil
}

func checkCommit(b []byte, to refer) error {
	b, err := header(b)
	if err != nil {
		return err
	}
	id, b, ok := idField(b, "tree")
	if !ok {
		return malformed("names no tree")
	}
	if err := to(&id, codeTree); err != nil {
		return err
	}
	for bytes.HasPrefix(b, []byte("parent ")) {
		if id, b, ok = idField(b, "parent"); !ok {
			return malformed("names a malformed parent")
		}
		if err := to(&id, codeCommit); err != nil {
			return err
		}
	}
	for _, name := range []string{"author", "committer"} {
		var who []byte
		if who, b, ok = field(b, name); !ok || !isIdentity(who) {
			return malformed("has no well-formed " + name)
		}
	}
	return nil
}

// isIdentity asks for an address in angle brackets. Old commits have all sorts of names and times around it.
func isIdentity(b []byte) bool {
	_, rest, ok := bytes.Cut(b, []byte("<"))
	return ok && bytes.IndexByte(rest, '>') >= 0
}

func checkTag(b []byte, to refer) error {
	b, err := header(b)
	if err != nil {
		return err
	}
	id, b, ok := idField(b, "object")
	if !ok {
		return malformed("names no object")
	}
	kind, b, ok := field(b, "type")
	if !ok || codeOf(string(kind)) == codeNone {
		return malformed("names no kind of object")
	}
	if name, _, ok := field(b, "tag"); !ok || len(name) == 0 {
		return malformed("has no name")
	}
	return to(&id, codeOf(string(kind)))
}

func checkTree(b []byte, to refer) error {
	var order treeOrder
	for len(b) > 0 {
		e, rest, err := nextEntry(b)
		if err != nil {
			return err
		}
		b = rest
		if err := order.next(e); err != nil {
			return err
		}
		if e.kind == codeNone {
			continue // a commit of another repository
		}
		if err := to(e.id, e.kind); err != nil {
			return err
		}
	}
	return nil
}

// treeEntry is an entry of a tree: "mode name NUL id".
type treeEntry struct {
	name []byte
	id   *ID
	kind code // none for a submodule
}

func nextEntry(b []byte) (e treeEntry, rest []byte, err error) {
	mode, i := uint32(0), 0
	for ; i < len(b) && b[i] >= '0' && b[i] <= '7' && i < 8; i++ {
		mode = mode<<3 | uint32(b[i]-'0')
	}
	if i == 0 || i >= len(b) || b[i] != ' ' {
		return e, nil, malformed("has an entry with a malformed mode")
	}
	b = b[i+1:]
	end := bytes.IndexByte(b, 0)
	if end <= 0 || len(b) < end+1+len(ID{}) {
		return e, nil, malformed("has an entry without a name or an id")
	}
	e.name, e.id = b[:end], (*ID)(b[end+1:])
	if bytes.IndexByte(e.name, '/') >= 0 {
		return e, nil, malformed("has an entry whose name has a slash")
	}
	const typeBits, folder, file, link, submodule = 0o170000, 0o040000, 0o100000, 0o120000, 0o160000
	switch mode & typeBits {
	case folder:
		e.kind = codeTree
	case file, link:
		e.kind = codeBlob
	case submodule:
	default:
		return e, nil, malformed("has an entry with a mode that git does not write")
	}
	return e, b[end+1+len(ID{}):], nil
}

// treeOrder checks that entries are sorted and none occurs twice. Folders sort as if their names ended in a slash, so that between a
// file and a folder of the same name there can be others, all of which begin with that name.
type treeOrder struct {
	last   treeEntry
	any    bool
	prefix [][]byte // names of files that the entries since then all begin with
}

func (o *treeOrder) next(e treeEntry) error {
	if o.any {
		if compareEntries(o.last, e) >= 0 {
			return malformed("is not sorted, or has an entry twice")
		}
		if o.last.kind != codeTree && bytes.HasPrefix(e.name, o.last.name) {
			o.prefix = append(o.prefix, o.last.name)
		}
		for len(o.prefix) > 0 && !bytes.HasPrefix(e.name, o.prefix[len(o.prefix)-1]) {
			o.prefix = o.prefix[:len(o.prefix)-1]
		}
		for _, name := range o.prefix {
			if e.kind == codeTree && len(name) == len(e.name) {
				return malformed("has a file and a folder of the same name")
			}
		}
	}
	o.last, o.any = e, true
	return nil
}

// compareEntries compares as git sorts.
func compareEntries(a, b treeEntry) int {
	n := min(len(a.name), len(b.name))
	if c := bytes.Compare(a.name[:n], b.name[:n]); c != 0 {
		return c
	}
	return int(a.after(n)) - int(b.after(n))
}

// after returns the byte at n, with a slash behind the name of a folder, and 0 at the end.
func (e treeEntry) after(n int) byte {
	switch {
	case n < len(e.name):
		return e.name[n]
	case e.kind == codeTree && n == len(e.name):
		return '/'
	default:
		return 0
	}
}
