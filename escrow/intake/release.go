package intake

import (
	"context"
	"errors"
	"io"
	"path"

	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/intake/gitbundle"
	"github.com/countersign-escrow/countersign/escrow/manifest"
)

// Files gives the deposited files of a release.
type Files interface {
	// OpenFile opens a file, which has the size that f says. Reads of it may come from several goroutines. The fault is
	// NotFound where the file is not held.
	OpenFile(ctx context.Context, f manifest.File) (File, error)
}

// File is a deposited file.
type File interface {
	io.ReaderAt
	io.Closer
}

// Release opens the sources of one release, which may complete each other.
type Release struct {
	Sources []manifest.Source
	Files   Files
	Scratch string // an existing folder for what is made of git bundles
	Limits  Limits
}

// Open opens one of the sources. Closing the tree closes its files.
func (r *Release) Open(ctx context.Context, s manifest.Source) (Tree, error) {
	return r.open(ctx, s, options{caseSensitive: s.CaseSensitive, lfs: r.lfs(s), submodule: r.submodule(s)})
}

// open opens a source with whatever completes it.
func (r *Release) open(ctx context.Context, s manifest.Source, o options) (Tree, error) {
	held := new(heldTree)
	file, err := held.open(ctx, r.Files, manifest.File{Digest: s.Digest, Size: s.Size})
	if err != nil {
		return nil, errors.Join(err, held.Close())
	}
	switch s.Kind {
	case manifest.Archive:
		held.Tree, err = openArchive(file, r.Limits, o)
	case manifest.GitBundle:
		held.Tree, err = r.openBundle(ctx, held, file, s, o)
	default:
		err = fault.Invalidf("kind", "%q is no kind of source", s.Kind)
	}
	if err != nil {
		return nil, errors.Join(err, held.Close())
	}
	return held, nil
}

func (r *Release) openBundle(ctx context.Context, held *heldTree, file *source, s manifest.Source, o options) (Tree, error) {
	bases := make([]*source, len(s.Bases))
	for i, b := range s.Bases {
		var err error
		if bases[i], err = held.open(ctx, r.Files, b); err != nil {
			return nil, inBase(i, err)
		}
	}
	g := &gitOpener{ctx: ctx, scratch: r.Scratch, lim: r.Limits, options: o}
	return g.open(file, bases, s.Tag)
}

// lfs finds a pointer's content among the files that the source lists.
func (r *Release) lfs(s manifest.Source) func(context.Context, manifest.File, string) (File, error) {
	sizes := make(map[string]int64, len(s.LFS))
	for _, f := range s.LFS {
		sizes[f.Digest.Hex()] = f.Size
	}
	return func(ctx context.Context, p manifest.File, at string) (File, error) {
		size, ok := sizes[p.Digest.Hex()]
		switch {
		case !ok:
			return nil, gitbundle.Incompletef(at, "is a Git LFS pointer to %s, which the release does not hold", p.Digest).
				WithAdvice("list the object under lfs: of the source")
		case size != p.Size:
			return nil, fault.Invalidf(at, "is a Git LFS pointer to %d bytes, but %s has %d", p.Size, p.Digest, size)
		}
		return r.Files.OpenFile(ctx, p)
	}
}

// submodule finds what is linked to among the other sources: a git bundle that goes into the link's place and whose tag is at
// the linked commit.
func (r *Release) submodule(s manifest.Source) func(context.Context, string, string, string) error {
	return func(ctx context.Context, link, commit, at string) error {
		into, found := path.Join(s.Into, link), ""
		for _, other := range r.Sources {
			if other.Kind != manifest.GitBundle || other.Into != into {
				continue
			}
			has, err := r.commit(ctx, other)
			switch {
			case err != nil && fault.KindOf(err) == fault.Internal:
				return err
			case err != nil:
				return gitbundle.Incompletef(at, "is a submodule, and the source %.200q for it cannot be used: %v", other.Name, err)
			case has == commit:
				return nil
			}
			found = has
		}
		if found != "" {
			return gitbundle.Incompletef(at, "is a submodule at the commit %s, but the source that goes there is at %s", commit, found).
				WithAdvice("deposit the submodule with a tag at that commit")
		}
		return gitbundle.Incompletef(at, "is a submodule at the commit %s, which no source of the release holds", commit).
			WithAdvice("deposit the submodule as a git bundle of its own, with a tag at that commit and into: %s", into)
	}
}

// commit returns the commit that a git bundle's tag is at.
func (r *Release) commit(ctx context.Context, s manifest.Source) (string, error) {
	t, err := r.open(ctx, s, options{})
	if err != nil {
		return "", err
	}
	return t.Provenance().Commit, t.Close()
}

// heldTree is a tree with the files that it is read from.
type heldTree struct {
	Tree
	files []File
}

func (h *heldTree) open(ctx context.Context, files Files, f manifest.File) (*source, error) {
	file, err := files.OpenFile(ctx, f)
	if err != nil {
		return nil, err
	}
	h.files = append(h.files, file)
	return &source{r: file, size: f.Size}, nil
}

// Close closes the tree and then its files.
func (h *heldTree) Close() error {
	var all []error
	if h.Tree != nil {
		all = append(all, h.Tree.Close())
	}
	for _, f := range h.files {
		all = append(all, f.Close())
	}
	return errors.Join(all...)
}
