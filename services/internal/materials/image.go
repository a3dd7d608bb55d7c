package materials

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/countersign-escrow/countersign/escrow/blob"
	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
)

// Caps on an image, which is a vendor's input.
const (
	maxManifestBytes = 1 << 20
	maxConfigBytes   = 4 << 20
	maxLayers        = 512
)

// Image is an environment: an OCI image manifest and what it names.
type Image struct {
	Digest   digest.Digest
	Platform string            // such as linux/amd64, without a variant
	Blobs    []catalog.BlobRef // the manifest itself, the configuration and the layers, each once
}

// Bytes returns the size of all its blobs together.
func (i *Image) Bytes() int64 {
	var n int64
	for _, b := range i.Blobs {
		n += b.Size
	}
	return n
}

// imageManifest is what matters here of an OCI image manifest.
type imageManifest struct {
	SchemaVersion int             `json:"schemaVersion"`
	MediaType     string          `json:"mediaType"`
	Config        descriptor      `json:"config"`
	Layers        []descriptor    `json:"layers"`
	Manifests     json.RawMessage `json:"manifests"` // of an index
}

type descriptor struct {
	Digest string `json:"digest"`
	Size   int64  `json:"size"`
}

// OpenImage reads an image's manifest and configuration from what a vendor holds. The fault is NotFound where one of the
// two is not held, and Invalid or Exhausted where it cannot be used. Whether the layers are held is for Missing to say.
func OpenImage(ctx context.Context, store blob.Store, vendor resource.Organization, image digest.Digest) (*Image, error) {
	raw, err := readSmall(ctx, store, blob.Ref{Holder: vendor, Digest: image}, maxManifestBytes, "the image manifest")
	if err != nil {
		return nil, err
	}
	img := &Image{Digest: image}
	config, err := img.readManifest(raw)
	if err != nil {
		return nil, err
	}
	raw, err = readSmall(ctx, store, blob.Ref{Holder: vendor, Digest: config}, maxConfigBytes, "the image's configuration")
	if err != nil {
		return nil, err
	}
	return img, img.readConfig(raw)
}

func (i *Image) readManifest(raw []byte) (config digest.Digest, err error) {
	var m imageManifest
	if err := json.Unmarshal(raw, &m); err != nil {
		return digest.Digest{}, fault.Invalidf("image", "its manifest is not JSON: %v", err)
	}
	switch {
	case len(m.Manifests) > 0:
		return digest.Digest{}, fault.Invalidf("image", "is an index of images").WithAdvice("name the manifest of one image in it")
	case m.SchemaVersion != 2:
		return digest.Digest{}, fault.Invalidf("image", "schemaVersion is %d, must be 2", m.SchemaVersion)
	case len(m.Layers) > maxLayers:
		return digest.Digest{}, fault.Exhaustedf("image", "has %d layers, %d at most", len(m.Layers), maxLayers)
	}
	i.Blobs = []catalog.BlobRef{{Digest: i.Digest, Size: int64(len(raw))}}
	if err := i.add("config", m.Config); err != nil {
		return digest.Digest{}, err
	}
	for n, l := range m.Layers {
		if err := i.add(fmt.Sprintf("layers[%d]", n), l); err != nil {
			return digest.Digest{}, err
		}
	}
	return i.Blobs[1].Digest, nil
}

func (i *Image) add(at string, d descriptor) error {
	parsed, err := digest.Parse(d.Digest)
	if err != nil {
		return fault.Invalidf("image", "%s: %v", at, err)
	}
	if d.Size < 0 {
		return fault.Invalidf("image", "%s: its size is negative", at)
	}
	for _, b := range i.Blobs {
		if b.Digest == parsed {
			if b.Size != d.Size {
				return fault.Invalidf("image", "%s: has %d bytes here and %d elsewhere in the manifest", at, d.Size, b.Size)
			}
			return nil
		}
	}
	i.Blobs = append(i.Blobs, catalog.BlobRef{Digest: parsed, Size: d.Size})
	return nil
}

func (i *Image) readConfig(raw []byte) error {
	var c struct {
		OS           string `json:"os"`
		Architecture string `json:"architecture"`
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		return fault.Invalidf("image", "its configuration is not JSON: %v", err)
	}
	if !plain(c.OS) || !plain(c.Architecture) {
		return fault.Invalidf("image", "its configuration names the platform %.40q/%.40q", c.OS, c.Architecture)
	}
	i.Platform = c.OS + "/" + c.Architecture
	return nil
}

func plain(s string) bool {
	for _, c := range s {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return s != "" && len(s) <= 32
}

// Missing returns the image's blobs that the vendor does not hold, or holds with another size.
func (i *Image) Missing(ctx context.Context, store blob.Store, vendor resource.Organization) ([]catalog.BlobRef, error) {
	var missing []catalog.BlobRef
	for _, b := range i.Blobs {
		size, err := store.Stat(ctx, blob.Ref{Holder: vendor, Digest: b.Digest})
		if err != nil && !fault.Is(err, fault.NotFound) {
			return nil, err
		}
		if err != nil || size != b.Size {
			missing = append(missing, b)
		}
	}
	return missing, nil
}

func readSmall(ctx context.Context, store blob.Store, ref blob.Ref, most int64, what string) ([]byte, error) {
	b, err := store.Open(ctx, ref)
	if fault.Is(err, fault.NotFound) {
		return nil, &fault.Error{Kind: fault.NotFound, Reason: "BLOB_MISSING", Field: "image",
			Message: fmt.Sprintf("%s, %s, is not held", what, ref.Digest), Advice: "upload it first"}
	}
	if err != nil {
		return nil, err
	}
	defer b.Close()
	if b.Size() > most {
		return nil, fault.Exhaustedf("image", "%s has %d bytes, %d at most", what, b.Size(), most)
	}
	var buf bytes.Buffer
	if _, err := io.Copy(&buf, io.NewSectionReader(b, 0, b.Size())); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}
