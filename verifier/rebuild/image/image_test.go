package image_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/verifier/rebuild/image"
	. "github.com/countersign-escrow/countersign/verifier/rebuild/rebuildtest"
)

func gzipped(t testing.TB, layer []byte) Packed {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(layer); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return Packed{Tar: layer, Held: b.Bytes(), MediaType: "application/vnd.oci.image.layer.v1.tar+gzip"}
}

func zstandard(t testing.TB, layer []byte) Packed {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return Packed{Tar: layer, Held: w.EncodeAll(layer, nil), MediaType: "application/vnd.oci.image.layer.v1.tar+zstd"}
}

// unpack opens and unpacks an image into a new folder, which it returns.
func unpack(t testing.TB, b Blobs, d digest.Digest, lim image.Limits) (string, error) {
	t.Helper()
	im, err := image.Open(t.Context(), b.Open, d)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(t.TempDir(), "rootfs")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir, im.Unpack(t.Context(), dir, lim, "build", "proc")
}

// tree lists what is in a folder: files with mode and content, links with their target.
func tree(t testing.TB, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		name, _ := filepath.Rel(dir, p)
		fi, err := d.Info()
		if err != nil {
			return err
		}
		switch {
		case d.IsDir():
			found[name] = fi.Mode().String()
		case fi.Mode()&fs.ModeSymlink != 0:
			to, _ := os.Readlink(p)
			found[name] = "-> " + to
		default:
			b, err := os.ReadFile(p)
			found[name] = fi.Mode().String() + " " + string(b)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestUnpackLayers(t *testing.T) {
	b := Blobs{}
	hard := Entry{Header: tar.Header{Typeflag: tar.TypeLink, Name: "usr/hard", Linkname: "/usr/kept"}}
	device := Entry{Header: tar.Header{Typeflag: tar.TypeBlock, Name: "dev/disk", Devmajor: 8}}
	fifo := Entry{Header: tar.Header{Typeflag: tar.TypeFifo, Name: "pipe"}}
	d := Image(t, b, "linux", "amd64", []string{"A=b", "PATH=/opt/bin"},
		gzipped(t, Layer(t, Folder("usr/"), File("usr/kept", 0o4755, []byte("1")), File("usr/gone", 0o600, []byte("2")),
			File("opaque/old", 0o644, []byte("3")), File("opaque/sub/old", 0o644, []byte("4")), File("becomes", 0o644, nil), device, fifo, Link("build", "/etc"))),
		zstandard(t, Layer(t, File("usr/.wh.gone", 0, nil), hard, File("opaque/sub/new", 0o644, []byte("5")), File("opaque/.wh..wh..opq", 0, nil),
			Folder("becomes"), File("./becomes/file", 0o640, []byte("6")), Link("usr/link", "kept"))),
		Plain(Layer(t, File("/late", 0o644, []byte("7")))),
	)
	im, err := image.Open(t.Context(), b.Open, d)
	if err != nil || im.Platform != "linux/amd64" || im.Path != "/opt/bin" || im.Digest != d {
		t.Fatalf("%+v, %v", im, err)
	}
	dir, err := unpack(t, b, d, image.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"usr": "drwxr-xr-x", "usr/kept": "-rwxr-xr-x 1", "usr/hard": "-rwxr-xr-x 1", "usr/link": "-> kept",
		"opaque": "drwxr-xr-x", "opaque/sub": "drwxr-xr-x", "opaque/sub/new": "-rw-r--r-- 5",
		"becomes": "drwxr-xr-x", "becomes/file": "-rw-r--r-- 6", "late": "-rw-r--r-- 7",
		"dev": "drwxr-xr-x", "build": "drwxr-xr-x", "proc": "drwxr-xr-x",
	}
	got := tree(t, dir)
	for name, w := range want {
		if got[name] != w {
			t.Errorf("%s: %q, want %q", name, got[name], w)
		}
		delete(got, name)
	}
	if len(got) > 0 {
		t.Errorf("too much: %v", got)
	}
	for _, name := range []string{"usr", "usr/kept"} {
		if fi, err := os.Stat(filepath.Join(dir, name)); err != nil || !fi.ModTime().Equal(Time) {
			t.Errorf("%s has another time: %v", name, err)
		}
	}
}

func TestHostileLayers(t *testing.T) {
	layer := func(e ...Entry) []Packed { return []Packed{Plain(Layer(t, e...))} }
	good := Layer(t, File("a", 0o644, []byte("text")))
	wrong := gzipped(t, good)
	wrong.Tar = []byte("something else")
	cut := gzipped(t, good)
	cut.Held = cut.Held[:len(cut.Held)-9]
	for name, tc := range map[string]struct {
		layers []Packed
		kind   fault.Kind
	}{
		"leads upwards":               {layer(File("../x", 0o644, nil)), fault.Invalid},
		"leads upwards in the middle": {layer(File("a/../../x", 0o644, nil)), fault.Invalid},
		"through a link to outside":   {layer(Link("out", "../.."), File("out/x", 0o644, nil)), fault.Invalid},
		"through an absolute link":    {layer(Link("out", "/tmp"), File("out/x", 0o644, nil)), fault.Invalid},
		"hard link to outside":        {layer(Link("out", "/etc"), Entry{Header: tar.Header{Typeflag: tar.TypeLink, Name: "x", Linkname: "out/passwd"}}), fault.Invalid},
		"whiteout of the parent":      {layer(Folder("a"), File("a/.wh...", 0, nil)), fault.Invalid},
		"whiteout of nothing":         {layer(Folder("a"), File("a/.wh.", 0, nil)), fault.Invalid},
		"a very long name":            {layer(File(strings.Repeat("a/", 300)+"x", 0o644, nil)), fault.Invalid},
		"too many files":              {layer(File("a", 0o644, nil), File("b", 0o644, nil), File("c", 0o644, nil), File("d", 0o644, nil)), fault.Exhausted},
		"too many bytes":              {layer(File("a", 0o644, make([]byte, 2000))), fault.Exhausted},
		"another tar than configured": {[]Packed{wrong}, fault.Invalid},
		"cut compressed stream":       {[]Packed{cut}, fault.Invalid},
		"no archive":                  {[]Packed{Plain([]byte(strings.Repeat("nonsense", 200)))}, fault.Invalid},
		"foreign media type":          {[]Packed{{Tar: good, Held: good, MediaType: "application/vnd.oci.image.layer.nondistributable.v1.tar"}}, fault.Invalid},
		"no layers":                   {nil, fault.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			b := Blobs{}
			dir, err := unpack(t, b, Image(t, b, "linux", "amd64", nil, tc.layers...), image.Limits{Files: 3, Bytes: 1000})
			if !fault.Is(err, tc.kind) {
				t.Errorf("%v, want kind %v", err, tc.kind)
			}
			if entries, _ := os.ReadDir(filepath.Dir(dir)); dir != "" && len(entries) != 1 {
				t.Errorf("something was written outside: %v", entries)
			}
		})
	}
}

// Bytes that are not those of the digest are the custodian's failure, not the vendor's.
func TestChangedBlobs(t *testing.T) {
	b := Blobs{}
	l := gzipped(t, Layer(t, File("a", 0o644, bytes.Repeat([]byte("text"), 1000))))
	d := Image(t, b, "linux", "amd64", nil, l)
	for blob, held := range b {
		for what, change := range map[string][]byte{
			"changed": append(held[:len(held)-1:len(held)-1], held[len(held)-1]^1),
			"longer":  append(held[:len(held):len(held)], 'x'),
			"cut":     held[:len(held)/2],
		} {
			b[blob] = change
			if _, err := unpack(t, b, d, image.DefaultLimits()); !fault.Is(err, fault.Corrupt) {
				t.Errorf("%s of %d bytes %s: %v", blob, len(held), what, err)
			}
		}
		delete(b, blob)
		if _, err := unpack(t, b, d, image.DefaultLimits()); !fault.Is(err, fault.NotFound) {
			t.Errorf("%s missing: %v", blob, err)
		}
		b[blob] = held
	}
	if _, err := unpack(t, b, d, image.DefaultLimits()); err != nil {
		t.Error(err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestReadErrorsStayWhatTheyAre(t *testing.T) {
	b := Blobs{}
	l := gzipped(t, Layer(t, File("a", 0o644, bytes.Repeat([]byte("text"), 1000))))
	d := Image(t, b, "linux", "amd64", nil, l)
	gone := errors.New("connection lost")
	open := func(ctx context.Context, at digest.Digest) (io.ReadCloser, error) {
		rc, err := b.Open(ctx, at)
		if at == digest.Of(l.Held) {
			return io.NopCloser(io.MultiReader(io.LimitReader(rc, 30), failing{gone})), err
		}
		return rc, err
	}
	im, err := image.Open(t.Context(), open, d)
	if err != nil {
		t.Fatal(err)
	}
	if err := im.Unpack(t.Context(), t.TempDir(), image.DefaultLimits()); !errors.Is(err, gone) {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	im, _ = image.Open(t.Context(), b.Open, d)
	if err := im.Unpack(ctx, t.TempDir(), image.DefaultLimits()); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	for name, doc := range map[string]any{
		"an index":   map[string]any{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []any{}},
		"schema 1":   map[string]any{"schemaVersion": 1},
		"bad digest": map[string]any{"schemaVersion": 2, "config": map[string]any{"digest": "sha512:00"}},
		"a number":   7,
	} {
		raw, _ := json.Marshal(doc)
		b := Blobs{}
		if _, err := image.Open(t.Context(), b.Open, b.Put(raw)); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add(Layer(f, Folder("a"), File("a/b", 0o644, []byte("x")), Link("l", "a"), File("l/c", 0o755, nil)))
	f.Add(Layer(f, File("a/b", 0o644, nil), File("a/.wh..wh..opq", 0, nil), File("a/.wh.b", 0, nil)))
	f.Add(Layer(f, Link("out", "../.."), File("out/x", 0o644, nil)))
	f.Add(gzipped(f, Layer(f, File("a", 0o644, []byte("x")))).Held)
	f.Fuzz(func(t *testing.T, held []byte) {
		b := Blobs{}
		d := Image(t, b, "linux", "amd64", nil, Packed{Tar: held, Held: held, MediaType: "application/vnd.oci.image.layer.v1.tar"})
		dir, err := unpack(t, b, d, image.Limits{Files: 50, Bytes: 1 << 16})
		if err != nil && fault.KindOf(err) == fault.Internal {
			t.Fatalf("hostile bytes look like our own failure: %v", err)
		}
		if entries, _ := os.ReadDir(filepath.Dir(dir)); dir != "" && len(entries) != 1 {
			t.Fatalf("something was written outside: %v", entries)
		}
	})
}
