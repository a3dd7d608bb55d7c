package intake

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

// tight are limits that small tests can reach.
func tight() Limits {
	lim := DefaultLimits()
	lim.MaxFiles, lim.MaxBytes, lim.MaxFileBytes, lim.MaxDepth, lim.MaxPathBytes = 20, 1<<20, 512<<10, 8, 100
	return lim
}

// Each of these must be refused as both tar and zip, by an error that names the member.
var hostileTrees = []struct {
	name  string
	files []file
	kind  fault.Kind
	names string // what the error's field must hold
}{
	{"absolute path", []file{{name: "/etc/passwd", mode: Regular}}, fault.Invalid, `"/etc/passwd"`},
	{"way out", []file{{name: "a/../../b", mode: Regular}}, fault.Invalid, `"a/../../b"`},
	{"way out as a folder", []file{{name: "..", mode: Folder}}, fault.Invalid, `"../"`},
	{"empty component", []file{{name: "a//b", mode: Regular}}, fault.Invalid, `"a//b"`},
	{"backslash", []file{{name: `a\b`, mode: Regular}}, fault.Invalid, `"a\\b"`},
	{"git's own files", []file{{name: "sub/.Git/config", mode: Regular}}, fault.Invalid, `"sub/.Git/config"`},
	{"the same path twice", []file{{name: "a", mode: Regular, body: "1"}, {name: "a", mode: Regular, body: "2"}}, fault.Invalid, `"a"`},
	{"the same folder twice", []file{{name: "a", mode: Folder}, {name: "a", mode: Folder}}, fault.Invalid, `"a/"`},
	{"a file, then a folder", []file{{name: "a", mode: Regular}, {name: "a", mode: Folder}}, fault.Invalid, `"a/"`},
	{"a folder, then a file", []file{{name: "a", mode: Folder}, {name: "a", mode: Regular}}, fault.Invalid, `"a"`},
	{"an implied folder, then a file", []file{{name: "a/b", mode: Regular}, {name: "a", mode: Regular}}, fault.Invalid, `"a"`},
	{"below a file", []file{{name: "a", mode: Regular}, {name: "a/b", mode: Regular}}, fault.Invalid, `"a/b"`},
	{"below a link", []file{{name: "a", mode: Symlink, body: "b"}, {name: "a/c", mode: Regular}}, fault.Invalid, `"a/c"`},
	{"link in the place of a folder", []file{{name: "a/b", mode: Regular}, {name: "a", mode: Symlink, body: "b"}}, fault.Invalid, `"a"`},
	{"absolute link", []file{{name: "l", mode: Symlink, body: "/etc"}}, fault.Invalid, `"l"`},
	{"link out", []file{{name: "l", mode: Symlink, body: ".."}}, fault.Invalid, `"l"`},
	{"link out from below", []file{{name: "a/b/l", mode: Symlink, body: "../../../x"}}, fault.Invalid, `"a/b/l"`},
	{"link that goes down and out", []file{{name: "l", mode: Symlink, body: "a/../../x"}}, fault.Invalid, `"l"`},
	{"link out through a link", []file{
		{name: "a/deep/root", mode: Symlink, body: "../.."},
		{name: "out", mode: Symlink, body: "a/deep/root/.."},
	}, fault.Invalid, `"out"`},
	{"link out through a later link", []file{
		{name: "out", mode: Symlink, body: "a/deep/one/.."},
		{name: "a/deep/one", mode: Symlink, body: "two"},
		{name: "a/deep/two", mode: Symlink, body: "../.."},
	}, fault.Invalid, `"out"`},
	{"link without a target", []file{{name: "l", mode: Symlink, body: ""}}, fault.Invalid, `"l"`},
	{"link with a backslash", []file{{name: "l", mode: Symlink, body: `..\x`}}, fault.Invalid, `"l"`},
	{"long target", []file{{name: "l", mode: Symlink, body: strings.Repeat("x", 101)}}, fault.Exhausted, `"l"`},
	{"long path", []file{{name: strings.Repeat("x", 101), mode: Regular}}, fault.Exhausted, `"xxx`},
	{"deep path", []file{{name: "1/2/3/4/5/6/7/8/9", mode: Regular}}, fault.Exhausted, `"1/2/3/4/5/6/7/8/9"`},
	{"many files", append(manyFiles(18), file{name: "a/b/f", mode: Regular}), fault.Exhausted, `"a/b/f"`},
	{"many implied folders", []file{{name: "1/2/3/4/5/6/7/f", mode: Regular}, {name: "a/2/3/4/5/6/7/f", mode: Regular}, {name: "b/2/3/4/5/6/7/f", mode: Regular}},
		fault.Exhausted, `"b/2/3/4/5/6/7/f"`},
	{"large file", []file{{name: "f", mode: Regular, body: strings.Repeat("x", 513<<10)}}, fault.Exhausted, `"f"`},
	{"much content", []file{
		{name: "1", mode: Regular, body: strings.Repeat("x", 512<<10)}, {name: "2", mode: Regular, body: strings.Repeat("x", 512<<10)},
		{name: "3", mode: Regular, body: "x"}}, fault.Exhausted, `"3"`},
	{"nothing", nil, fault.Invalid, "source"},
}

