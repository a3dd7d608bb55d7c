package intake

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

// rawTar is a tar archive of one member whose header is changed by hand before its sum is made.
func rawTar(t testing.TB, f file, change func(header []byte)) []byte {
	b := packTar(t, []file{{name: "ok", mode: Regular}, f})
	h := b[tarBlock : 2*tarBlock]
	change(h)
	copy(h[148:], "        ")
	sum := 0
	for _, c := range h {
		sum += int(c)
	}
	copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
	return b
}

// withSize is a tar archive with a member that announces a size in the field's own bytes.
func withSize(t testing.TB, field string) []byte {
	return rawTar(t, file{name: "odd", mode: Regular}, func(h []byte) { copy(h[124:136], field) })
}

// paxTar is a tar archive of one member behind an extended header with those bytes.
func paxTar(t testing.TB, records string) []byte {
	b := packTar(t, []file{{name: "PaxHeaders/odd", mode: Regular, body: records}, {name: "odd", mode: Regular}})
	b[156] = tar.TypeXHeader
	copy(b[148:], "        ")
	sum := 0
	for _, c := range b[:tarBlock] {
		sum += int(c)
	}
	copy(b[148:], fmt.Sprintf("%06o\x00 ", sum))
	return b
}

func record(key, value string) string {
	body := fmt.Sprintf(" %s=%s\n", key, value)
	n := len(body) + 1
	for n != len(body)+len(fmt.Sprint(n)) {
		n++
	}
	return fmt.Sprint(n) + body
}

// gnuSparse is an old GNU sparse member of the real size, in twelve bytes.
func gnuSparse(t testing.TB, size string) []byte {
	return rawTar(t, file{name: "odd", mode: Regular}, func(h []byte) {
		h[156] = tar.TypeGNUSparse
		copy(h[257:], "ustar  \x00")
		clear(h[345:500])
		copy(h[483:], size)
	})
}

