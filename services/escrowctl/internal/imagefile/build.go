package imagefile

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/countersign-escrow/countersign/escrow/digest"
)

// Folder is a folder here and where it shall stand in the image.
type Folder struct {
	Source string
	Dest   string // absolute
}

// Recipe says what to build.
type Recipe struct {
	Folders    []Folder // one layer each, later ones over earlier ones
	Platform   string   // such as linux/amd64
	Executable []string // globs over absolute paths in the image: files that are executable whatever their mode here
}

// Build writes an OCI archive to out. The same folders give the same bytes: names are sorted, times and owners are fixed,
// modes are 0755 or 0644, and nothing is compressed, so that no version of a compressor matters.
func Build(ctx context.Context, out string, r Recipe) (digest.Digest, error) {
	executable, err := compileGlobs(r.Executable)
	if err != nil {
		return digest.Digest{}, err
	}
	tmp, err := os.CreateTemp(filepath.Dir(out), ".countersign-image-*")
	if err != nil {
		return digest.Digest{}, err
	}
	defer os.Remove(tmp.Name())
	defer tmp.Close()
	b := builder{ctx: ctx, file: tmp, executable: executable}
	d, err := b.image(r)
	if err != nil {
		return digest.Digest{}, err
	}
	if err := tmp.Chmod(0o644); err != nil {
		return digest.Digest{}, err
	}
	if err := tmp.Close(); err != nil {
		return digest.Digest{}, err
	}
	return d, os.Rename(tmp.Name(), out)
}

// builder writes an archive from its start to its end.
type builder struct {
	ctx        context.Context
	file       *os.File
	executable globs
}

func (b *builder) image(r Recipe) (digest.Digest, error) {
	p, err := parsePlatform(r.Platform)
	if err != nil {
		return digest.Digest{}, err
	}
	m := manifestDocument{SchemaVersion: 2, MediaType: typeManifest}
	var layers []digest.Digest
	for _, f := range r.Folders {
		layer, err := b.layer(f)
		if err != nil {
			return digest.Digest{}, err
		}
		m.Layers = append(m.Layers, layer)
		layers = append(layers, layer.Digest)
	}
	if m.Config, err = b.document(typeConfig, configOf(p, layers)); err != nil {
		return digest.Digest{}, err
	}
	manifest, err := b.document(typeManifest, m)
	if err != nil {
		return digest.Digest{}, err
	}
	manifest.Platform = &p
	index, err := json.Marshal(indexDocument{SchemaVersion: 2, MediaType: typeIndex, Manifests: []descriptor{manifest}})
	if err != nil {
		return digest.Digest{}, err
	}
	if err := b.entry("index.json", index); err != nil {
		return digest.Digest{}, err
	}
	if err := b.entry("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)); err != nil {
		return digest.Digest{}, err
	}
	_, err = b.file.Write(make([]byte, 2*blockSize)) // the end of a tar
	return manifest.Digest, err
}

func parsePlatform(s string) (platform, error) {
	parts := strings.Split(s, "/")
	if len(parts) < 2 || len(parts) > 3 || parts[0] == "" || parts[1] == "" {
		return platform{}, fmt.Errorf("platform %q: must be like linux/amd64", s)
	}
	p := platform{OS: parts[0], Architecture: parts[1]}
	if len(parts) == 3 {
		p.Variant = parts[2]
	}
	return p, nil
}

type configDocument struct {
	Created time.Time `json:"created"`
	platform
	Config struct{} `json:"config"`
	RootFS rootFS   `json:"rootfs"`
}

type rootFS struct {
	Type    string          `json:"type"`
	DiffIDs []digest.Digest `json:"diff_ids"`
}

func configOf(p platform, layers []digest.Digest) configDocument {
	return configDocument{Created: time.Unix(0, 0).UTC(), platform: p, RootFS: rootFS{Type: "layers", DiffIDs: layers}}
}

func (b *builder) document(mediaType string, v any) (descriptor, error) {
	content, err := json.Marshal(v)
	if err != nil {
		return descriptor{}, err
	}
	d := descriptor{MediaType: mediaType, Digest: digest.Of(content), Size: int64(len(content))}
	return d, b.entry(blobName(d.Digest), content)
}

const blockSize = 512

func (b *builder) entry(name string, content []byte) error {
	header, err := header512(name, int64(len(content)))
	if err != nil {
		return err
	}
	_, err = b.file.Write(append(append(header, content...), padding(int64(len(content)))...))
	return err
}

// layer writes a folder as a layer straight into the archive. Its name and size are known only afterwards, so its header
// is written last.
func (b *builder) layer(f Folder) (descriptor, error) {
	start, err := b.file.Seek(blockSize, io.SeekCurrent)
	if err != nil {
		return descriptor{}, err
	}
	hash := sha256.New()
	if err := b.writeLayer(io.MultiWriter(b.file, hash), f); err != nil {
		return descriptor{}, err
	}
	end, err := b.file.Seek(0, io.SeekCurrent)
	if err != nil {
		return descriptor{}, err
	}
	d := descriptor{MediaType: typeLayer, Digest: digest.FromHash(hash), Size: end - start}
	header, err := header512(blobName(d.Digest), d.Size)
	if err != nil {
		return descriptor{}, err
	}
	if _, err := b.file.WriteAt(header, start-blockSize); err != nil {
		return descriptor{}, err
	}
	_, err = b.file.Write(padding(d.Size))
	return d, err
}

func header512(name string, size int64) ([]byte, error) {
	var buf bytes.Buffer
	h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644, ModTime: time.Unix(0, 0), Format: tar.FormatGNU}
	if err := tar.NewWriter(&buf).WriteHeader(h); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

func padding(size int64) []byte {
	return make([]byte, (blockSize-size%blockSize)%blockSize)
}
