package rebuildtest

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/manifest"
)

// Materials implements rebuild.Materials from memory.
type Materials struct {
	Blobs     Blobs // of images and of shipped artifacts
	Sources   map[digest.Digest]map[string]string
	SourceErr error // answered for every source, if set
}

// Source writes the files of a source.
func (m *Materials) Source(_ context.Context, s manifest.Source, dir string) error {
	if m.SourceErr != nil {
		return m.SourceErr
	}
	files, ok := m.Sources[s.Digest]
	if !ok {
		return fault.NoSuch(s.Digest.String())
	}
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			return err
		}
		if err := os.Chtimes(path, Time, Time); err != nil {
			return err
		}
	}
	return nil
}

// Artifact opens a shipped artifact.
func (m *Materials) Artifact(_ context.Context, a manifest.Artifact) (io.ReaderAt, int64, io.Closer, error) {
	content, ok := m.Blobs[a.Digest]
	if !ok {
		return nil, 0, nil, fault.NoSuch(a.Digest.String())
	}
	return bytes.NewReader(content), int64(len(content)), io.NopCloser(nil), nil
}

// Blob opens a blob of the image.
func (m *Materials) Blob(ctx context.Context, d digest.Digest) (io.ReadCloser, error) {
	return m.Blobs.Open(ctx, d)
}