func manyFiles(n int) []file {
	files := make([]file, n)
	for i := range files {
		files[i] = file{name: fmt.Sprintf("f%d", i), mode: Regular}
	}
	return files
}

func TestHostileTrees(t *testing.T) {
	for _, c := range hostileTrees {
		t.Run("tar/"+c.name, func(t *testing.T) { refuses(t, packTar(t, c.files), tight(), c.kind, c.names) })
		t.Run("zip/"+c.name, func(t *testing.T) { refuses(t, packZip(t, c.files), tight(), c.kind, c.names) })
	}
}

func refuses(t *testing.T, packed []byte, lim Limits, kind fault.Kind, names string) {
	t.Helper()
	id, err := readAll(packed, lim)
	var domain *fault.Error
	if !errors.As(err, &domain) {
		t.Fatalf("%v, %v", id, err)
	}
	if domain.Kind != kind || !strings.Contains(domain.Field, names) {
		t.Errorf("kind %d, field %q, want kind %d and %q in the field: %v", domain.Kind, domain.Field, kind, names, err)
	}
}

func TestGoodLinks(t *testing.T) {
	files := []file{
		{name: "a/b/f", mode: Regular},
		{name: "a/b/root", mode: Symlink, body: "../../"},
		{name: "a/b/self", mode: Symlink, body: "self"},
		{name: "a/round", mode: Symlink, body: "b/../b/f"},
		{name: "a/there", mode: Symlink, body: "./b//f"},
		{name: "loop1", mode: Symlink, body: "loop2/../loop2"},
		{name: "loop2", mode: Symlink, body: "loop1/../loop1"},
		{name: "to-be-built", mode: Symlink, body: "out/../out/x"},
		{name: "back", mode: Symlink, body: "a/b/root/a/../a"},
	}
	if _, err := readAll(packTar(t, files), DefaultLimits()); err != nil {
		t.Error(err)
	}
}

