package intake

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/intake/gitbundle"
)

// gitTree is the tree of one commit in a bundle.
type gitTree struct {
	src    *source
	packed int64 // bytes of the bundle and its bases
	lim    Limits
	opts   options
	packs  []*gitbundle.Pack // those of the bases, then the bundle's own
	root   gitbundle.ID
	prov   Provenance
}

// Provenance returns the commit and the tag.
func (t *gitTree) Provenance() Provenance { return t.prov }

// Close removes what was made of the packs.
func (t *gitTree) Close() error {
	var all []error
	for _, p := range slices.Backward(t.packs) {
		all = append(all, p.Close())
	}
	return errors.Join(all...)
}

// resolve goes from what the tag refers to, by the tag object if there is one, to the commit and its tree.
func (t *gitTree) resolve(ctx context.Context, id gitbundle.ID, tag string) error {
	kind, b, err := t.small(ctx, id, "the tag's object")
	if err != nil {
		return err
	}
	if kind == gitbundle.Tag {
		t.prov.TagObject, t.prov.TagContent = id.String(), b
		if id, err = commitOfTag(b, strings.TrimPrefix(tag, "refs/tags/")); err != nil {
			return err
		}
		if kind, b, err = t.small(ctx, id, "the tagged commit"); err != nil {
			return err
		}
	}
	if kind != gitbundle.Commit {
		return fault.Invalidf("tag", "%.200q names a %s, must name a commit", tag, kind)
	}
	t.prov.Commit, t.prov.CommitContent = id.String(), b
	if t.root, t.prov.Time, err = readCommit(b); err != nil {
		return err
	}
	t.prov.CommitsTo = t.root.String()
	return nil
}

// maxSmall bounds tag and commit objects, which hold messages and signatures.
const maxSmall = 1 << 20

func (t *gitTree) small(ctx context.Context, id gitbundle.ID, what string) (gitbundle.Kind, []byte, error) {
	o, err := t.object(ctx, id, what)
	if err != nil {
		return "", nil, err
	}
	if o.Kind != gitbundle.Tag && o.Kind != gitbundle.Commit {
		return o.Kind, nil, nil
	}
	if o.Size > maxSmall {
		return "", nil, fault.Exhaustedf(what, "has %d bytes, %d at most", o.Size, maxSmall)
	}
	b, err := io.ReadAll(o.Content)
	return o.Kind, b, err
}

// object reads an object that must be there.
func (t *gitTree) object(ctx context.Context, id gitbundle.ID, at string) (gitbundle.Object, error) {
	o, err := t.packs[len(t.packs)-1].Object(ctx, id)
	if errors.Is(err, gitbundle.ErrMissing) {
		if len(t.packs) > 1 {
			return o, gitbundle.Incompletef(at, "neither the bundle nor its bases hold it (object %s)", id).WithAdvice(adviceBases)
		}
		return o, gitbundle.Incompletef(at, "the bundle does not hold it (object %s)", id).
			WithAdvice("bundle from a full clone, not from a shallow or partial one")
	}
	return o, err
}

// Walk goes through the tree in git's order.
func (t *gitTree) Walk(ctx context.Context, each func(Entry) error) error {
	w := &gitWalk{t: t, guard: newGuard(ctx, t.src, t.lim, t.opts, each)}
	w.guard.packed = t.packed
	if err := w.folder(ctx, t.root, ""); err != nil {
		return err
	}
	return w.guard.finish()
}

type gitWalk struct {
	t     *gitTree
	guard *guard
}

func (w *gitWalk) folder(ctx context.Context, id gitbundle.ID, path string) error {
	at := "root folder"
	if path != "" {
		at = member(path, -1)
	}
	o, err := w.t.object(ctx, id, at)
	if err != nil {
		return err
	}
	if o.Kind != gitbundle.Tree {
		return fault.Invalidf(at, "is a %s where a folder should be", o.Kind)
	}
	b, err := io.ReadAll(o.Content)
	if err != nil {
		return err
	}
	for len(b) > 0 {
		var e treeEntry
		if e, b, err = nextTreeEntry(b, at); err != nil {
			return err
		}
		if err := w.entry(ctx, e, strings.TrimPrefix(path+"/"+e.name, "/")); err != nil {
			return err
		}
	}
	return nil
}

