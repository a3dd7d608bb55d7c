package backup

import (
	"archive/tar"
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/verifier/tlog"
)

// source makes a catalog, a log and folders, with what a running service has lying about.
func source(t testing.TB) (Source, string) {
	t.Helper()
	dir := t.TempDir()
	c, err := catalog.Open(t.Context(), filepath.Join(dir, "catalog.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	l, err := tlog.Open(t.Context(), tlog.Config{Dir: filepath.Join(dir, "log"), Origin: "log.test", Key: key})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if _, err := l.Append(t.Context(), fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = l.Close(t.Context()) })
	for name, content := range map[string]string{"keys/log.pem": "key", "objects/ab/cdef": "object", "objects/drafts/x": "draft", "operator/profile.yaml": ""} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(content), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(dir, "objects/ab/cdef"), 0o400); err != nil {
		t.Fatal(err)
	}
	reader, err := tlog.OpenReader(filepath.Join(dir, "log"), "log.test", public)
	if err != nil {
		t.Fatal(err)
	}
	return Source{Catalog: filepath.Join(dir, "catalog.db"), Log: reader, Scratch: dir, Folders: []Folder{
		{Name: "keys", Path: filepath.Join(dir, "keys")},
		{Name: "operator", Path: filepath.Join(dir, "operator")},
		{Name: "objects", Path: filepath.Join(dir, "objects"), Skip: func(name string) bool { return strings.HasPrefix(name, "drafts/") }},
	}}, dir
}

func TestWhatIsSavedIsRestored(t *testing.T) {
	src, dir := source(t)
	file := filepath.Join(t.TempDir(), "backup.tar")
	saved, err := Save(t.Context(), file, src)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the archive has mode %s (%v)", info.Mode(), err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	to := filepath.Join(t.TempDir(), "a", "data")
	restored, err := Restore(t.Context(), f, to)
	if err != nil {
		t.Fatal(err)
	}
	if restored != saved || saved.LogSize != 3 || !saved.Objects || !saved.Catalog || saved.Entries == 0 {
		t.Errorf("saved %+v, restored %+v", saved, restored)
	}
	for _, name := range []string{"keys/log.pem", "objects/ab/cdef", "operator/profile.yaml", "log/checkpoint", "log/tile/entries/000.p/3"} {
		was, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		is, err := os.ReadFile(filepath.Join(to, name))
		if err != nil || !bytes.Equal(was, is) {
			t.Errorf("%s: %q, %v", name, is, err)
		}
	}
	if _, err := os.Stat(filepath.Join(to, "objects/drafts")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a draft was restored: %v", err)
	}
	if info, err := os.Stat(filepath.Join(to, "objects/ab/cdef")); err != nil || info.Mode().Perm() != 0o400 {
		t.Errorf("an object has mode %s (%v)", info.Mode(), err)
	}
	c, err := catalog.Open(t.Context(), filepath.Join(to, "catalog.db"))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(to), "*.restoring-*"))
	if len(left) > 0 || err != nil {
		t.Errorf("left behind: %v", left)
	}
}

func TestNothingIsWrittenOver(t *testing.T) {
	src, _ := source(t)
	file := filepath.Join(t.TempDir(), "backup.tar")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Save(t.Context(), file, src); !fault.Is(err, fault.Exists) {
		t.Errorf("Save over a file: %v", err)
	}
	raw := write(t, src)
	full := filepath.Dir(file)
	if _, err := Restore(t.Context(), bytes.NewReader(raw), full); !fault.Is(err, fault.Precondition) {
		t.Errorf("Restore into a folder with something in it: %v", err)
	}
	if b, err := os.ReadFile(file); string(b) != "precious" {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := Restore(t.Context(), bytes.NewReader(raw), t.TempDir()); err != nil {
		t.Errorf("Restore into an empty folder: %v", err)
	}
}

func write(t testing.TB, src Source) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := Write(t.Context(), &b, src); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestSaveLeavesNoHalfArchive(t *testing.T) {
	src, dir := source(t)
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "keys/link")); err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	if _, err := Save(t.Context(), filepath.Join(out, "b.tar"), src); !fault.Is(err, fault.Corrupt) {
		t.Errorf("a link among the keys: %v", err)
	}
	if left, err := os.ReadDir(out); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// retar writes an archive anew, each entry as change would have it.
