package intake

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

func TestUnpack(t *testing.T) {
	for name, packed := range map[string][]byte{"tar": packTar(t, oddTree), "zip": packZip(t, oddTree)} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := unpack(packed, dir); err != nil {
				t.Fatal(err)
			}
			for _, f := range oddTree {
				checkUnpacked(t, dir, f)
			}
		})
	}
}

func unpack(packed []byte, dir string) error {
	tree, err := open(packed, DefaultLimits())
	if err != nil {
		return err
	}
	return Unpack(context.Background(), tree, dir)
}

func checkUnpacked(t *testing.T, dir string, f file) {
	t.Helper()
	p := filepath.Join(dir, f.name)
	info, err := os.Lstat(p)
	if err != nil {
		t.Error(err)
		return
	}
	if !info.ModTime().Equal(packTime) {
		t.Errorf("%q has the time %v", f.name, info.ModTime())
	}
	want := map[Mode]fs.FileMode{Folder: fs.ModeDir | 0o755, Regular: 0o644, Executable: 0o755, Symlink: fs.ModeSymlink | 0o777}[f.mode]
	if info.Mode() != want {
		t.Errorf("%q has the mode %v, want %v", f.name, info.Mode(), want)
	}
	body := ""
	switch f.mode {
	case Folder:
	case Symlink:
		body, err = os.Readlink(p)
	default:
		var b []byte
		b, err = os.ReadFile(p)
		body = string(b)
	}
	if err != nil || body != f.body {
		t.Errorf("%q holds %q, %v; want %q", f.name, body, err, f.body)
	}
}

func TestUnpackTwiceIsRefused(t *testing.T) {
	dir := t.TempDir()
	packed := packTar(t, []file{{name: "sub/file", mode: Regular, body: "x"}})
	if err := unpack(packed, dir); err != nil {
		t.Fatal(err)
	}
	err := unpack(packed, dir)
	if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), `"sub/file"`) {
		t.Errorf("the second time: %v", err)
	}
	if err := unpack(packTar(t, []file{{name: "sub/other", mode: Regular, body: "x"}}), dir); err != nil {
		t.Errorf("another file in a folder that is there: %v", err)
	}
}

// A link that lies in the folder already, say from another source, must not be followed.
func TestUnpackDoesNotFollowLinks(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	if err := os.Symlink(outside, filepath.Join(dir, "sub")); err != nil {
		t.Fatal(err)
	}
	err := unpack(packTar(t, []file{{name: "sub/file", mode: Regular, body: "x"}}), dir)
	if !fault.Is(err, fault.Invalid) {
		t.Errorf("unpacking through a link: %v", err)
	}
	if left, err := os.ReadDir(outside); err != nil || len(left) > 0 {
		t.Errorf("outside of the folder: %v, %v", left, err)
	}
}

func TestTimesAreCapped(t *testing.T) {
	now := time.Now()
	for at, want := range map[time.Time]func(time.Time) bool{
		packTime:                      packTime.Equal,
		packTime.Add(time.Second / 2): packTime.Equal,
		{}:                            time.Unix(0, 0).Equal,
		now.Add(24 * 365 * time.Hour): func(got time.Time) bool { return !got.Before(now.Truncate(time.Second)) && !got.After(time.Now()) },
	} {
		if got := sourceTime(at); !want(got) {
			t.Errorf("sourceTime(%v) = %v", at, got)
		}
	}
}
