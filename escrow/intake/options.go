package intake

import (
	"context"

	"github.com/countersign-escrow/countersign/escrow/intake/gitbundle"
	"github.com/countersign-escrow/countersign/escrow/manifest"
)

// options are what a release says of a source beside its file. Without them nothing completes the source, and no names may
// differ in case alone.
type options struct {
	caseSensitive bool
	// lfs opens what a Git LFS pointer stands for, or says why it cannot; at names the pointer in errors.
	lfs func(ctx context.Context, p manifest.File, at string) (File, error)
	// submodule says why what a link in the tree names is not held, if it is not.
	submodule func(ctx context.Context, path, commit, at string) error
}

func (o options) openLFS(ctx context.Context, p manifest.File, at string) (File, error) {
	if o.lfs == nil {
		return nil, gitbundle.Incompletef(at, "is a Git LFS pointer to %s, whose content the source does not hold", p.Digest)
	}
	return o.lfs(ctx, p, at)
}

func (o options) checkSubmodule(ctx context.Context, path, commit, at string) error {
	if o.submodule == nil {
		return gitbundle.Incompletef(at, "is a submodule at the commit %s, whose files the source does not hold", commit)
	}
	return o.submodule(ctx, path, commit, at)
}
