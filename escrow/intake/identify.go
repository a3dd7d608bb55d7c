package intake

import (
	"context"
	"encoding/hex"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

// TreePrefix stands before a tree's id in git's SHA-256 object format.
const TreePrefix = "git-sha256:"

// Identity is what a tree is, whatever file it came in. docs/source-identity.md has the forms.
type Identity struct {
	Tree   string    // TreePrefix and 64 hexadecimal digits
	SWHIDs []string  // swh:1:dir:… first; for git also swh:1:rev:… and, for an annotated tag, swh:1:rel:…
	Files  int64     // files and links
	Bytes  int64     // content of all files
	Time   time.Time // as Provenance has it
}

// Identify reads the whole tree once. For git it also makes sure that the tree is the one that the commit names;
// if not, the error is fault.Corrupt.
func Identify(ctx context.Context, t Tree) (Identity, error) {
	b := newTreeBuilder()
	if err := t.Walk(ctx, b.add); err != nil {
		return Identity{}, err
	}
	root, err := b.root.ids(b.hash)
	if err != nil {
		return Identity{}, err
	}
	p := t.Provenance()
	dir := hex.EncodeToString(root.sha1[:])
	if p.CommitsTo != "" && p.CommitsTo != dir {
		return Identity{}, fault.Corruptf("source", "the commit %s names the tree %s, but its files make the tree %s", p.Commit, p.CommitsTo, dir)
	}
	return Identity{
		Tree:   TreePrefix + hex.EncodeToString(root.sha256[:]),
		SWHIDs: p.swhids(dir),
		Files:  b.files,
		Bytes:  b.bytes,
		Time:   p.Time,
	}, nil
}

func (p Provenance) swhids(dir string) []string {
	ids := []string{"swh:1:dir:" + dir}
	if p.Commit != "" {
		ids = append(ids, "swh:1:rev:"+p.Commit)
	}
	if p.TagObject != "" {
		ids = append(ids, "swh:1:rel:"+p.TagObject)
	}
	return ids
}

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
	name string
	mode Mode
	id   objectID // of files and links
	sub  *folder  // of folders
}

// add puts e into its folder, which a walk has given before.
func (b *treeBuilder) add(e Entry) error {
	c := child{name: base(e.Path), mode: e.Mode}
	var err error
	switch e.Mode {
	case Folder:
		c.sub = new(folder)
		b.folders[e.Path] = c.sub
	case Symlink:
		b.files++
		c.id, err = b.hash.object(e.Path, "blob", []byte(e.Link))
	default:
		b.files++
		b.bytes += e.Size
		c.id, err = b.content(e)
	}
	if err != nil {
		return err
	}
	in := b.folders[parent(e.Path)]
	in.children = append(in.children, c)
	return nil
}

func (b *treeBuilder) content(e Entry) (objectID, error) {
	b.hash.begin("blob", e.Size)
	if _, err := io.CopyBuffer(b.hash, e.Content, b.buf); err != nil {
		return objectID{}, err
	}
	return b.hash.end(e.Path)
}

// ids hashes the folder's tree object after those of the folders in it.
func (f *folder) ids(h *objectHash) (objectID, error) {
	slices.SortFunc(f.children, inTreeOrder)
	var forSHA1, forSHA256 []byte
	for i := range f.children {
		c := &f.children[i]
		if c.mode == Folder {
			var err error
			if c.id, err = c.sub.ids(h); err != nil {
				return objectID{}, err
			}
		}
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
	default:
		return "100644"
	}
}
