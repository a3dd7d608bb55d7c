package intake

import (
	"bytes"
	"crypto/sha256"
	"hash"
	"io"
	"strconv"
	"strings"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/intake/gitbundle"
	"github.com/countersign-escrow/countersign/escrow/manifest"
)

// maxPointer is the size that a Git LFS pointer stays below, by the specification of Git LFS.
const maxPointer = 1024

// pointerVersions are the first lines of pointers: that of the specification, and that of the time before it.
var pointerVersions = []string{"version https://git-lfs.github.com/spec/v1", "version https://hawser.github.com/spec/v1"}

// looksLikePointer says whether b is what Git LFS puts in a file's place, well-formed or not.
func looksLikePointer(b []byte) bool {
	if len(b) >= maxPointer || !bytes.HasPrefix(b, []byte("version ")) || !bytes.Contains(b, []byte("\noid ")) {
		return false
	}
	first, _, _ := bytes.Cut(b, []byte("\n"))
	for _, v := range pointerVersions {
		if string(bytes.TrimRight(first, "\r ")) == v {
			return true
		}
	}
	return false
}

// parsePointer reads what looks like a pointer: lines of a key and a value, of which oid and size say what it stands for.
func parsePointer(b []byte, at string) (manifest.File, error) {
	var p manifest.File
	size, twice := "", false
	for line := range strings.SplitSeq(string(b), "\n") {
		key, value, _ := strings.Cut(strings.TrimRight(line, "\r "), " ")
		switch {
		case key == "oid" && strings.HasPrefix(value, digest.Prefix):
			d, err := digest.Parse(value)
			if err != nil {
				return p, malformedPointer(at)
			}
			twice = twice || !p.Digest.IsZero()
			p.Digest = d
		case key == "size":
			twice = twice || size != ""
			size = value
		case strings.HasPrefix(key, "ext-"):
			return p, gitbundle.Incompletef(at, "is a Git LFS pointer to what an extension of Git LFS made of the file").
				WithAdvice("deposit an archive of a checkout with the file in it")
		}
	}
	n, err := strconv.ParseInt(size, 10, 64)
	if err != nil || n < 0 || twice || p.Digest.IsZero() {
		return p, malformedPointer(at)
	}
	p.Size = n
	return p, nil
}

func malformedPointer(at string) error {
	return gitbundle.Incompletef(at, "is a malformed Git LFS pointer").WithAdvice("deposit an archive of a checkout with the file in it")
}

// pointer reads the content of a small file and returns it where it is a pointer. Otherwise e yields it as before.
func (g *guard) pointer(e *Entry) ([]byte, error) {
	if e.Size >= maxPointer {
		return nil, nil
	}
	b := g.small[:e.Size]
	if _, err := io.ReadFull(e.Content, b); err != nil {
		return nil, err
	}
	if looksLikePointer(b) {
		return bytes.Clone(b), nil
	}
	// The end is left to be read, because a format may find there that the content was not right.
	e.Content = &readBefore{b: b, rest: e.Content}
	return nil, nil
}

// readBefore yields what was read before and then the rest. io.MultiReader would reserve a buffer for each file.
type readBefore struct {
	b    []byte
	rest io.Reader
}

func (r *readBefore) Read(p []byte) (int, error) {
	if len(r.b) > 0 {
		n := copy(p, r.b)
		r.b = r.b[n:]
		return n, nil
	}
	return r.rest.Read(p)
}

// fromLFS gives the file that a pointer stands for in its place.
func (g *guard) fromLFS(e Entry, pointer []byte, at string) error {
	if _, err := io.Copy(io.Discard, e.Content); err != nil { // as above
		return err
	}
	p, err := parsePointer(pointer, at)
	if err != nil {
		return err
	}
	if err := g.count(p.Size, at); err != nil {
		return err
	}
	file, err := g.opts.openLFS(g.ctx, p, at)
	if err != nil {
		return err
	}
	defer file.Close()
	object := &source{r: file, size: p.Size}
	r := &verified{r: io.NewSectionReader(object, 0, p.Size), hash: sha256.New(), want: p.Digest, at: at}
	e.Size, e.Pointer, e.Content = p.Size, pointer, &content{ctx: g.ctx, src: object, r: r, left: p.Size, at: at}
	return g.give(e, false, at)
}

// verified yields a file that must have a digest.
type verified struct {
	r    io.Reader
	hash hash.Hash
	want digest.Digest
	at   string
}

func (v *verified) Read(p []byte) (int, error) {
	n, err := v.r.Read(p)
	v.hash.Write(p[:n])
	if err == io.EOF && digest.FromHash(v.hash) != v.want {
		return 0, fault.Corruptf(v.at, "the Git LFS object held for it is not %s", v.want)
	}
	return n, err
}
