package agent

import (
	"context"
	"errors"
	"io"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/intake"
	"github.com/countersign-escrow/countersign/escrow/manifest"
	"github.com/countersign-escrow/countersign/escrow/resource"
)

// Materials gives a rebuild the files of one release out of the cache.
type Materials struct {
	Cache   *Cache
	Release resource.Release
	Scratch string // a folder for what unpacking needs meanwhile
	Limits  intake.Limits
}

// Source unpacks a source into the folder dir.
func (m *Materials) Source(ctx context.Context, s manifest.Source, dir string) error {
	f, err := m.Cache.Open(ctx, m.Release, s.Digest, s.Size)
	if err != nil {
		return err
	}
	defer f.Close()
	tree, err := intake.Open(ctx, s.Kind, f, s.Size, s.Tag, m.Scratch, m.Limits)
	if err != nil {
		return err
	}
	return errors.Join(intake.Unpack(ctx, tree, dir), tree.Close())
}

// Artifact opens a shipped file.
func (m *Materials) Artifact(ctx context.Context, a manifest.Artifact) (io.ReaderAt, int64, io.Closer, error) {
	f, err := m.Cache.Open(ctx, m.Release, a.Digest, a.Size)
	if err != nil {
		return nil, 0, nil, err
	}
	return f, a.Size, f, nil
}

// Blob opens a blob of the environment's image.
func (m *Materials) Blob(ctx context.Context, d digest.Digest) (io.ReadCloser, error) {
	return m.Cache.Open(ctx, m.Release, d, -1)
}
