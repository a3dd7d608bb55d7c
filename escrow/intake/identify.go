package intake

import (
	"context"
	"encoding/hex"
	"time"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

// TreePrefix stands before a tree's id in git's SHA-256 object format.
const TreePrefix = "git-sha256:"

// Identity is what a tree is, whatever file it came in. docs/source-identity.md has the forms.
type Identity struct {
	Tree string // TreePrefix and 64 hexadecimal digits
	// Unpacked is the id in the same form of the tree that Unpack writes, where that is another one: with the files that Git LFS
	// pointers stand for, and empty folders in the place of submodules.
	Unpacked string
	SWHIDs   []string  // swh:1:dir:… first; for git also swh:1:rev:… and, for an annotated tag, swh:1:rel:…
	Files    int64     // files and links
	Bytes    int64     // content of all files, as unpacked
	Time     time.Time // as Provenance has it
}

// Identify reads the whole tree once. For git it also makes sure that the tree is the one that the commit names;
// if not, the error is fault.Corrupt.
func Identify(ctx context.Context, t Tree) (Identity, error) {
	b := newTreeBuilder()
	if err := t.Walk(ctx, b.add); err != nil {
		return Identity{}, err
	}
	root, unpacked, err := b.root.ids(b.hash)
	if err != nil {
		return Identity{}, err
	}
	p := t.Provenance()
	dir := hex.EncodeToString(root.sha1[:])
	if p.CommitsTo != "" && p.CommitsTo != dir {
		return Identity{}, fault.Corruptf("source", "the commit %s names the tree %s, but its files make the tree %s", p.Commit, p.CommitsTo, dir)
	}
	id := Identity{Tree: root.treeName(), SWHIDs: p.swhids(dir), Files: b.files, Bytes: b.bytes, Time: p.Time}
	if unpacked != nil {
		id.Unpacked = unpacked.treeName()
	}
	return id, nil
}

func (id objectID) treeName() string { return TreePrefix + hex.EncodeToString(id.sha256[:]) }

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
