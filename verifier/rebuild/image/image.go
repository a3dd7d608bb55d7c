// Package image reads OCI images from blobs, checking every digest, and unpacks them into folders.
// It knows nothing of where the blobs are held or of what will run in the folder.
package image

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
)

// Caps on an image's own documents.
const (
	maxDocument = 4 << 20 // bytes of manifest and of configuration
	maxLayers   = 512
)

// Blobs opens a blob by its digest. What it gives is not trusted.
type Blobs func(ctx context.Context, d digest.Digest) (io.ReadCloser, error)

// Image is what an image says of itself.
type Image struct {
	Digest   digest.Digest // of the manifest
	Platform string        // such as linux/amd64 or linux/arm/v7
	Path     string        // the variable PATH that its programs expect; "" if it says nothing
	layers   []layer
	blobs    Blobs
}

type layer struct {
	blob   digest.Digest // as held
	size   int64         // as held
	diffID digest.Digest // of the tar stream
}

// Open reads the manifest with that digest and the configuration that it names.
func Open(ctx context.Context, blobs Blobs, d digest.Digest) (*Image, error) {
	raw, err := readDocument(ctx, blobs, d, -1)
	if err != nil {
		return nil, fmt.Errorf("image manifest: %w", err)
	}
	m, err := v1.ParseManifest(bytes.NewReader(raw))
	if err != nil {
		return nil, fault.Invalidf("image manifest", "%v", err)
	}
	if err := checkManifest(m); err != nil {
		return nil, err
	}
	c, err := openConfig(ctx, blobs, m)
	if err != nil {
		return nil, err
	}
	im := &Image{Digest: d, Platform: platform(c), Path: pathOf(c.Config.Env), blobs: blobs}
	for i, desc := range m.Layers {
		l, err := newLayer(desc, c.RootFS.DiffIDs[i])
		if err != nil {
			return nil, fault.Invalidf(fmt.Sprintf("image layer %d", i), "%v", err)
		}
		im.layers = append(im.layers, l)
	}
	return im, nil
}

func checkManifest(m *v1.Manifest) error {
	if m.MediaType.IsIndex() {
		return fault.Invalidf("image manifest", "is an index of images").WithAdvice("name the manifest of one platform")
	}
	if m.SchemaVersion != 2 {
		return fault.Invalidf("image manifest", "has schema version %d, must be 2", m.SchemaVersion)
	}
	if n := len(m.Layers); n < 1 || n > maxLayers {
		return fault.Invalidf("image manifest", "has %d layers, must have 1 to %d", n, maxLayers)
	}
	for i, l := range m.Layers {
		if !isLayer(l.MediaType) {
			return fault.Invalidf(fmt.Sprintf("image layer %d", i), "has media type %q, which cannot be held in escrow", l.MediaType)
		}
	}
	return nil
}

func isLayer(t types.MediaType) bool {
	switch t {
	case types.OCILayer, types.OCIUncompressedLayer, types.OCILayerZStd, types.DockerLayer, types.DockerUncompressedLayer:
		return true
	}
	return false
}

func openConfig(ctx context.Context, blobs Blobs, m *v1.Manifest) (*v1.ConfigFile, error) {
	d, err := digest.Parse(m.Config.Digest.String())
	if err != nil {
		return nil, fault.Invalidf("image manifest", "config: %v", err)
	}
	raw, err := readDocument(ctx, blobs, d, m.Config.Size)
	if err != nil {
		return nil, fmt.Errorf("image configuration: %w", err)
	}
	c, err := v1.ParseConfigFile(bytes.NewReader(raw))
	if err != nil {
		return nil, fault.Invalidf("image configuration", "%v", err)
	}
	if n := len(c.RootFS.DiffIDs); n != len(m.Layers) {
		return nil, fault.Invalidf("image configuration", "lists %d layers, the manifest %d", n, len(m.Layers))
	}
	if c.OS == "" || c.Architecture == "" {
		return nil, fault.Invalidf("image configuration", "does not say for which operating system and architecture it is")
	}
	return c, nil
}

func newLayer(desc v1.Descriptor, diffID v1.Hash) (layer, error) {
	blob, err := digest.Parse(desc.Digest.String())
	if err != nil {
		return layer{}, err
	}
	diff, err := digest.Parse(diffID.String())
	if err != nil {
		return layer{}, err
	}
	return layer{blob: blob, size: desc.Size, diffID: diff}, nil
}

func platform(c *v1.ConfigFile) string {
	p := c.OS + "/" + c.Architecture
	if c.Variant != "" {
		p += "/" + c.Variant
	}
	return p
}

func pathOf(env []string) string {
	for _, v := range env {
		if p, ok := strings.CutPrefix(v, "PATH="); ok {
			return p
		}
	}
	return ""
}

// readDocument reads a small blob; size -1 stands for "not known".
func readDocument(ctx context.Context, blobs Blobs, d digest.Digest, size int64) ([]byte, error) {
	if size > maxDocument {
		return nil, fault.Exhaustedf(d.String(), "has %d bytes, %d at most", size, maxDocument)
	}
	rc, err := blobs(ctx, d)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	b, err := io.ReadAll(io.LimitReader(rc, maxDocument+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxDocument {
		return nil, fault.Exhaustedf(d.String(), "has more than %d bytes", maxDocument)
	}
	if digest.Of(b) != d {
		return nil, fault.Corruptf(d.String(), "blob %s does not have its digest", d)
	}
	if size >= 0 && int64(len(b)) != size {
		return nil, fault.Invalidf("image manifest", "says that %s has %d bytes, it has %d", d, size, len(b))
	}
	return b, nil
}
