package fetch

import (
	"encoding/json"
	"fmt"
	"path"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
)

// MaxImageManifest is the longest image manifest that is taken, in bytes.
const MaxImageManifest = 1 << 20

const maxLayers = 512

// descriptor names a blob in the documents of the OCI image specification.
type descriptor struct {
	MediaType string        `json:"mediaType"`
	Digest    digest.Digest `json:"digest"`
	Size      int64         `json:"size"`
}

// Environment plans an image's blobs, its manifest apart, as an OCI image layout. The documents are those files of it that
// name the image; they are to be saved last.
func Environment(image digest.Digest, raw []byte) (files []File, documents map[string][]byte, err error) {
	var m struct {
		MediaType string       `json:"mediaType"`
		Config    descriptor   `json:"config"`
		Layers    []descriptor `json:"layers"`
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, nil, fault.Invalidf("environment", "the image manifest %s: %v", image, err)
	}
	if n := len(m.Layers); n > maxLayers {
		return nil, nil, fault.Exhaustedf("environment", "the image has %d layers, %d at most", n, maxLayers)
	}
	seen := map[digest.Digest]bool{image: true}
	for i, d := range append([]descriptor{m.Config}, m.Layers...) {
		if d.Digest.IsZero() || d.Size < 0 {
			return nil, nil, fault.Invalidf("environment", "the image manifest %s: blob %d has no digest or no size", image, i)
		}
		if !seen[d.Digest] {
			seen[d.Digest] = true
			files = append(files, File{Path: layoutPath(d.Digest), Digest: d.Digest, Size: d.Size})
		}
	}
	documents, err = layout(descriptor{MediaType: m.MediaType, Digest: image, Size: int64(len(raw))}, raw)
	return files, documents, err
}

func layout(image descriptor, raw []byte) (map[string][]byte, error) {
	if image.MediaType == "" {
		image.MediaType = "application/vnd.oci.image.manifest.v1+json"
	}
	index, err := json.MarshalIndent(map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []descriptor{image},
	}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("index of the image: %w", err)
	}
	return map[string][]byte{
		layoutPath(image.Digest):                   raw,
		path.Join(EnvironmentFolder, "index.json"): append(index, '\n'),
		path.Join(EnvironmentFolder, "oci-layout"): []byte(`{"imageLayoutVersion":"1.0.0"}` + "\n"),
	}, nil
}

func layoutPath(d digest.Digest) string {
	return path.Join(EnvironmentFolder, "blobs", "sha256", d.Hex())
}