func (w *gitWalk) entry(ctx context.Context, e treeEntry, path string) error {
	at := member(path, -1)
	switch e.mode {
	case "40000":
		if err := w.guard.add(Entry{Path: path, Mode: Folder}, at); err != nil {
			return err
		}
		return w.folder(ctx, e.id, path)
	case "100644":
		return w.blob(ctx, e.id, Entry{Path: path, Mode: Regular}, at)
	case "100755":
		return w.blob(ctx, e.id, Entry{Path: path, Mode: Executable}, at)
	case "120000":
		return w.blob(ctx, e.id, Entry{Path: path, Mode: Symlink}, at)
	case "160000":
		return w.guard.add(Entry{Path: path, Mode: Folder, Submodule: e.id.String()}, at)
	default:
		return fault.Invalidf(at, "has the mode %q, which git does not write", e.mode)
	}
}

func (w *gitWalk) blob(ctx context.Context, id gitbundle.ID, e Entry, at string) error {
	if err := checkPath(e.Path, at, w.t.lim); err != nil {
		return err // before the object is read: its id may be of any kind
	}
	o, err := w.t.object(ctx, id, at)
	if err != nil {
		return err
	}
	if o.Kind != gitbundle.Blob {
		return fault.Invalidf(at, "is a %s where a file should be", o.Kind)
	}
	e.Size, e.Content, e.ModTime = o.Size, o.Content, w.t.prov.Time
	if e.Mode != Symlink {
		return w.guard.add(e, at)
	}
	if o.Size > int64(w.t.lim.MaxPathBytes) {
		return fault.Exhaustedf(at, "the link's target has %d bytes, %d at most", o.Size, w.t.lim.MaxPathBytes)
	}
	target, err := io.ReadAll(o.Content)
	if err != nil {
		return err
	}
	e.Size, e.Content, e.Link = 0, nil, string(target)
	return w.guard.add(e, at)
}

type treeEntry struct {
	mode, name string
	id         gitbundle.ID
}

// nextTreeEntry reads the first entry of a tree object, "mode name NUL id", and returns what follows.
func nextTreeEntry(b []byte, at string) (treeEntry, []byte, error) {
	head, rest, ok := bytes.Cut(b, []byte{0})
	mode, name, blank := strings.Cut(string(head), " ")
	if !ok || !blank || len(rest) < len(gitbundle.ID{}) {
		return treeEntry{}, nil, fault.Invalidf(at, "is a malformed folder")
	}
	if strings.Contains(name, "/") {
		return treeEntry{}, nil, fault.Invalidf(at, "holds a name with a slash, %.200q", name)
	}
	e := treeEntry{mode: mode, name: name}
	n := copy(e.id[:], rest)
	return e, rest[n:], nil
}

// commitOfTag reads a tag object and returns the commit that it is for. The name in the object, which a signature would cover,
// must be the one asked for: whoever made the bundle can name the reference at will.
func commitOfTag(b []byte, name string) (gitbundle.ID, error) {
	h := objectHeader(b)
	if h["type"] != string(gitbundle.Commit) {
		return gitbundle.ID{}, fault.Invalidf("tag", "%.200q is for a %.20q, must be for a commit", name, h["type"])
	}
	if h["tag"] != name {
		return gitbundle.ID{}, fault.Invalidf("tag", "%.200q refers to a tag object of another name, %.200q", name, h["tag"])
	}
	id, ok := gitbundle.ParseID(h["object"])
	if !ok {
		return id, fault.Invalidf("tag", "the tag object is malformed")
	}
	return id, nil
}

// readCommit reads the tree and the commit time.
func readCommit(b []byte) (gitbundle.ID, time.Time, error) {
	h := objectHeader(b)
	id, ok := gitbundle.ParseID(h["tree"])
	words := strings.Fields(h["committer"]) // name <address> seconds zone
	if !ok || len(words) < 2 {
		return id, time.Time{}, fault.Invalidf("commit", "is malformed")
	}
	seconds, err := strconv.ParseInt(words[len(words)-2], 10, 64)
	if err != nil {
		return id, time.Time{}, fault.Invalidf("commit", "its committer has a malformed time")
	}
	return id, sourceTime(time.Unix(seconds, 0)), nil
}

// objectHeader returns the header fields of a commit or tag object by their names; of fields that repeat, the first.
func objectHeader(b []byte) map[string]string {
	head, _, _ := strings.Cut(string(b), "\n\n")
	h := make(map[string]string)
	for line := range strings.SplitSeq(head, "\n") {
		name, value, _ := strings.Cut(line, " ")
		if _, ok := h[name]; !ok {
			h[name] = value
		}
	}
	return h
}