func TestHostileTar(t *testing.T) {
	f := func(flag byte) []file {
		return []file{{name: "ok", mode: Regular}, {name: "odd", tar: flag, body: "ok"}}
	}
	for name, c := range map[string]struct {
		packed []byte
		kind   fault.Kind
		names  string
	}{
		"hard link":        {packTar(t, f(tar.TypeLink)), fault.Invalid, `"odd" (byte 512)`},
		"character device": {packTar(t, f(tar.TypeChar)), fault.Invalid, `"odd"`},
		"block device":     {packTar(t, f(tar.TypeBlock)), fault.Invalid, `"odd"`},
		"FIFO":             {packTar(t, f(tar.TypeFifo)), fault.Invalid, `"odd"`},
		"sparse, GNU":      {sparse(t), fault.Invalid, `"odd"`},
		"sparse, PAX":      {withRecords(t, "odd", map[string]string{"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.size": "1", "GNU.sparse.numblocks": "0", "GNU.sparse.map": ""}), fault.Invalid, "odd"},
		"global path":      {globalPath(t), fault.Invalid, ""},
		"trailing data":    {append(packTar(t, oddTree[:1]), packTar(t, oddTree[1:2])...), fault.Invalid, "archive"},
		"cut short":        {packTar(t, []file{{name: "f", mode: Regular, body: strings.Repeat("x", 5000)}})[:2000], fault.Invalid, `"f" (byte 0)`},
		"cut in a header":  {packTar(t, manyFiles(3))[:700], fault.Invalid, "tar header"},
		"wrong checksum":   {damaged(packTar(t, manyFiles(3)), 520), fault.Invalid, `"tar header" (byte 512)`},
		"no archive":       {[]byte("just some text"), fault.Invalid, "archive"},
		"no bytes":         {nil, fault.Invalid, "source"},
		"gzip of text":     {compress(t, []byte(strings.Repeat("text", 200)), toGzip), fault.Invalid, "archive"},
		"gzip cut short":   {cut(compress(t, packTar(t, oddTree), toGzip), 30), fault.Invalid, ""},
		"gzip, wrong CRC":  {damaged(compress(t, packTar(t, manyFiles(2)), toGzip), -5), fault.Invalid, "archive"},
		"gzip bomb":        {compress(t, packTar(t, bomb), toGzip), fault.Exhausted, `"bomb"`},
		"zstd bomb":        {compress(t, packTar(t, bomb), toZstd), fault.Exhausted, `"bomb"`},
		"xz bomb":          {compress(t, packTar(t, bomb), toXZ), fault.Exhausted, `"bomb"`},
		"bomb of blanks":   {compress(t, append(packTar(t, manyFiles(2)), make([]byte, 4<<20)...), toGzip), fault.Exhausted, ""},
		"xz window":        {compress(t, packTar(t, oddTree), toXZWide), fault.Exhausted, `"xz block" (byte 12)`},
		"zstd window":      {compress(t, append(packTar(t, oddTree), make([]byte, 1<<20)...), toZstdWide), fault.Exhausted, "tar header"},
		"xz trailing data": {append(compress(t, packTar(t, oddTree), toXZ), "more"...), fault.Invalid, "archive"},
		"xz, wrong check":  {damaged(compress(t, packTar(t, oddTree), toXZ), -40), fault.Invalid, ""},
	} {
		t.Run(name, func(t *testing.T) {
			lim := DefaultLimits()
			lim.MaxRatio = 100
			refuses(t, c.packed, lim, c.kind, c.names)
		})
	}
}

var bomb = []file{{name: "bomb", mode: Regular, body: strings.Repeat("\x00", 2<<20)}}

func toXZWide(w io.Writer) (io.WriteCloser, error) {
	return xz.WriterConfig{DictCap: 129 << 20, BufSize: 4096}.NewWriter(w)
}

func toZstdWide(w io.Writer) (io.WriteCloser, error) {
	return zstd.NewWriter(w, zstd.WithWindowSize(256<<20), zstd.WithSingleSegment(false))
}

func cut(b []byte, n int) []byte { return b[:len(b)-n] }

// damaged changes a byte, counted from the end where i is negative.
func damaged(b []byte, i int) []byte {
	b = bytes.Clone(b)
	b[(i+len(b))%len(b)] ^= 0x55
	return b
}

func sparse(t *testing.T) []byte {
	b := packTar(t, []file{{name: "odd", mode: Regular}})
	b[156] = tar.TypeGNUSparse
	copy(b[257:], "ustar  \x00")
	copy(b[345:], make([]byte, 155)) // no sparse entries
	copy(b[483:], "00000000000\x00")
	copy(b[148:], "        ")
	var sum int
	for _, c := range b[:512] {
		sum += int(c)
	}
	copy(b[148:], fmt.Sprintf("%06o\x00 ", sum))
	return b
}

func withRecords(t *testing.T, name string, records map[string]string) []byte {
	var block bytes.Buffer
	for _, k := range []string{"GNU.sparse.major", "GNU.sparse.minor", "GNU.sparse.size", "GNU.sparse.numblocks", "GNU.sparse.map"} {
		body := fmt.Sprintf(" %s=%s\n", k, records[k])
		n := len(body) + 2
		fmt.Fprintf(&block, "%d%s", n, body)
	}
	b := packTar(t, []file{{name: "PaxHeaders/odd", mode: Regular, body: block.String()}})
	b[156] = tar.TypeXHeader
	copy(b[148:], "        ")
	var sum int
	for _, c := range b[:512] {
		sum += int(c)
	}
	copy(b[148:], fmt.Sprintf("%06o\x00 ", sum))
	return append(b[:len(b)-1024], packTar(t, []file{{name: name, mode: Regular}})...)
}

func globalPath(t *testing.T) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	h := &tar.Header{Typeflag: tar.TypeXGlobalHeader, Name: "pax_global_header", PAXRecords: map[string]string{"path": "other"}}
	if err := w.WriteHeader(h); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return append(b.Bytes(), packTar(t, manyFiles(1))...)
}

