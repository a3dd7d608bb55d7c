package imagefile

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/countersign-escrow/countersign/escrow/digest"
)

// The media types of the OCI image specification that are written here.
const (
	typeIndex    = "application/vnd.oci.image.index.v1+json"
	typeManifest = "application/vnd.oci.image.manifest.v1+json"
	typeConfig   = "application/vnd.oci.image.config.v1+json"
	typeLayer    = "application/vnd.oci.image.layer.v1.tar"
	typeLayerGz  = "application/vnd.oci.image.layer.v1.tar+gzip"

	typeDockerList = "application/vnd.docker.distribution.manifest.list.v2+json"
)

type descriptor struct {
	MediaType string        `json:"mediaType"`
	Digest    digest.Digest `json:"digest"`
	Size      int64         `json:"size"`
	Platform  *platform     `json:"platform,omitempty"`
}

type platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
	Variant      string `json:"variant,omitempty"`
}

func (p platform) String() string {
	s := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	return s
}

type indexDocument struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType,omitempty"`
	Manifests     []descriptor `json:"manifests"`
}

type manifestDocument struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType,omitempty"`
	Config        descriptor   `json:"config"`
	Layers        []descriptor `json:"layers"`
}

func blobName(d digest.Digest) string { return "blobs/sha256/" + d.Hex() }

func openLayout(s store, want string) (*Image, error) {
	b, err := readDocument(s, "index.json")
	if err != nil {
		return nil, err
	}
	d, err := choose(s, b, want, 0)
	if err != nil {
		return nil, err
	}
	return openManifest(s, d)
}

// choose follows indexes down to the one manifest that is wanted.
func choose(s store, b []byte, want string, depth int) (descriptor, error) {
	const mostDepth = 4
	var index indexDocument
	if err := json.Unmarshal(b, &index); err != nil {
		return descriptor{}, fmt.Errorf("index: %w", err)
	}
	var fit, offered []string
	var chosen descriptor
	for _, d := range index.Manifests {
		if d.Platform != nil {
			offered = append(offered, d.Platform.String())
		}
		if len(index.Manifests) == 1 || d.Platform != nil && d.Platform.String() == want {
			fit = append(fit, d.Digest.String())
			chosen = d
		}
	}
	if len(fit) != 1 {
		return descriptor{}, fmt.Errorf("holds %d images for %q among %d (%s): make one with a single image", len(fit), want, len(index.Manifests), strings.Join(offered, ", "))
	}
	if chosen.MediaType != typeIndex && chosen.MediaType != typeDockerList {
		return chosen, nil
	}
	if depth >= mostDepth {
		return descriptor{}, fmt.Errorf("has indexes nested more than %d deep", mostDepth)
	}
	inner, err := readChecked(s, chosen)
	if err != nil {
		return descriptor{}, err
	}
	return choose(s, inner, want, depth+1)
}

func readChecked(s store, d descriptor) ([]byte, error) {
	b, err := readDocument(s, blobName(d.Digest))
	if err != nil {
		return nil, err
	}
	if got := digest.Of(b); got != d.Digest {
		return nil, fmt.Errorf("%s holds %s", blobName(d.Digest), got)
	}
	return b, nil
}

func openManifest(s store, d descriptor) (*Image, error) {
	b, err := readChecked(s, d)
	if err != nil {
		return nil, err
	}
	var m manifestDocument
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, fmt.Errorf("image manifest: %w", err)
	}
	if len(m.Layers) == 0 || len(m.Layers) > maxEntries {
		return nil, fmt.Errorf("image manifest: has %d layers", len(m.Layers))
	}
	config, err := readChecked(s, m.Config)
	if err != nil {
		return nil, err
	}
	p, err := platformOf(config)
	if err != nil {
		return nil, err
	}
	image := &Image{Digest: d.Digest, Platform: p}
	image.Blobs = append(image.Blobs, inStore(s, d.Digest, int64(len(b)), "manifest"), inStore(s, m.Config.Digest, m.Config.Size, "configuration"))
	for _, layer := range m.Layers {
		content, size, err := s.open(blobName(layer.Digest))
		if err != nil {
			return nil, err
		}
		content.Close()
		if size != layer.Size {
			return nil, fmt.Errorf("%s has %d bytes, the image manifest says %d", blobName(layer.Digest), size, layer.Size)
		}
		image.Blobs = append(image.Blobs, inStore(s, layer.Digest, size, "layer"))
	}
	return image, nil
}

func inStore(s store, d digest.Digest, size int64, kind string) Blob {
	return Blob{Digest: d, Size: size, Kind: kind, Open: func() (Content, error) {
		content, _, err := s.open(blobName(d))
		return content, err
	}}
}

func platformOf(config []byte) (string, error) {
	var p platform
	if err := json.Unmarshal(config, &p); err != nil {
		return "", fmt.Errorf("image configuration: %w", err)
	}
	if p.OS == "" || p.Architecture == "" {
		return "", fmt.Errorf("image configuration: names no platform")
	}
	return p.String(), nil
}
