package intake

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"io/fs"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// file is a member of a test's source.
type file struct {
	name string
	mode Mode
	body string // content, or target of a link
	tar  byte   // type flag where it is no ordinary member
}

// oddTree has what makes tree ids go wrong: executables, links, nested folders, and names that sort differently as file and folder.
var oddTree = []file{
	{name: "a", mode: Folder},
	{name: "a/deep", mode: Folder},
	{name: "a/deep/nested", mode: Folder},
	{name: "a/deep/nested/file", mode: Regular, body: "nested\n"},
	{name: "a-b", mode: Regular, body: "before the folder a\n"},
	{name: "a.txt", mode: Regular, body: "before the folder a, too\n"},
	{name: "a0", mode: Regular, body: "behind the folder a\n"},
	{name: "empty", mode: Regular},
	{name: "run.sh", mode: Executable, body: "#!/bin/sh\n"},
	{name: "link", mode: Symlink, body: "a/deep/nested/file"},
	{name: "a/up", mode: Symlink, body: "../run.sh"},
	{name: "dangling", mode: Symlink, body: "nowhere"},
	{name: "with blank and \"quotes\"", mode: Regular, body: "1"},
	{name: "line\nbreak", mode: Regular, body: "2"},
	{name: "größe-尺寸", mode: Regular, body: "3"},
	{name: "latin1-\xe9", mode: Regular, body: "4"},
	{name: ".gitignore", mode: Regular, body: "a-b\n"},
	{name: "CASE", mode: Regular, body: "5"},
	{name: "case", mode: Regular, body: "6"},
}

// The ids of oddTree by git write-tree in repositories of either object format, from git 2.39.5.
const (
	oddSHA256 = "b55a01feb0c08992d32d473ef4ea93a5cb45af14c67c778fca7ee373861cc9dc"
	oddSHA1   = "3b4e9cce9cf8c7a81ce850f6e5b045649a7a37c9"
)

var packTime = time.Date(2024, 5, 6, 7, 8, 10, 0, time.UTC)

func packTar(t testing.TB, files []file) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i, f := range files {
		h := &tar.Header{Name: f.name, Mode: 0o644, Typeflag: tar.TypeReg, Size: int64(len(f.body)), ModTime: packTime.Add(-time.Duration(i) * time.Hour), Format: tar.FormatPAX}
		switch f.mode {
		case Executable:
			h.Mode = 0o755
		case Folder:
			h.Typeflag, h.Name = tar.TypeDir, f.name+"/"
		case Symlink:
			h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, f.body, 0
		}
		if f.tar != 0 {
			h.Typeflag, h.Linkname, h.Size = f.tar, f.body, 0
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			if _, err := io.WriteString(w, f.body); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func packZip(t testing.TB, files []file) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i, f := range files {
		h := &zip.FileHeader{Name: f.name, Method: zip.Deflate, Modified: packTime.Add(-time.Duration(i) * time.Hour)}
		if f.body == "" {
			h.Method = zip.Store // a compressor costs much more than the member
		}
		body := f.body
		switch f.mode {
		case Executable:
			h.SetMode(0o755)
		case Folder:
			h.SetMode(fs.ModeDir | 0o755)
			h.Name += "/"
		case Symlink:
			h.SetMode(fs.ModeSymlink | 0o777)
		default:
			h.SetMode(0o644)
		}
		dst, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if body != "" {
			if _, err := io.WriteString(dst, body); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// compress runs content through a compressor.
func compress(t testing.TB, content []byte, open func(io.Writer) (io.WriteCloser, error)) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := open(&b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func toGzip(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil }
func toZstd(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) }
func toXZ(w io.Writer) (io.WriteCloser, error)   { return xz.NewWriter(w) }

func toXZWith(check byte) func(io.Writer) (io.WriteCloser, error) {
	return func(w io.Writer) (io.WriteCloser, error) { return xz.WriterConfig{CheckSum: check}.NewWriter(w) }
}

// open opens an archive whose names may differ in case alone, as those of oddTree do.
func open(b []byte, lim Limits) (Tree, error) {
	return openArchive(&source{r: bytes.NewReader(b), size: int64(len(b))}, lim, options{caseSensitive: true})
}

// readAll opens and reads an archive wholly.
func readAll(b []byte, lim Limits) (Identity, error) {
	tree, err := open(b, lim)
	if err != nil {
		return Identity{}, err
	}
	id, err := Identify(context.Background(), tree)
	return id, errors.Join(err, tree.Close())
}