func retar(t testing.TB, raw []byte, change func(h *tar.Header, b []byte) [][]byte) []byte {
	t.Helper()
	var out bytes.Buffer
	r, w := tar.NewReader(bytes.NewReader(raw)), tar.NewWriter(&out)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		for _, content := range change(h, b) {
			h.Size = int64(len(content))
			if h.Typeflag != tar.TypeReg {
				h.Size = 0
			}
			if err := w.WriteHeader(h); err != nil {
				t.Fatal(err)
			}
			if h.Size > 0 {
				if _, err := w.Write(content); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestWhatIsNoBackupIsRefused(t *testing.T) {
	src, _ := source(t)
	raw := write(t, src)
	on := func(name string, f func(h *tar.Header, b []byte) [][]byte) []byte {
		return retar(t, raw, func(h *tar.Header, b []byte) [][]byte {
			if h.Name == name {
				return f(h, b)
			}
			return [][]byte{b}
		})
	}
	rename := func(to string) []byte {
		return on("keys/log.pem", func(h *tar.Header, b []byte) [][]byte { h.Name = to; return [][]byte{b} })
	}
	for name, c := range map[string]struct {
		raw  []byte
		want string
	}{
		"nothing":          {nil, "no manifest"},
		"no archive":       {[]byte(strings.Repeat("hello", 1000)), "cannot be read"},
		"cut in an entry":  {raw[:1000], "ends in the middle of catalog.db"},
		"cut off":          {raw[:len(raw)-4<<10], ""},
		"a flipped bit":    {on("objects/ab/cdef", func(_ *tar.Header, b []byte) [][]byte { b[2] ^= 1; return [][]byte{b} }), "objects/ab/cdef is not what was backed up"},
		"a missing entry":  {on("objects/ab/cdef", func(*tar.Header, []byte) [][]byte { return nil }), "is in the manifest and not in the archive"},
		"an entry twice":   {on("objects/ab/cdef", func(_ *tar.Header, b []byte) [][]byte { return [][]byte{b, b} }), "two entries objects/ab/cdef"},
		"without manifest": {on(manifestName, func(*tar.Header, []byte) [][]byte { return nil }), "no manifest"},
		"another format": {on(manifestName, func(_ *tar.Header, b []byte) [][]byte {
			return [][]byte{bytes.Replace(b, []byte("backup/1"), []byte("backup/2"), 1)}
		}), "no backup that this program can read"},
		"an entry too many": {on(manifestName, func(_ *tar.Header, b []byte) [][]byte {
			return [][]byte{append(b, `{"path":"keys/other","size":0,"sha256":""}`...)}
		}), `"keys/other" is in the manifest`},
		"nonsense in the manifest": {on(manifestName, func(_ *tar.Header, b []byte) [][]byte { return [][]byte{append(b, "x"...)} }), "of the manifest"},
		"a long line":              {on(manifestName, func(_ *tar.Header, b []byte) [][]byte { return [][]byte{append(b, strings.Repeat("x", 1<<20)...)} }), "the manifest: "},
		"not in the manifest":      {rename("keys/other"), "keys/log.pem\" is in the manifest"},
		"outside":                  {rename("../outside"), "which no backup has"},
		"outside by detour":        {rename("keys/../../outside"), "which no backup has"},
		"absolute":                 {rename("/etc/cron.d/outside"), "which no backup has"},
		"another folder":           {rename("work/x"), "which no backup has"},
		"a link": {on("keys/log.pem", func(h *tar.Header, b []byte) [][]byte {
			h.Typeflag, h.Linkname = tar.TypeSymlink, "/etc"
			return [][]byte{b}
		}), "is no file"},
		"more behind it": {func() []byte {
			return retar(t, raw, func(h *tar.Header, b []byte) [][]byte {
				if h.Name == manifestName {
					return [][]byte{b, b}
				}
				return [][]byte{b}
			})
		}(), "goes on behind"},
	} {
		dir := filepath.Join(t.TempDir(), "data")
		_, err := Restore(t.Context(), bytes.NewReader(c.raw), dir)
		if !fault.Is(err, fault.Corrupt) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if left, err := os.ReadDir(filepath.Dir(dir)); err != nil || len(left) != 0 {
			t.Errorf("%s: left behind: %v, %v", name, left, err)
		}
	}
}

func FuzzRestore(f *testing.F) {
	var raw bytes.Buffer
	a := &archive{tar: tar.NewWriter(&raw), header: Header{Format: format}}
	for _, name := range []string{"keys/log.pem", "log/tile/0/000.p/1"} {
		if err := a.add(name, 5, 0o600, bytesOf([]byte("hello"))); err != nil {
			f.Fatal(err)
		}
	}
	if err := errors.Join(a.manifest(), a.tar.Close()); err != nil {
		f.Fatal(err)
	}
	f.Add(raw.Bytes())
	memory := "" // synced in no time
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		memory = "/dev/shm"
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		above, err := os.MkdirTemp(memory, "restore-*")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(above)
		dir := filepath.Join(above, "data")
		_, err = Restore(t.Context(), bytes.NewReader(raw), dir)
		left, readErr := os.ReadDir(above)
		if readErr != nil || (err != nil && len(left) != 0) || (err == nil && (len(left) != 1 || left[0].Name() != "data")) {
			t.Errorf("%v left %v (%v)", err, left, readErr)
		}
	})
}
