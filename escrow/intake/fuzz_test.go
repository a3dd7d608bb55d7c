package intake

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

// small keeps a fuzz run within little memory and time.
func small() Limits {
	return Limits{MaxFiles: 100, MaxBytes: 1 << 20, MaxFileBytes: 1 << 20, MaxObjectBytes: 1 << 20, MaxObjects: 200, MaxDepth: 16, MaxPathBytes: 256, MaxNameBytes: 16 << 10, MaxRatio: 100}
}

func FuzzArchive(f *testing.F) {
	plainTar := packTar(f, oddTree)
	f.Add(plainTar)
	f.Add(compress(f, plainTar, toGzip))
	f.Add(compress(f, plainTar, toZstd))
	f.Add(compress(f, plainTar, toXZ))
	f.Add(packZip(f, oddTree))
	for _, c := range hostileTrees {
		if c.kind == fault.Invalid {
			f.Add(packTar(f, c.files))
			f.Add(packZip(f, c.files))
		}
	}
	addFiles(f, "testdata/*.tar.*")
	f.Fuzz(func(t *testing.T, b []byte) {
		tree, err := open(b, small())
		if err == nil {
			err = walkTwice(t, tree)
		}
		wantDomainError(t, err)
	})
}

// FuzzXZ fuzzes the data inside of a block: the header's sum would stop all that changes more.
func FuzzXZ(f *testing.F) {
	packed := compress(f, packTar(f, oddTree), toXZ)
	whole := 4 * (int(packed[12]) + 1)
	f.Add(packed[12+whole:])
	f.Add([]byte{1, 0, 3, 'd', 'a', 't', 'a', 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := newXZReader(bytes.NewReader(append(bytes.Clone(packed[:12+whole]), b...)), 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		// It must end without a panic; what it yields, the sum at the block's end vouches for.
		_, err = io.Copy(io.Discard, io.LimitReader(x, 8<<20))
		if again, twice := io.Copy(io.Discard, x); err != nil && (again != 0 || twice != err) {
			t.Errorf("after %v: %d bytes, %v", err, again, twice)
		}
	})
}

func FuzzGitBundle(f *testing.F) {
	addFiles(f, "testdata/*.bundle")
	scratch := f.TempDir()
	f.Fuzz(func(t *testing.T, b []byte) {
		tree, err := OpenGitBundle(context.Background(), bytes.NewReader(b), int64(len(b)), "v1.0", scratch, small())
		if err == nil {
			err = walkTwice(t, tree)
			if err := tree.Close(); err != nil {
				t.Error(err)
			}
		}
		wantDomainError(t, err)
	})
}

func addFiles(f *testing.F, pattern string) {
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		f.Fatal("no seeds", err)
	}
	for _, p := range paths {
		b, err := os.ReadFile(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
}

// walkTwice checks what every walk owes its callback, and that two walks agree.
func walkTwice(t *testing.T, tree Tree) error {
	seen := map[string]Mode{"": Folder}
	err := tree.Walk(context.Background(), func(e Entry) error {
		if checkPath(e.Path, "at", small()) != nil {
			t.Errorf("path %q", e.Path)
		}
		if seen[e.Path] != 0 || seen[parent(e.Path)] != Folder {
			t.Errorf("%q came twice, or without its folder", e.Path)
		}
		seen[e.Path] = e.Mode
		if e.Content == nil {
			return nil
		}
		n, err := io.Copy(io.Discard, e.Content)
		if err == nil && n != e.Size {
			t.Errorf("%q has %d bytes, announced %d", e.Path, n, e.Size)
		}
		return err
	})
	first, err1 := Identify(context.Background(), tree)
	second, err2 := Identify(context.Background(), tree)
	if (err == nil) != (err1 == nil) || (err == nil) != (err2 == nil) || first.Tree != second.Tree {
		t.Errorf("walks differ: %v, %v, %v; %s, %s", err, err1, err2, first.Tree, second.Tree)
	}
	return err
}

func wantDomainError(t *testing.T, err error) {
	t.Helper()
	var domain *fault.Error
	if err != nil && (!errors.As(err, &domain) || domain.Field == "") {
		t.Errorf("no domain error that names a place: %v", err)
	}
}
