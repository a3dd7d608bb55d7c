package intake

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"io"
	"strings"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

// tarTree is a tar archive, compressed or not. Each walk reads it anew.
type tarTree struct {
	src  *source
	lim  Limits
	opts options
	open opener
	prov Provenance
}

// Provenance returns the newest time of a member, after a walk.
func (t *tarTree) Provenance() Provenance { return t.prov }

// Close has nothing to remove.
func (t *tarTree) Close() error { return nil }

// Walk reads the archive from its start to its end.
func (t *tarTree) Walk(ctx context.Context, each func(Entry) error) error {
	stream, done, err := t.open(t.src, t.lim)
	if err != nil {
		return t.src.unreadable("archive", err)
	}
	defer done()
	w := &tarWalk{
		src:   t.src,
		meter: &meter{r: bufio.NewReaderSize(stream, 64<<10), at: "archive", src: t.src, lim: t.lim},
		guard: newGuard(ctx, t.src, t.lim, t.opts, each),
	}
	if err := w.members(); err != nil {
		return err
	}
	t.prov.Time = sourceTime(w.guard.newest)
	return nil
}

type tarWalk struct {
	src   *source
	meter *meter
	guard *guard
	end   int64 // of the last member with its padding: where the headers of the next one begin
}

func (w *tarWalk) members() error {
	r := tar.NewReader(w.meter)
	for {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return w.headerFault(err)
		}
		at := member(h.Name, w.end)
		w.end = roundUp(w.meter.n)
		if h.Typeflag == tar.TypeReg {
			w.end = roundUp(w.meter.n + h.Size)
		}
		if err := w.member(h, r, at); err != nil {
			return err
		}
	}
	if w.end > 0 && w.meter.n < w.end+tarBlock {
		return fault.Invalidf("archive", "ends at byte %d without the blank blocks that end a tar archive", w.meter.n).WithAdvice("was it cut short?")
	}
	if err := w.rest(); err != nil {
		return err
	}
	return w.guard.finish()
}

const tarBlock = 512

// roundUp returns where the block ends that byte n lies in.
func roundUp(n int64) int64 { return (n + tarBlock - 1) / tarBlock * tarBlock }

func (w *tarWalk) headerFault(err error) error {
	if w.guard.files == 0 && w.meter.n <= tarBlock && w.src.failed == nil && (err == tar.ErrHeader || err == io.ErrUnexpectedEOF) {
		e := fault.Invalidf("archive", "is no tar or zip archive").
			WithAdvice("deposit tar, plain or compressed with gzip, bzip2, xz or zstd, or zip")
		e.Err = err
		return e
	}
	return w.src.unreadable(member("tar header", w.end), err)
}

func (w *tarWalk) member(h *tar.Header, r io.Reader, at string) error {
	e, err := tarEntry(h, at)
	if err != nil || e.Path == "" {
		return err
	}
	e.Content, w.meter.at = r, at
	return w.guard.add(e, at)
}

// tarEntry turns a header into an entry; that of the root and headers without a member have no path.
func tarEntry(h *tar.Header, at string) (Entry, error) {
	if err := checkRecords(h, at); err != nil {
		return Entry{}, err
	}
	e := Entry{Path: tarPath(h), Size: h.Size, ModTime: h.ModTime}
	switch h.Typeflag {
	case tar.TypeXGlobalHeader:
		return Entry{}, nil
	case tar.TypeReg:
		e.Mode = Regular
		if h.Mode&0o100 != 0 {
			e.Mode = Executable
		}
	case tar.TypeDir:
		e.Mode, e.Size = Folder, 0
		return e, nil
	case tar.TypeSymlink:
		e.Mode, e.Size, e.Link = Symlink, 0, h.Linkname
	default:
		return Entry{}, refuseType(h.Typeflag, at)
	}
	if e.Path == "" {
		return Entry{}, fault.Invalidf(at, "its path is empty")
	}
	return e, nil
}

// checkRecords refuses extended headers that make sparse files, and global ones that other programs read as the path or size of
// each member that follows.
func checkRecords(h *tar.Header, at string) error {
	for key := range h.PAXRecords {
		switch {
		case strings.HasPrefix(key, "GNU.sparse."):
			return fault.Invalidf(at, "is a sparse file").WithAdvice("pack without --sparse")
		case h.Typeflag == tar.TypeXGlobalHeader && (key == "path" || key == "linkpath" || key == "size"):
			return fault.Invalidf(at, "a global header sets %q for all members", key)
		}
	}
	return nil
}

// tarPath takes off what tar programs add to paths: "./" before them and "/" behind those of folders.
func tarPath(h *tar.Header) string {
	p := strings.TrimPrefix(h.Name, "./")
	if h.Typeflag == tar.TypeDir && h.Name != "/" {
		p = strings.TrimSuffix(p, "/")
	}
	if p == "." {
		return ""
	}
	return p
}

func refuseType(flag byte, at string) error {
	switch flag {
	case tar.TypeLink:
		return fault.Invalidf(at, "is a hard link").WithAdvice("pack with --hard-dereference")
	case tar.TypeChar, tar.TypeBlock:
		return fault.Invalidf(at, "is a device")
	case tar.TypeFifo:
		return fault.Invalidf(at, "is a FIFO")
	case tar.TypeGNUSparse:
		return fault.Invalidf(at, "is a sparse file").WithAdvice("pack without --sparse")
	default:
		return fault.Invalidf(at, "is of the unknown type %q", flag)
	}
}

// rest makes sure that nothing but padding follows the last member: other programs might read on.
func (w *tarWalk) rest() error {
	buf := make([]byte, 32<<10)
	for {
		if err := w.guard.ctx.Err(); err != nil {
			return err
		}
		at := w.meter.n
		n, err := w.meter.Read(buf)
		if len(bytes.Trim(buf[:n], "\x00")) != 0 {
			return fault.Invalidf("archive", "something follows its end at byte %d", at)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return w.src.unreadable("archive", err)
		}
	}
}
