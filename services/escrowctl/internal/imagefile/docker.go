package imagefile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"github.com/countersign-escrow/countersign/escrow/digest"
)

type dockerEntry struct {
	Config string
	Layers []string
}

// openDocker takes what "docker save" wrote. Such an archive has no image manifest; one is made, the same each time.
func openDocker(s store) (*Image, error) {
	b, err := readDocument(s, "manifest.json")
	if err != nil {
		return nil, err
	}
	var entries []dockerEntry
	if err := json.Unmarshal(b, &entries); err != nil {
		return nil, fmt.Errorf("manifest.json: %w", err)
	}
	if len(entries) != 1 {
		return nil, fmt.Errorf("holds %d images: save a single one", len(entries))
	}
	if n := len(entries[0].Layers); n == 0 || n > maxEntries {
		return nil, fmt.Errorf("manifest.json: has %d layers", n)
	}
	config, err := readDocument(s, entries[0].Config)
	if err != nil {
		return nil, err
	}
	image := new(Image)
	if image.Platform, err = platformOf(config); err != nil {
		return nil, err
	}
	m := manifestDocument{SchemaVersion: 2, MediaType: typeManifest}
	m.Config = descriptor{MediaType: typeConfig, Digest: digest.Of(config), Size: int64(len(config))}
	blobs := []Blob{inMemory(config, "configuration")}
	for _, name := range entries[0].Layers {
		blob, mediaType, err := dockerLayer(s, name)
		if err != nil {
			return nil, err
		}
		m.Layers = append(m.Layers, descriptor{MediaType: mediaType, Digest: blob.Digest, Size: blob.Size})
		blobs = append(blobs, blob)
	}
	manifest, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	image.Digest = digest.Of(manifest)
	image.Blobs = append([]Blob{inMemory(manifest, "manifest")}, blobs...)
	return image, nil
}

func dockerLayer(s store, name string) (Blob, string, error) {
	content, size, err := s.open(name)
	if err != nil {
		return Blob{}, "", err
	}
	defer content.Close()
	d, _, err := digest.FromReader(io.NewSectionReader(content, 0, size))
	if err != nil {
		return Blob{}, "", err
	}
	mediaType, head := typeLayer, make([]byte, len(gzipMagic))
	if _, err := content.ReadAt(head, 0); err == nil && bytes.Equal(head, gzipMagic) {
		mediaType = typeLayerGz
	}
	return Blob{Digest: d, Size: size, Kind: "layer", Open: func() (Content, error) {
		content, _, err := s.open(name)
		return content, err
	}}, mediaType, nil
}

type memoryContent struct{ *bytes.Reader }

func (memoryContent) Close() error { return nil }

func inMemory(b []byte, kind string) Blob {
	return Blob{Digest: digest.Of(b), Size: int64(len(b)), Kind: kind, Open: func() (Content, error) {
		return memoryContent{bytes.NewReader(b)}, nil
	}}
}
