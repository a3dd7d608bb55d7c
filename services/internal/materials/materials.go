// Package materials gives a rebuild what its plan names out of the service's own custody. It knows nothing of who asks.
package materials

import (
	"context"
	"errors"
	"io"

	"github.com/countersign-escrow/countersign/escrow/blob"
	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/intake"
	"github.com/countersign-escrow/countersign/escrow/manifest"
	"github.com/countersign-escrow/countersign/escrow/resource"
)

// Held is what one vendor holds. It implements rebuild.Materials.
type Held struct {
	Store   blob.Store
	Vendor  resource.Organization
	Scratch string // an existing folder for what git makes of a bundle
	Limits  intake.Limits
}

// OpenSource opens a source as a tree. Whoever closes the tree must close the file after it.
func (h Held) OpenSource(ctx context.Context, s manifest.Source) (intake.Tree, io.Closer, error) {
	b, err := h.open(ctx, s.Digest)
	if err != nil {
		return nil, nil, err
	}
	tree, err := intake.Open(ctx, s.Kind, b, b.Size(), s.Tag, h.Scratch, h.Limits)
	if err != nil {
		b.Close()
		return nil, nil, err
	}
	return tree, b, nil
}

// Source unpacks s into the existing folder dir.
func (h Held) Source(ctx context.Context, s manifest.Source, dir string) error {
	tree, file, err := h.OpenSource(ctx, s)
	if err != nil {
		return err
	}
	defer file.Close()
	return errors.Join(intake.Unpack(ctx, tree, dir), tree.Close())
}

// Artifact opens a shipped file.
func (h Held) Artifact(ctx context.Context, a manifest.Artifact) (io.ReaderAt, int64, io.Closer, error) {
	b, err := h.open(ctx, a.Digest)
	if err != nil {
		return nil, 0, nil, err
	}
	return b, b.Size(), b, nil
}

// Blob opens a blob of the environment's image.
func (h Held) Blob(ctx context.Context, d digest.Digest) (io.ReadCloser, error) {
	b, err := h.open(ctx, d)
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.NewSectionReader(b, 0, b.Size()), b}, nil
}

func (h Held) open(ctx context.Context, d digest.Digest) (blob.Blob, error) {
	return h.Store.Open(ctx, blob.Ref{Holder: h.Vendor, Digest: d})
}
