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
	Sources []manifest.Source // of the release: they complete each other
	Scratch string            // a folder for what unpacking needs meanwhile
	Limits  intake.Limits
}

// Source unpacks a source into the folder dir.
func (m *Materials) Source(ctx context.Context, s manifest.Source, dir string) error {
	r := &intake.Release{Sources: m.Sources, Files: m, Scratch: m.Scratch, Limits: m.Limits}
	tree, err := r.Open(ctx, s)
	if err != nil {
		return err
	}
	return errors.Join(intake.Unpack(ctx, tree, dir), tree.Close())
}

// OpenFile opens a file of a source. It implements intake.Files.
func (m *Materials) OpenFile(ctx context.Context, f manifest.File) (intake.File, error) {
	file, err := m.Cache.Open(ctx, m.Release, f.Digest, f.Size)
	if err != nil {
		return nil, err
	}
	return file, nil
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
