package intake

import (
	"encoding/hex"
	"io"
	"slices"
	"strings"
)

// treeBuilder collects a walk's entries with the ids of their contents.
type treeBuilder struct {
	hash    *objectHash
	buf     []byte
	root    *folder
	folders map[string]*folder
	files   int64
	bytes   int64
}

func newTreeBuilder() *treeBuilder {
	root := new(folder)
	return &treeBuilder{hash: newObjectHash(), buf: make([]byte, 128<<10), root: root, folders: map[string]*folder{"": root}}
}

// folder is a tree object in the making.
type folder struct{ children []child }

type child struct {
	name     string
	mode     Mode
	id       objectID  // of folders only when those of what they hold are known
	unpacked *objectID // as it is unpacked, where that is something else
	sub      *folder   // of folders
}

// gitlink is the mode of a submodule in the source's own tree. It has the commit as its id, followed by zeros in the SHA-256
// object format, which has no other name for it.
const gitlink = Symlink + 1

// add puts e into its folder, which a walk has given before.
func (b *treeBuilder) add(e Entry) error {
	c := child{name: strings.Clone(base(e.Path)), mode: e.Mode}
	var err error
	switch {
	case e.Submodule != "":
		err = b.submodule(&c, e.Submodule)
	case e.Mode == Folder:
		c.sub = new(folder)
		b.folders[e.Path] = c.sub
	case e.Mode == Symlink:
		b.files++
		c.id, err = b.hash.object(e.Path, "blob", []byte(e.Link))
	default:
		b.files++
		b.bytes += e.Size
		err = b.file(&c, e)
	}
	if err != nil {
		return err
	}
	in := b.folders[parent(e.Path)]
	in.children = append(in.children, c)
	return nil
}

func (b *treeBuilder) submodule(c *child, commit string) error {
	c.mode = gitlink
	if _, err := hex.Decode(c.id.sha1[:], []byte(commit)); err != nil {
		return err
	}
	copy(c.id.sha256[:], c.id.sha1[:])
	empty, err := b.hash.tree(nil, nil)
	c.unpacked = &empty
	return err
}

func (b *treeBuilder) file(c *child, e Entry) error {
	b.hash.begin("blob", e.Size)
	if _, err := io.CopyBuffer(b.hash, e.Content, b.buf); err != nil {
		return err
	}
	id, err := b.hash.end(e.Path)
	if c.id = id; err != nil || e.Pointer == nil {
		return err
	}
	c.unpacked = &id
	c.id, err = b.hash.object(e.Path, "blob", e.Pointer)
	return err
}

// ids hashes the folder's tree object after those of the folders in it, as the source has it and, where that is another one,
// as it is unpacked.
func (f *folder) ids(h *objectHash) (id objectID, unpacked *objectID, err error) {
	differs := false
	for i := range f.children {
		c := &f.children[i]
		if c.sub != nil {
			if c.id, c.unpacked, err = c.sub.ids(h); err != nil {
				return id, nil, err
			}
		}
		differs = differs || c.unpacked != nil
	}
	if id, err = f.object(h); err != nil || !differs {
		return id, nil, err
	}
	for i := range f.children {
		f.children[i].unpack()
	}
	other, err := f.object(h)
	return id, &other, err
}

// unpack makes of a child of the source's tree that of the unpacked one.
func (c *child) unpack() {
	if c.unpacked != nil {
		c.id = *c.unpacked
	}
	if c.mode == gitlink {
		c.mode = Folder
	}
}

// object hashes the folder's tree object.
func (f *folder) object(h *objectHash) (objectID, error) {
	slices.SortFunc(f.children, inTreeOrder)
	var forSHA1, forSHA256 []byte
	for i := range f.children {
		c := &f.children[i]
		head := gitMode(c.mode) + " " + c.name + "\x00"
		forSHA1 = append(append(forSHA1, head...), c.id.sha1[:]...)
		forSHA256 = append(append(forSHA256, head...), c.id.sha256[:]...)
	}
	return h.tree(forSHA1, forSHA256)
}

// inTreeOrder compares names as git does within a tree: by bytes, where a folder's name ends in "/".
func inTreeOrder(a, b child) int {
	n := min(len(a.name), len(b.name))
	if c := strings.Compare(a.name[:n], b.name[:n]); c != 0 {
		return c
	}
	return int(a.byteAt(n)) - int(b.byteAt(n))
}

// byteAt returns the byte at i, or what git takes to follow the name's end.
func (c child) byteAt(i int) byte {
	switch {
	case i < len(c.name):
		return c.name[i]
	case c.mode == Folder:
		return '/'
	default:
		return 0
	}
}

func gitMode(m Mode) string {
	switch m {
	case Folder:
		return "40000"
	case Executable:
		return "100755"
	case Symlink:
		return "120000"
	case gitlink:
		return "160000"
	default:
		return "100644"
	}
}