func TestHostileSizes(t *testing.T) {
	const base256 = "\x80\x00\x00\x00"
	for name, c := range map[string]struct {
		packed []byte
		kind   fault.Kind
		names  string
	}{
		"8 GiB in octal":             {withSize(t, "77777777777\x00"), fault.Exhausted, `"odd" (byte 512)`},
		"64 GiB in 12 digits":        {withSize(t, "777777777777"), fault.Exhausted, `"odd" (byte 512)`},
		"negative":                   {withSize(t, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe"), fault.Invalid, `"tar header" (byte 512)`},
		"the smallest number":        {withSize(t, "\xff\xff\xff\xff\x80\x00\x00\x00\x00\x00\x00\x00"), fault.Invalid, `"tar header" (byte 512)`},
		"the largest number":         {withSize(t, base256+"\x7f\xff\xff\xff\xff\xff\xff\xff"), fault.Exhausted, `"odd" (byte 512)`},
		"more than 63 bits":          {withSize(t, base256+"\xff\xff\xff\xff\xff\xff\xff\xff"), fault.Invalid, `"tar header" (byte 512)`},
		"more than 64 bits":          {withSize(t, "\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), fault.Invalid, `"tar header" (byte 512)`},
		"no number":                  {withSize(t, "0000000000x\x00"), fault.Invalid, `"tar header" (byte 512)`},
		"a minus sign":               {withSize(t, "-0000000001\x00"), fault.Invalid, `"tar header" (byte 512)`},
		"in a record, negative":      {paxTar(t, record("size", "-1")), fault.Invalid, `"tar header" (byte 0)`},
		"in a record, overflow":      {paxTar(t, record("size", "99999999999999999999")), fault.Invalid, `"tar header" (byte 0)`},
		"in a record, huge":          {paxTar(t, record("size", "9223372036854775807")), fault.Exhausted, `"odd" (byte 0)`},
		"in a record, no number":     {paxTar(t, record("size", "many")), fault.Invalid, `"tar header" (byte 0)`},
		"sparse, terabytes, old GNU": {gnuSparse(t, "\x80\x00\x00\x00\x00\x00\x10\x00\x00\x00\x00\x00"), fault.Invalid, `"odd" (byte 512)`},
		"sparse, terabytes, PAX 0.1": {paxTar(t, record("GNU.sparse.size", "9999999999999")+record("GNU.sparse.numblocks", "1")+record("GNU.sparse.map", "9999999999999,0")), fault.Invalid, `odd" (byte 0)`},
		"sparse, terabytes, PAX 1.0": {paxTar(t, record("GNU.sparse.major", "1")+record("GNU.sparse.minor", "0")+record("GNU.sparse.realsize", "9999999999999")), fault.Invalid, `(byte 0)`},
		"sparse, overflowing map":    {paxTar(t, record("GNU.sparse.size", "1")+record("GNU.sparse.numblocks", "1")+record("GNU.sparse.map", "9223372036854775807,9223372036854775807")), fault.Invalid, `(byte 0)`},
		"sparse, negative map":       {paxTar(t, record("GNU.sparse.size", "1")+record("GNU.sparse.numblocks", "1")+record("GNU.sparse.map", "-1,1")), fault.Invalid, `(byte 0)`},
	} {
		t.Run(name, func(t *testing.T) { refuses(t, c.packed, DefaultLimits(), c.kind, c.names) })
	}
}

func TestBrokenPaxHeaders(t *testing.T) {
	for name, c := range map[string]struct{ records, names string }{
		"no length":               {"path=x\n", "tar header"},
		"length too long":         {"999 path=x\n", "tar header"},
		"length too short":        {"5 path=x\n", "tar header"},
		"length of nothing":       {"0 path=x\n", "tar header"},
		"length overflows":        {"99999999999999999999 path=x\n", "tar header"},
		"no equals sign":          {"8 pathx\n", "tar header"},
		"no line feed":            {"9 path=xy", "tar header"},
		"no key":                  {record("", "x"), "tar header"},
		"NUL in the path":         {record("path", "a\x00b"), "tar header"},
		"NUL in a key":            {record("a\x00b", "x"), "tar header"},
		"time is no number":       {record("mtime", "noon"), "tar header"},
		"only NULs":               {strings.Repeat("\x00", 600), "tar header"},
		"path out of the tree":    {record("path", "../x"), `"../x" (byte 0)`},
		"absolute path":           {record("path", "/x"), `"/x" (byte 0)`},
		"a megabyte":              {strings.Repeat(record("comment", strings.Repeat("x", 1000)), 1200), "tar header"},
		"long path":               {record("path", strings.Repeat("x/", 100_000)+"x"), "(byte 0)"},
		"two paths, second bad":   {record("path", "good") + record("path", "../bad"), `"../bad" (byte 0)`},
		"device by its own field": {record("linkpath", "/etc/passwd") + record("path", ".git/x"), `".git/x" (byte 0)`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := readAll(paxTar(t, c.records), DefaultLimits())
			var domain *fault.Error
			if !errors.As(err, &domain) || domain.Kind != fault.Invalid && domain.Kind != fault.Exhausted || !strings.Contains(domain.Field, c.names) {
				t.Errorf("%v", err)
			}
		})
	}
}

// A tar archive that is cut anywhere is not taken for a shorter one.
func TestTarCutAnywhere(t *testing.T) {
	whole := packTar(t, []file{{name: "a", mode: Regular, body: "1"}, {name: "zeros", mode: Regular, body: strings.Repeat("\x00", 3*tarBlock)}, {name: "b", mode: Regular}})
	end := len(whole) - 2*tarBlock
	for n := 1; n <= len(whole); n++ {
		_, err := readAll(whole[:n], DefaultLimits())
		if n < end+tarBlock && err == nil || n >= end+tarBlock && n%tarBlock == 0 && err != nil {
			t.Errorf("cut at byte %d of %d: %v", n, len(whole), err)
		}
		wantDomainError(t, err)
	}
	refuses(t, whole[:end], DefaultLimits(), fault.Invalid, "archive")
	refuses(t, compress(t, whole[:end], toGzip), DefaultLimits(), fault.Invalid, "archive")
}

func TestHostileStreams(t *testing.T) {
	plainTar := packTar(t, oddTree)
	for _, c := range []struct {
		name string
		open func(io.Writer) (io.WriteCloser, error)
		many bool // whether streams one after the other are one
	}{{"gzip", toGzip, true}, {"zstd", toZstd, true}, {"xz", toXZ, false}} {
		first, second := compress(t, plainTar[:1000], c.open), compress(t, plainTar[1000:], c.open)
		id, err := readAll(append(bytes.Clone(first), second...), DefaultLimits())
		if c.many && (err != nil || id.Tree != TreePrefix+oddSHA256) {
			t.Errorf("%s in two streams: %v, %v", c.name, id.Tree, err)
		} else if !c.many && !fault.Is(err, fault.Invalid) {
			t.Errorf("%s in two streams: %v", c.name, err)
		}
		one := compress(t, plainTar, c.open)
		refuses(t, append(bytes.Clone(one), "garbage"...), DefaultLimits(), fault.Invalid, "")
		refuses(t, append(bytes.Clone(one), compress(t, plainTar, c.open)...), DefaultLimits(), fault.Invalid, "archive")
		for n := 1; n < len(one); n += 1 + len(one)/97 {
			if _, err := readAll(one[:n], DefaultLimits()); err == nil {
				t.Errorf("%s, cut at byte %d of %d: taken", c.name, n, len(one))
			}
		}
		inner := compress(t, one, c.open)
		refuses(t, inner, DefaultLimits(), fault.Invalid, "archive") // what is inside is no tar, and is not opened
	}
	bz2, err := os.ReadFile("testdata/odd.tar.bz2")
	if err != nil {
		t.Fatal(err)
	}
	randomised := bytes.Clone(bz2)
	randomised[14] |= 0x80 // the bit behind the block's magic number and sum
	refuses(t, randomised, DefaultLimits(), fault.Invalid, `"tar header" (byte 0)`)
	refuses(t, append(bytes.Clone(bz2), "garbage"...), DefaultLimits(), fault.Invalid, "")
	refuses(t, append(bytes.Clone(bz2), bz2...), DefaultLimits(), fault.Invalid, "archive")
}

// A bomb by a compressor that Go has no writer for.
func TestBzip2Bomb(t *testing.T) {
	if _, err := exec.LookPath("bzip2"); err != nil {
		t.Skip("needs bzip2")
	}
	cmd := exec.Command("bzip2", "-c")
	cmd.Stdin = bytes.NewReader(packTar(t, bomb))
	packed, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	refuses(t, packed, DefaultLimits(), fault.Exhausted, `"bomb"`)
}

// An archive in an archive is a file like any other: bombs within it and quines do not go off.
func TestArchivesInArchivesAreFiles(t *testing.T) {
	inner := packZip(t, bomb)
	for range 5 {
		inner = packZip(t, []file{{name: "inner.zip", mode: Regular, body: string(inner)}})
	}
	for _, packed := range [][]byte{inner, packTar(t, []file{{name: "inner.zip", mode: Regular, body: string(inner)}})} {
		if id, err := readAll(packed, DefaultLimits()); err != nil || id.Files != 1 {
			t.Errorf("%d files, %v", id.Files, err)
		}
	}
}

// Many members that share one packed stream, each with headers of its own: what the well-known bombs without nesting are made of.
func TestZipMembersThatShareContent(t *testing.T) {
	good := packZip(t, []file{{name: "first", mode: Regular, body: strings.Repeat("x", 100)}, {name: "second", mode: Regular, body: strings.Repeat("x", 100)}})
	second := bytes.Index(good[1:], []byte(zipLocalMark)) + 1
	for where, change := range map[string]func(b []byte){
		"the packed size reaches into the next": func(b []byte) {
			binary.LittleEndian.PutUint32(b[central(b, 0)+20:], uint32(second))
		},
		"the extra field reaches over the next header": func(b []byte) {
			binary.LittleEndian.PutUint16(b[28:], uint16(second-30-5+40))
		},
		"the last one reaches into the directory": func(b []byte) {
			binary.LittleEndian.PutUint32(b[central(b, 1)+20:], uint32(len(b)))
		},
	} {
		b := bytes.Clone(good)
		change(b)
		var domain *fault.Error
		if _, err := readAll(b, DefaultLimits()); !errors.As(err, &domain) || domain.Kind != fault.Invalid || !strings.Contains(domain.Field, `"`) {
			t.Errorf("%s: %v", where, err)
		}
	}
}

// What two programs could read in two ways.
func TestZipThatTellsTwoThings(t *testing.T) {
	stored := func() []byte {
		var b bytes.Buffer
		w := zip.NewWriter(&b)
		dst, err := w.CreateRaw(&zip.FileHeader{Name: "first", Method: zip.Store, CRC32: 0xd3d99e8b, CompressedSize64: 1, UncompressedSize64: 1})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := dst.Write([]byte("A")); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	if _, err := readAll(stored(), DefaultLimits()); err != nil {
		t.Fatal(err)
	}
	for what, at := range map[string]int{"method": 8, "check sum": 14, "packed size": 18, "size": 22} {
		b := stored()
		b[at] ^= 1
		refuses(t, b, DefaultLimits(), fault.Invalid, `"first" (byte 0)`)
		_ = what
	}
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	extra := binary.LittleEndian.AppendUint16(nil, zipExtraPath)
	extra = binary.LittleEndian.AppendUint16(extra, 5+5)
	extra = append(append(extra, 1, 0, 0, 0, 0), "other"...)
	if _, err := w.CreateHeader(&zip.FileHeader{Name: "first", Extra: extra}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	refuses(t, b.Bytes(), DefaultLimits(), fault.Invalid, `"first"`)
}

// Trees that name each other many times over are small in a pack and endless on disk.
func TestGitTreesThatMultiply(t *testing.T) {
	r := newRepo(t)
	id := r.blob("x")
	line, kind := "100644", "blob"
	for range 10 {
		var tree strings.Builder
		for i := range 10 {
			fmt.Fprintf(&tree, "%s %s %s\t%d\n", line, kind, id, i)
		}
		made, err := r.run(tree.String(), "mktree")
		if err != nil {
			t.Fatal(err)
		}
		id, line, kind = made, "40000", "tree"
	}
	r.git("tag", "v1", r.git("commit-tree", "-m", "many", id))
	start := time.Now()
	lim := DefaultLimits()
	lim.MaxFiles = 20_000
	if _, err := identifyBundle(t, r.bundle("v1"), "v1", lim); !fault.Is(err, fault.Exhausted) {
		t.Error(err)
	}
	t.Logf("ten thousand million files, refused after %v", time.Since(start).Round(time.Millisecond))
}

func TestGitFoldersDeepBelowEachOther(t *testing.T) {
	r := newRepo(t)
	id, err := r.run("100644 blob "+r.blob("x")+"\tf\n", "mktree")
	if err != nil {
		t.Fatal(err)
	}
	for range 200 {
		if id, err = r.run("40000 tree "+id+"\td\n", "mktree"); err != nil {
			t.Fatal(err)
		}
	}
	r.git("tag", "v1", r.git("commit-tree", "-m", "deep", id))
	_, err = identifyBundle(t, r.bundle("v1"), "v1", DefaultLimits())
	var domain *fault.Error
	if !errors.As(err, &domain) || domain.Kind != fault.Exhausted || !strings.Contains(domain.Field, `"d/d/d`) {
		t.Error(err)
	}
}

// Links that lead through each other cost a bounded time to judge.
func TestLinksThroughLinks(t *testing.T) {
	var files []file
	for i := range maxBendy {
		target := strings.Repeat(fmt.Sprintf("l%d/../", (i+1)%maxBendy), 100) + "x"
		files = append(files, file{name: fmt.Sprintf("l%d", i), mode: Symlink, body: target})
	}
	start := time.Now()
	if _, err := readAll(packTar(t, files), DefaultLimits()); err != nil && !fault.Is(err, fault.Invalid) {
		t.Error(err)
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
	files = append(files, file{name: "one-more", mode: Symlink, body: "a/../b"})
	refuses(t, packTar(t, files), DefaultLimits(), fault.Exhausted, `"one-more"`)
}

// Unpacking what loops leaves nothing outside and comes to an end.
func TestLinksThatLoopUnpack(t *testing.T) {
	dir := t.TempDir()
	if err := unpack(packTar(t, []file{{name: "a", mode: Symlink, body: "b"}, {name: "b", mode: Symlink, body: "a"}, {name: "c", mode: Symlink, body: "c/c"}}), dir); err != nil {
		t.Fatal(err)
	}
	if to, err := os.Readlink(filepath.Join(dir, "a")); err != nil || to != "b" {
		t.Error(to, err)
	}
}

func TestPathsTogetherAreCapped(t *testing.T) {
	lim := DefaultLimits()
	lim.MaxNameBytes = 100
	refuses(t, packTar(t, []file{{name: strings.Repeat("x", 60), mode: Regular}, {name: strings.Repeat("y", 60), mode: Regular}}), lim, fault.Exhausted, `"yyy`)
	b := packTar(t, []file{{name: strings.Repeat("X", 60), mode: Regular}}) // held as it is and folded
	tree, err := OpenArchive(bytes.NewReader(b), int64(len(b)), lim)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Identify(t.Context(), tree); !fault.Is(err, fault.Exhausted) || !strings.HasPrefix(err.Error(), `"XXX`) {
		t.Error(err)
	}
}
