package intake

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// packGoSource packs the source of the Go distribution that runs the benchmark.
func packGoSource(b *testing.B) *os.File {
	b.Helper()
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		b.Skip("needs the go command")
	}
	f, err := os.Create(filepath.Join(b.TempDir(), "src.tar.gz"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { f.Close() })
	z, err := gzip.NewWriterLevel(f, gzip.BestSpeed)
	if err != nil {
		b.Fatal(err)
	}
	w := tar.NewWriter(z)
	if err := w.AddFS(os.DirFS(filepath.Join(strings.TrimSpace(string(goroot)), "src"))); err != nil {
		b.Fatal(err)
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	if err := z.Close(); err != nil {
		b.Fatal(err)
	}
	return f
}

func openFile(b *testing.B, f *os.File) Tree {
	b.Helper()
	info, err := f.Stat()
	if err != nil {
		b.Fatal(err)
	}
	tree, err := OpenArchive(f, info.Size(), DefaultLimits())
	if err != nil {
		b.Fatal(err)
	}
	return tree
}

func BenchmarkIdentify(b *testing.B) {
	tree := openFile(b, packGoSource(b))
	for b.Loop() {
		id, err := Identify(context.Background(), tree)
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(id.Bytes)
	}
}

func BenchmarkUnpack(b *testing.B) {
	tree := openFile(b, packGoSource(b))
	for b.Loop() {
		dir, err := os.MkdirTemp(b.TempDir(), "")
		if err != nil {
			b.Fatal(err)
		}
		if err := Unpack(context.Background(), tree, dir); err != nil {
			b.Fatal(err)
		}
	}
}
