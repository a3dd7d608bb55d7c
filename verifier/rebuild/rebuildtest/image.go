// Package rebuildtest makes small images and materials for tests, in memory.
// It knows nothing of what is tested with them.
package rebuildtest

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
)

// Time is the time of every file that these helpers make.
var Time = time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)

// Blobs holds blobs by digest.
type Blobs map[digest.Digest][]byte

// Put adds a blob and returns its digest.
func (b Blobs) Put(content []byte) digest.Digest {
	d := digest.Of(content)
	b[d] = content
	return d
}

// Open returns a blob as it is held, which in a test need not be what its digest says.
func (b Blobs) Open(_ context.Context, d digest.Digest) (io.ReadCloser, error) {
	content, ok := b[d]
	if !ok {
		return nil, fault.NoSuch(d.String())
	}
	return io.NopCloser(bytes.NewReader(content)), nil
}

// Entry is one entry of a layer.
type Entry struct {
	tar.Header
	Content []byte
}

// File returns an entry for a regular file.
func File(name string, mode int64, content []byte) Entry {
	return Entry{tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: int64(len(content)), ModTime: Time}, content}
}

// Folder returns an entry for a folder.
func Folder(name string) Entry {
	return Entry{tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755, ModTime: Time}, nil}
}

// Link returns an entry for a symbolic link.
func Link(name, target string) Entry {
	return Entry{tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, ModTime: Time}, nil}
}

// Layer writes a tar archive.
func Layer(t testing.TB, entries ...Entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		if err := w.WriteHeader(&e.Header); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(e.Content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Packed is a layer as held, with its tar archive.
type Packed struct {
	Tar, Held []byte
	MediaType string
}

// Plain returns an uncompressed layer.
func Plain(layer []byte) Packed {
	return Packed{Tar: layer, Held: layer, MediaType: "application/vnd.oci.image.layer.v1.tar"}
}

// Image puts an image's blobs and returns the digest of its manifest.
func Image(t testing.TB, b Blobs, os, arch string, env []string, layers ...Packed) digest.Digest {
	t.Helper()
	type object = map[string]any
	var descs, diffs []any
	for _, l := range layers {
		descs = append(descs, object{"mediaType": l.MediaType, "digest": b.Put(l.Held), "size": len(l.Held)})
		diffs = append(diffs, digest.Of(l.Tar))
	}
	config := mustJSON(t, object{"os": os, "architecture": arch, "config": object{"Env": env}, "rootfs": object{"type": "layers", "diff_ids": diffs}})
	return b.Put(mustJSON(t, object{
		"schemaVersion": 2,
		"mediaType":     "application/vnd.oci.image.manifest.v1+json",
		"config":        object{"mediaType": "application/vnd.oci.image.config.v1+json", "digest": b.Put(config), "size": len(config)},
		"layers":        descs,
	}))
}

func mustJSON(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(fmt.Errorf("test image: %w", err))
	}
	return b
}
