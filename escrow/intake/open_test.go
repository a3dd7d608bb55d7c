package intake

import (
	"context"
	"io"
)

// OpenArchive opens an archive by itself, without a release around it.
func OpenArchive(r io.ReaderAt, size int64, lim Limits) (Tree, error) {
	return openArchive(&source{r: r, size: size}, lim, options{})
}

// OpenGitBundle opens the tree of the commit that a tag in a git bundle names, without a release around it.
func OpenGitBundle(ctx context.Context, r io.ReaderAt, size int64, tag, scratchDir string, lim Limits) (Tree, error) {
	g := &gitOpener{ctx: ctx, scratch: scratchDir, lim: lim}
	return g.open(&source{r: r, size: size}, nil, tag)
}
