// Package sourcebundle makes the git bundle of a release with stock git, without the objects that earlier bundles hold, and says
// what goes with it. It knows nothing of the service that it is deposited with.
package sourcebundle

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/intake"
	"github.com/countersign-escrow/countersign/escrow/intake/gitbundle"
	"github.com/countersign-escrow/countersign/escrow/manifest"
)

// Request says what to bundle.
type Request struct {
	Repository string
	Tag        string   // with or without refs/tags/
	Bases      []string // bundles made before, each after those that it needs itself
	Out        string
}

// Bundle is what came out, and what a release needs beside it.
type Bundle struct {
	File       string
	Tag        string
	Commit     string
	Digest     digest.Digest
	Size       int64
	Bases      []string
	LFS        []manifest.File // Git LFS objects that the tree has pointers to
	Submodules []intake.Submodule

	CaseSensitive bool // names in the tree differ in nothing but the case of letters
}

const tagPrefix = "refs/tags/"

// Make writes the bundle and then reads it as the service will, bases first. The same repository, bases and version of git give
// the same bytes.
func Make(ctx context.Context, r Request) (*Bundle, error) {
	b := &Bundle{File: r.Out, Tag: strings.TrimPrefix(r.Tag, tagPrefix), Bases: r.Bases}
	g := repository{dir: r.Repository}
	var err error
	if b.Commit, err = g.run(ctx, "", "rev-parse", "--verify", "--quiet", "--end-of-options", tagPrefix+b.Tag+"^{commit}"); err != nil {
		return nil, fault.Invalidf("--tag", "%s has no tag %q that names a commit", r.Repository, b.Tag)
	}
	held, err := g.heldBy(ctx, r.Bases)
	if err != nil {
		return nil, err
	}
	if err := g.write(ctx, r.Out, tagPrefix+b.Tag, held); err != nil {
		return nil, err
	}
	return b, b.inspect(ctx)
}

// heldBy returns what the bases refer to. All that these commits build on is in the bases, or in what the bases build on.
func (r repository) heldBy(ctx context.Context, bases []string) ([]string, error) {
	var held []string
	for _, path := range bases {
		h, err := readHeader(path)
		if err != nil {
			return nil, fmt.Errorf("--base %s: %w", path, err)
		}
		for name, id := range h.Refs {
			if _, err := r.run(ctx, "", "cat-file", "-e", id.String()+"^{commit}"); err != nil {
				return nil, fault.Preconditionf("NOT_IN_REPOSITORY", "", "--base %s: the repository does not have its %s, %s", path, name, id).
					WithAdvice("fetch it, or leave the base out")
			}
			held = append(held, id.String())
		}
	}
	slices.Sort(held)
	return slices.Compact(held), nil
}

func readHeader(path string) (*gitbundle.Header, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return gitbundle.ReadHeader(f)
}

// write makes the bundle in a file beside out and puts it in its place when it is whole.
func (r repository) write(ctx context.Context, out, ref string, held []string) error {
	dir, err := os.MkdirTemp(filepath.Dir(out), ".bundle-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	tmp, err := filepath.Abs(filepath.Join(dir, "bundle"))
	if err != nil {
		return err
	}
	var revisions strings.Builder
	revisions.WriteString(ref + "\n")
	for _, id := range held {
		revisions.WriteString("^" + id + "\n")
	}
	args := append(slices.Clone(sameBytes), "bundle", "create", "--quiet", tmp, "--stdin")
	if _, err := r.run(ctx, revisions.String(), args...); err != nil {
		return err
	}
	return os.Rename(tmp, out)
}

// sameBytes are settings without which packs differ from run to run, or with what a user has set.
var sameBytes = []string{"-c", "pack.threads=1", "-c", "pack.window=10", "-c", "pack.depth=50", "-c", "pack.windowMemory=0",
	"-c", "pack.compression=-1", "-c", "core.bigFileThreshold=128m", "-c", "pack.useBitmaps=false", "-c", "pack.allowPackReuse=false"}

// inspect reads the bundle to its end.
func (b *Bundle) inspect(ctx context.Context) error {
	scratch, err := os.MkdirTemp("", "escrowctl-source-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	files := make(localFiles)
	s := manifest.Source{Kind: manifest.GitBundle, Tag: b.Tag}
	if s.Digest, s.Size, err = files.add(b.File); err != nil {
		return err
	}
	for _, path := range b.Bases {
		d, size, err := files.add(path)
		if err != nil {
			return err
		}
		s.Bases = append(s.Bases, manifest.File{Digest: d, Size: size})
	}
	b.Digest, b.Size = s.Digest, s.Size
	r := &intake.Release{Sources: []manifest.Source{s}, Files: files, Scratch: scratch, Limits: intake.DefaultLimits()}
	needs, err := r.Needs(ctx, s)
	if fault.Is(err, fault.Invalid) {
		s.CaseSensitive = true
		if again, otherwise := r.Needs(ctx, s); otherwise == nil {
			needs, err, b.CaseSensitive = again, nil, true
		}
	}
	b.LFS, b.Submodules = needs.LFS, needs.Submodules
	return err
}

// localFiles gives files here by their digests.
type localFiles map[digest.Digest]string

func (l localFiles) add(path string) (digest.Digest, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return digest.Digest{}, 0, err
	}
	d, size, err := digest.FromReader(f)
	l[d] = path
	return d, size, errors.Join(err, f.Close())
}

// OpenFile opens the file with that digest.
func (l localFiles) OpenFile(_ context.Context, f manifest.File) (intake.File, error) {
	return os.Open(l[f.Digest])
}
