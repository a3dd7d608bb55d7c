// Package materials gives a rebuild what its plan names out of the service's own custody. It knows nothing of who asks.
package materials

import (
	"context"
	"errors"
	"io"

	"github.com/countersign-escrow/countersign/escrow/blob"
	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/intake"
	"github.com/countersign-escrow/countersign/escrow/manifest"
	"github.com/countersign-escrow/countersign/escrow/resource"
)

// Held is what one vendor holds of a release. It implements rebuild.Materials.
type Held struct {
	Store   blob.Store
	Vendor  resource.Organization
	Sources []manifest.Source // of the release: they complete each other
	Scratch string            // an existing folder for what is made of git bundles
	Limits  intake.Limits
}

// OpenSource opens one of the sources as a tree.
func (h Held) OpenSource(ctx context.Context, s manifest.Source) (intake.Tree, error) {
	r := &intake.Release{Sources: h.Sources, Files: h, Scratch: h.Scratch, Limits: h.Limits}
	return r.Open(ctx, s)
}

// OpenFile opens a file of a source. It implements intake.Files.
func (h Held) OpenFile(ctx context.Context, f manifest.File) (intake.File, error) {
	b, err := h.open(ctx, f.Digest)
	if err != nil {
		return nil, err
	}
	if b.Size() != f.Size {
		b.Close()
		return nil, fault.Corruptf(f.Digest.String(), "%s has %d bytes, the manifest says %d", f.Digest, b.Size(), f.Size)
	}
	return b, nil
}

// Source unpacks s into the existing folder dir.
func (h Held) Source(ctx context.Context, s manifest.Source, dir string) error {
	tree, err := h.OpenSource(ctx, s)
	if err != nil {
		return err
	}
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
