package intake

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"

	"github.com/countersign-escrow/countersign/escrow/manifest"
)

// Needs is what a source needs from outside of its own files to be whole.
type Needs struct {
	LFS        []manifest.File // Git LFS objects, each once, by digest
	Submodules []Submodule     // in the order of the tree
}

// Submodule is a place in a tree that git links to a commit of another repository.
type Submodule struct {
	Path   string `json:"path"`
	Commit string `json:"commit"` // 40 hexadecimal digits
}

// Needs reads one of the sources to its end and says what it needs, whether the release has it or not.
func (r *Release) Needs(ctx context.Context, s manifest.Source) (Needs, error) {
	var n Needs
	seen := make(map[manifest.File]bool)
	t, err := r.open(ctx, s, options{
		caseSensitive: s.CaseSensitive,
		lfs: func(_ context.Context, p manifest.File, _ string) (File, error) {
			if !seen[p] {
				seen[p] = true
				n.LFS = append(n.LFS, p)
			}
			return absent{}, nil
		},
		submodule: func(_ context.Context, path, commit, _ string) error {
			n.Submodules = append(n.Submodules, Submodule{Path: path, Commit: commit})
			return nil
		},
	})
	if err != nil {
		return Needs{}, err
	}
	err = t.Walk(ctx, func(e Entry) error {
		if e.Content == nil || e.Pointer != nil {
			return nil
		}
		_, err := io.Copy(io.Discard, e.Content)
		return err
	})
	slices.SortFunc(n.LFS, func(a, b manifest.File) int { return cmp.Compare(a.Digest.Hex(), b.Digest.Hex()) })
	return n, errors.Join(err, t.Close())
}

// absent stands for a file that nobody reads.
type absent struct{}

// ReadAt has nothing to read.
func (absent) ReadAt([]byte, int64) (int, error) { return 0, io.EOF }

// Close has nothing to close.
func (absent) Close() error { return nil }
