package intake

import (
	"archive/zip"
	"context"
	"io"
	"io/fs"
	"strings"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

// zipTree is a zip archive, read by its central directory.
type zipTree struct {
	src   *source
	lim   Limits
	opts  options
	files []*zip.File
	at    []string // how errors name each file
	prov  Provenance
}

func openZip(src *source, lim Limits, opts options) (Tree, error) {
	members, err := readZipDirectory(src, lim)
	if err != nil {
		return nil, src.unreadable("zip directory", err)
	}
	r, err := zip.NewReader(src, src.size)
	if err != nil {
		return nil, src.unreadable("zip directory", err)
	}
	if len(r.File) != len(members) {
		return nil, fault.Invalidf("zip directory", "can be read in more than one way")
	}
	t := &zipTree{src: src, lim: lim, opts: opts, files: r.File, at: make([]string, len(r.File))}
	for i, f := range r.File {
		t.at[i] = member(f.Name, members[i].start)
	}
	return t, checkZipLayout(src, members, t.at)
}

// Provenance returns the newest time of a member, after a walk.
func (t *zipTree) Provenance() Provenance { return t.prov }

// Close has nothing to remove.
func (t *zipTree) Close() error { return nil }

// Walk gives the members in the order of the directory.
func (t *zipTree) Walk(ctx context.Context, each func(Entry) error) error {
	g := newGuard(ctx, t.src, t.lim, t.opts, each)
	for i, f := range t.files {
		if err := t.member(g, f, t.at[i]); err != nil {
			return err
		}
	}
	if err := g.finish(); err != nil {
		return err
	}
	t.prov.Time = sourceTime(g.newest)
	return nil
}

func (t *zipTree) member(g *guard, f *zip.File, at string) error {
	e, err := t.entry(f, at)
	if err != nil {
		return err
	}
	if e.Mode != Regular && e.Mode != Executable {
		return g.add(e, at)
	}
	r, err := f.Open()
	if err != nil {
		return t.src.unreadable(at, err)
	}
	defer r.Close()
	e.Content = r
	return g.add(e, at)
}

func (t *zipTree) entry(f *zip.File, at string) (Entry, error) {
	const encrypted = 0x1
	if f.Flags&encrypted != 0 {
		return Entry{}, fault.Invalidf(at, "is encrypted")
	}
	if f.UncompressedSize64 > 1<<62 || f.CompressedSize64 > uint64(t.src.size) {
		return Entry{}, fault.Invalidf(at, "announces an impossible size")
	}
	e := Entry{Path: f.Name, Size: int64(f.UncompressedSize64), ModTime: f.Modified}
	mode := f.Mode()
	switch mode.Type() {
	case 0:
		e.Mode = Regular
		if mode&0o100 != 0 {
			e.Mode = Executable
		}
	case fs.ModeDir:
		if e.Size != 0 {
			return Entry{}, fault.Invalidf(at, "is a folder with content")
		}
		e.Mode, e.Path = Folder, strings.TrimSuffix(f.Name, "/")
	case fs.ModeSymlink:
		return t.link(e, f, at)
	default:
		return Entry{}, fault.Invalidf(at, "is neither file nor folder nor link but %s", mode.Type())
	}
	return e, nil
}

// link reads the target of a link, which zip keeps as content.
func (t *zipTree) link(e Entry, f *zip.File, at string) (Entry, error) {
	if e.Size > int64(t.lim.MaxPathBytes) {
		return Entry{}, fault.Exhaustedf(at, "the link's target has %d bytes, %d at most", e.Size, t.lim.MaxPathBytes)
	}
	r, err := f.Open()
	if err != nil {
		return Entry{}, t.src.unreadable(at, err)
	}
	defer r.Close()
	target, err := io.ReadAll(r)
	if err != nil {
		return Entry{}, t.src.unreadable(at, err)
	}
	e.Mode, e.Size, e.Link = Symlink, 0, string(target)
	return e, nil
}