func TestHostileZip(t *testing.T) {
	good := packZip(t, []file{{name: "first", mode: Regular, body: "1"}, {name: "second", mode: Regular, body: "2"}})
	for name, c := range map[string]struct {
		packed []byte
		kind   fault.Kind
		names  string
	}{
		"overlapping members":     {overlapping(t), fault.Invalid, `"second" (byte 0)`},
		"another name inside":     {bytes.Replace(good, []byte("second"), []byte("zecond"), 1), fault.Invalid, `"second"`},
		"encrypted":               {withFlag(good, 1), fault.Invalid, `"first" (byte 0)`},
		"unknown method":          {withMethod(good, 97), fault.Invalid, `"first" (byte 0)`},
		"wrong CRC":               {withCRC(good), fault.Invalid, `"first" (byte 0)`},
		"bytes before it":         {append([]byte("PK\x03\x04junk"), good...), fault.Invalid, "zip directory"},
		"bytes behind it":         {append(bytes.Clone(good), "more"...), fault.Invalid, "zip directory"},
		"cut short":               {cut(good, 5), fault.Invalid, "zip directory"},
		"more members than said":  {withCount(good, 1), fault.Invalid, "zip directory"},
		"fewer members than said": {withCount(good, 3), fault.Invalid, "zip directory"},
		"bomb":                    {packZip(t, bomb), fault.Exhausted, `"bomb"`},
		"device":                  {packZipMode(t, 0o60644<<16), fault.Invalid, `"odd"`},
	} {
		t.Run(name, func(t *testing.T) {
			lim := DefaultLimits()
			lim.MaxRatio = 100
			refuses(t, c.packed, lim, c.kind, c.names)
		})
	}
}

// central returns the start of the i-th central header.
func central(b []byte, i int) int {
	at := 0
	for n := 0; ; n++ {
		at += bytes.Index(b[at:], []byte(zipCentralMark))
		if n == i {
			return at
		}
		at += 4
	}
}

func overlapping(t *testing.T) []byte {
	b := packZip(t, []file{{name: "first", mode: Regular, body: "1"}, {name: "second", mode: Regular, body: "2"}})
	binary.LittleEndian.PutUint32(b[central(b, 1)+42:], 0)
	return b
}

func withFlag(b []byte, flag byte) []byte {
	b = bytes.Clone(b)
	b[central(b, 0)+8] |= flag
	return b
}

func withMethod(b []byte, method byte) []byte {
	b = bytes.Clone(b)
	b[central(b, 0)+10] = method
	return b
}

func withCRC(b []byte) []byte {
	b = bytes.Clone(b)
	b[central(b, 0)+16] ^= 1
	return b
}

func withCount(b []byte, n byte) []byte {
	b = bytes.Clone(b)
	end := bytes.LastIndex(b, []byte(zipEndMark))
	b[end+8], b[end+10] = n, n
	return b
}

func packZipMode(t *testing.T, attrs uint32) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	if _, err := w.CreateHeader(&zip.FileHeader{Name: "odd", CreatorVersion: 3 << 8, ExternalAttrs: attrs}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestZipDirectoryIsCapped(t *testing.T) {
	refuses(t, packZip(t, manyFiles(21)), tight(), fault.Exhausted, "zip directory")
}

func TestZip64(t *testing.T) {
	const members = 1<<16 + 10
	packed := packZip(t, manyFiles(members))
	id, err := readAll(packed, DefaultLimits())
	if err != nil || id.Files != members {
		t.Errorf("%d files, %v", id.Files, err)
	}
	record := bytes.LastIndex(packed, []byte(zipEnd64Mark))
	for offset := 32; offset < zipEnd64Len; offset += 8 {
		refuses(t, damaged(packed, record+offset), DefaultLimits(), fault.Invalid, "zip directory")
	}
}

func TestLimitsMustBePositive(t *testing.T) {
	for name, spoil := range map[string]func(*Limits){
		"files": func(l *Limits) { l.MaxFiles = 0 }, "ratio": func(l *Limits) { l.MaxRatio = -1 }, "depth": func(l *Limits) { l.MaxDepth = 0 },
	} {
		lim := DefaultLimits()
		spoil(&lim)
		if _, err := open(packTar(t, oddTree), lim); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
