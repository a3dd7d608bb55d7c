package intake

import (
	"bytes"
	"context"
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// distribution returns the archives that the Go distribution ships for the tests of a package, by name.
func distribution(t testing.TB, pkg string) map[string][]byte {
	t.Helper()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Skip("needs the go command")
	}
	dir := filepath.Join(strings.TrimSpace(string(root)), "src", pkg, "testdata")
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Skip("this Go distribution comes without its test data: ", err)
	}
	files := make(map[string][]byte)
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		name, encoded := strings.CutSuffix(e.Name(), ".base64")
		if encoded {
			if b, err = base64.StdEncoding.DecodeString(string(b)); err != nil {
				t.Fatal(err)
			}
		}
		files[name] = b
	}
	return files
}

// What the files of archive/tar and archive/zip must come to: "" for a tree, else what the error must hold.
func TestArchivesOfTheGoDistribution(t *testing.T) {
	for pkg, known := range map[string]map[string]string{"archive/tar": goTars, "archive/zip": goZips} {
		for name, b := range distribution(t, pkg) {
			t.Run(pkg+"/"+name, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
				defer cancel()
				tree, err := OpenArchive(bytes.NewReader(b), int64(len(b)), DefaultLimits())
				if err == nil {
					_, err = Identify(ctx, tree)
				}
				wantDomainError(t, err)
				if want, ok := known[name]; !ok {
					t.Logf("a file that this test does not know: %v", err)
				} else if (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
					t.Errorf("%v, want %q", err, want)
				}
				if err != nil {
					return
				}
				if err := Unpack(ctx, tree, t.TempDir()); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

var goTars = map[string]string{
	"file-and-dir.tar":              "",
	"gnu-incremental.tar":           `"test2/" (byte 0): is of the unknown type 'D'`,
	"gnu-long-nul.tar":              "",
	"gnu-multi-hdrs.tar":            `archive: ends at byte 4608 without the blank blocks that end a tar archive`,
	"gnu-nil-sparse-data.tar":       `"sparse.db" (byte 0): is a sparse file`,
	"gnu-nil-sparse-hole.tar":       `"sparse.db" (byte 0): is a sparse file`,
	"gnu-not-utf8.tar":              "",
	"gnu-sparse-big.tar":            `"gnu-sparse" (byte 0): is a sparse file`,
	"gnu-sparse-many-zeros.tar.bz2": `"tar header" (byte 0): cannot be read`,
	"gnu-utf8.tar":                  "",
	"gnu.tar":                       "",
	"hardlink.tar":                  `"hard.txt" (byte 1024): is a hard link`,
	"hdr-only.tar":                  `"fifo" (byte 512): is a FIFO`,
	"invalid-go17.tar":              "",
	"issue10968.tar":                `archive: is no tar or zip archive`,
	"issue11169.tar":                `"tar header" (byte 0): cannot be read`,
	"issue12435.tar":                `archive: is no tar or zip archive`,
	"neg-size.tar":                  `archive: is no tar or zip archive`,
	"nil-uid.tar":                   `archive: ends at byte 1024 without the blank blocks that end a tar archive`,
	"pax-bad-hdr-file.tar":          `"tar header" (byte 0): cannot be read`,
	"pax-bad-hdr-large.tar.bz2":     `"tar header" (byte 0): cannot be read`,
	"pax-bad-mtime-file.tar":        `"tar header" (byte 0): cannot be read`,
	"pax-global-records.tar":        `"global1" (byte 0): a global header sets "path" for all members`,
	"pax-multi-hdrs.tar":            `archive: ends at byte 4608 without the blank blocks that end a tar archive`,
	"pax-nil-sparse-data.tar":       `"sparse.db" (byte 0): is a sparse file`,
	"pax-nil-sparse-hole.tar":       `"sparse.db" (byte 0): is a sparse file`,
	"pax-nul-path.tar":              `"tar header" (byte 0): cannot be read`,
	"pax-nul-xattrs.tar":            `"tar header" (byte 0): cannot be read`,
	"pax-path-hdr.tar":              `source: holds no files`,
	"pax-pos-size-file.tar":         `archive: ends at byte 2560 without the blank blocks that end a tar archive`,
	"pax-records.tar":               "",
	"pax-sparse-big.tar":            `"pax-sparse" (byte 0): is a sparse file`,
	"pax.tar":                       "",
	"small.txt":                     `archive: is no tar or zip archive`,
	"small2.txt":                    `archive: is no tar or zip archive`,
	"sparse-formats.tar":            `"sparse-gnu" (byte 0): is a sparse file`,
	"star.tar":                      "",
	"trailing-slash.tar":            "",
	"ustar-file-devs.tar":           "",
	"ustar-file-reg.tar":            `archive: ends at byte 1536 without the blank blocks that end a tar archive`,
	"ustar.tar":                     "",
	"v7.tar":                        "",
	"writer-big-long.tar":           `16gig.txt" (byte 0): has 17179869184 bytes`,
	"writer-big.tar":                `"tmp/16gig.txt" (byte 0): has 17179869184 bytes`,
	"writer.tar":                    "",
	"xattrs.tar":                    "",
}

var goZips = map[string]string{
	"comment-truncated.zip":    `zip directory: something follows it, or its comment holds a second end`,
	"crc32-not-streamed.zip":   "",
	"dd.zip":                   "",
	"dupdir.zip":               `"a/b/" (byte 99): its path is a file and a folder at once`,
	"go-no-datadesc-sig.zip":   "",
	"go-with-datadesc-sig.zip": "",
	"gophercolor16x16.png":     `archive: is no tar or zip archive`,
	"readme.notzip":            `archive: is no tar or zip archive`,
	"readme.zip":               `zip directory: something follows it, or its comment holds a second end`,
	"subdir.zip":               "",
	"symlink.zip":              `"symlink" (byte 0): the link's target "../target" leaves the tree`,
	"test-badbase.zip":         `zip directory: does not lie where the end of the archive says`,
	"test-baddirsz.zip":        `zip directory: does not lie where the end of the archive says`,
	"test-prefix.zip":          `archive: is no tar or zip archive`,
	"test-trailing-junk.zip":   `zip directory: something follows it, or its comment holds a second end`,
	"test.zip":                 "",
	"time-22738.zip":           "",
	"time-7zip.zip":            "",
	"time-go.zip":              "",
	"time-infozip.zip":         "",
	"time-osx.zip":             "",
	"time-win7.zip":            "",
	"time-winrar.zip":          "",
	"time-winzip.zip":          "",
	"unix.zip":                 "",
	"utf8-7zip.zip":            "",
	"utf8-infozip.zip":         "",
	"utf8-osx.zip":             "",
	"utf8-winrar.zip":          "",
	"utf8-winzip.zip":          "",
	"winxp.zip":                "",
	"zip64-2.zip":              "",
	"zip64.zip":                "",
}
