package intake

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"regexp"
	"testing"

	"github.com/ulikunitz/xz"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

func TestFormatsGiveOneIdentity(t *testing.T) {
	plainTar := packTar(t, oddTree)
	bz2, err := os.ReadFile("testdata/odd.tar.bz2")
	if err != nil {
		t.Fatal(err)
	}
	dotted, err := os.ReadFile("testdata/dotted.tar.xz")
	if err != nil {
		t.Fatal(err)
	}
	for name, packed := range map[string][]byte{
		"tar":                             plainTar,
		"tar.gz":                          compress(t, plainTar, toGzip),
		"tar.zst":                         compress(t, plainTar, toZstd),
		"tar.xz":                          compress(t, plainTar, toXZ),
		"tar.xz, CRC32":                   compress(t, plainTar, toXZWith(xz.CRC32)),
		"tar.xz, SHA256":                  compress(t, plainTar, toXZWith(xz.SHA256)),
		"tar.bz2 by GNU tar":              bz2,
		"tar.xz by GNU tar, ./ before it": dotted,
		"zip":                             packZip(t, oddTree),
		"tar without folders":             packTar(t, withoutFolders(oddTree)),
		"zip without folders":             packZip(t, withoutFolders(oddTree)),
	} {
		t.Run(name, func(t *testing.T) {
			id, err := readAll(packed, DefaultLimits())
			if err != nil {
				t.Fatal(err)
			}
			if id.Tree != TreePrefix+oddSHA256 || id.SWHIDs[0] != "swh:1:dir:"+oddSHA1 {
				t.Errorf("identity %s, %v", id.Tree, id.SWHIDs)
			}
			if id.Files != 16 || id.Bytes != 92 || !id.Time.Equal(packTime) {
				t.Errorf("%d files, %d bytes, time %v", id.Files, id.Bytes, id.Time)
			}
		})
	}
}

func withoutFolders(files []file) []file {
	var out []file
	for _, f := range files {
		if f.mode == Folder {
			// keep the newest time, which the first member has
			f = file{name: "a/deep/nested/file", mode: Regular, body: "nested\n"}
			if len(out) > 0 {
				continue
			}
		} else if f.name == "a/deep/nested/file" {
			continue
		}
		out = append(out, f)
	}
	return out
}

var vectorRow = regexp.MustCompile("(?m)^\\| (.*) \\| `([0-9a-f]{64})` \\| `([0-9a-f]{40})` \\|$")

// The test vectors of docs/source-identity.md, which are by stock git.
func TestVectors(t *testing.T) {
	page, err := os.ReadFile("../../docs/source-identity.md")
	if err != nil {
		t.Fatal(err)
	}
	odd, err := os.ReadFile("testdata/odd.tar.bz2")
	if err != nil {
		t.Fatal(err)
	}
	trees := map[string][]byte{
		"an empty file `empty`":   packTar(t, []file{{name: "empty", mode: Regular}}),
		"an empty folder `empty`": packTar(t, []file{{name: "empty", mode: Folder}}),
		"an executable `run.sh` of `#!/bin/sh` and a line feed, and a link `link` to it": packTar(t, []file{{name: "run.sh", mode: Executable, body: "#!/bin/sh\n"}, {name: "link", mode: Symlink, body: "run.sh"}}),
		"`escrow/intake/testdata/odd.tar.bz2`, full of odd names":                        odd,
	}
	rows := vectorRow.FindAllStringSubmatch(string(page), -1)
	if len(rows) != len(trees) {
		t.Fatalf("the page has %d vectors, %d are known here", len(rows), len(trees))
	}
	for _, row := range rows {
		packed, ok := trees[row[1]]
		if !ok {
			t.Errorf("the page has the vector %q, which is not known here", row[1])
			continue
		}
		id, err := readAll(packed, DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		if id.Tree != TreePrefix+row[2] || id.SWHIDs[0] != "swh:1:dir:"+row[3] {
			t.Errorf("%s: %+v", row[1], id)
		}
	}
}

// A store that cannot be read is our failure, not the vendor's.
func TestReadFailureIsNotTheVendors(t *testing.T) {
	broken := errors.New("disk on fire")
	for name, packed := range map[string][]byte{
		"tar": packTar(t, oddTree), "tar.gz": compress(t, packTar(t, oddTree), toGzip), "tar.xz": compress(t, packTar(t, oddTree), toXZ),
		"tar.zst": compress(t, packTar(t, oddTree), toZstd), "zip": packZip(t, oddTree),
	} {
		for from := int64(0); from < int64(len(packed)); from += int64(len(packed))/7 + 1 {
			r := failingReader{r: bytes.NewReader(packed), from: from, err: broken}
			tree, err := OpenArchive(r, int64(len(packed)), DefaultLimits())
			if err == nil {
				_, err = Identify(context.Background(), tree)
			}
			if !errors.Is(err, broken) || fault.KindOf(err) != fault.Internal {
				t.Errorf("%s, failing from byte %d: %v", name, from, err)
			}
		}
	}
}

type failingReader struct {
	r    io.ReaderAt
	from int64
	err  error
}

func (f failingReader) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > f.from {
		return 0, f.err
	}
	return f.r.ReadAt(p, off)
}

func TestWalkIsCalledOff(t *testing.T) {
	tree, err := open(packTar(t, oddTree), DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	seen := 0
	err = tree.Walk(ctx, func(Entry) error { seen++; cancel(); return nil })
	if !errors.Is(err, context.Canceled) || seen != 1 {
		t.Errorf("after %d entries: %v", seen, err)
	}
}
