package gitpack

import (
	"bytes"
	"errors"
	"io"
	"math/bits"
	"os"
	"sync/atomic"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

// content is a whole object, in memory or in a file.
type content struct {
	b    []byte
	f    *os.File
	dir  *files // whose file it is
	size int64
}

func inMemory(b []byte) content { return content{b: b, size: int64(len(b))} }

// at gives the content for reading anywhere in it.
func (c content) at() io.ReaderAt {
	if c.f != nil {
		return c.f
	}
	return bytes.NewReader(c.b)
}

func (c content) reader() io.Reader { return io.NewSectionReader(c.at(), 0, c.size) }

// files makes scratch files for contents, up to a limit of bytes in them at a time.
type files struct {
	dir  string
	most int64
	held atomic.Int64
}

// wholeObjects is how many of the largest objects may lie in scratch files at a time.
const wholeObjects = 8

func (d *files) create(size int64, at string) (content, error) {
	if d.held.Add(size) > d.most {
		d.held.Add(-size)
		return content{}, fault.Exhaustedf(at, "needs too many large objects at the same time").WithAdvice("repack with a smaller --depth")
	}
	f, err := os.CreateTemp(d.dir, "object-*")
	if err != nil {
		d.held.Add(-size)
		return content{}, err
	}
	return content{f: f, dir: d, size: size}, nil
}

// remove removes the file of a content, if it is in one.
func (c content) remove() error {
	if c.f == nil {
		return nil
	}
	c.dir.held.Add(-c.size)
	return errors.Join(c.f.Close(), os.Remove(c.f.Name()))
}

// pool keeps buffers for reuse, by size. It is for one goroutine.
type pool struct {
	free [4 * 64][][]byte
	held int
}

const poolBytes = 16 << 20 // that lie unused

// class returns the class of a size, and the size of that class's buffers: four to each power of two.
func class(size int) (int, int) {
	const smallest = 256
	if size <= smallest {
		return 0, smallest
	}
	k := bits.Len(uint(size - 1))
	n := (size - 1) >> (k - 3) // 4 to 7
	return 4*k + n - 4, (n + 1) << (k - 3)
}

func (p *pool) get(size int) []byte {
	c, most := class(size)
	if n := len(p.free[c]); n > 0 {
		b := p.free[c][n-1]
		p.free[c] = p.free[c][:n-1]
		p.held -= cap(b)
		if cap(b) >= size {
			return b[:size]
		}
	}
	return make([]byte, size, most)
}

func (p *pool) put(b []byte) {
	if b == nil || p.held+cap(b) > poolBytes {
		return
	}
	c, most := class(cap(b))
	if cap(b) == most {
		p.free[c] = append(p.free[c], b)
		p.held += cap(b)
	}
}
