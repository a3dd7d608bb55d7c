package intake

import (
	"context"
	"io"
	"time"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

// guard stands between a format's reader and the callback of a walk. It holds every rule that does not depend on
// the format, so that all formats obey the same ones.
type guard struct {
	ctx    context.Context
	src    *source
	packed int64 // bytes of the files that the source is read from
	lim    Limits
	opts   options
	each   func(Entry) error

	fold   *folding
	seen   map[string]node   // by folded path
	within string            // the folder of the last entry, which was given
	links  map[string]string // link → target
	bendy  []string          // links whose target goes up again after a name, which only the whole tree can judge
	files  int64             // entries given
	names  int64             // bytes of paths held
	own    int64             // bytes of content that the source itself holds
	bytes  int64             // with that of Git LFS objects
	newest time.Time
	small  [maxPointer]byte
}

type node struct {
	path    string
	mode    Mode
	implied bool
}

func newGuard(ctx context.Context, src *source, lim Limits, opts options, each func(Entry) error) *guard {
	return &guard{ctx: ctx, src: src, packed: src.size, lim: lim, opts: opts, each: each,
		fold: newFolding(opts.caseSensitive), seen: make(map[string]node), links: make(map[string]string)}
}

// add checks e and gives it on; at names the member in errors.
func (g *guard) add(e Entry, at string) error {
	if err := g.ctx.Err(); err != nil {
		return err
	}
	if err := checkPath(e.Path, at, g.lim); err != nil {
		return err
	}
	if err := g.enter(parent(e.Path), at); err != nil {
		return err
	}
	if e.ModTime.After(g.newest) {
		g.newest = e.ModTime
	}
	if known, ok := g.seen[g.fold.path(e.Path)]; ok {
		return g.again(known, e, at)
	}
	switch e.Mode {
	case Folder:
		return g.folder(e, at)
	case Symlink:
		return g.link(e, at)
	default:
		return g.file(e, at)
	}
}

// again judges an entry whose path is taken: only a folder that was merely implied may be named later.
func (g *guard) again(known node, e Entry, at string) error {
	switch {
	case known.path != e.Path:
		return g.collision(known, at)
	case known.mode == Folder && e.Mode == Folder && known.implied:
		g.seen[g.fold.path(e.Path)] = node{path: e.Path, mode: Folder}
		return nil
	case (known.mode == Folder) != (e.Mode == Folder):
		return fault.Invalidf(at, "its path is a file and a folder at once")
	default:
		return fault.Invalidf(at, "its path occurs twice")
	}
}

func (g *guard) collision(known node, at string) error {
	e := fault.Invalidf(at, "it has the path of %s where letter case and Unicode normalization are not told apart", member(known.path, -1))
	if !g.opts.caseSensitive {
		return e.WithAdvice("where only letter case differs and is meant to, say case-sensitive: true for the source")
	}
	return e
}

// enter gives the folder of an entry and those above it, as far as they were not given.
func (g *guard) enter(folder, at string) error {
	if folder == g.within {
		return nil
	}
	if err := g.imply(folder, at); err != nil {
		return err
	}
	g.within = folder
	return nil
}

func (g *guard) imply(folder, at string) error {
	if folder == "" {
		return nil
	}
	if known, ok := g.seen[g.fold.path(folder)]; ok {
		switch {
		case known.path != folder:
			return g.collision(known, at)
		case known.mode != Folder:
			return fault.Invalidf(at, "it lies below %s, which is no folder", member(folder, -1))
		}
		return nil
	}
	if err := g.imply(parent(folder), at); err != nil {
		return err
	}
	return g.give(Entry{Path: folder, Mode: Folder}, true, at)
}

func (g *guard) give(e Entry, implied bool, at string) error {
	if g.files++; g.files > g.lim.MaxFiles {
		return fault.Exhaustedf(at, "there are more than %d files and folders", g.lim.MaxFiles)
	}
	folded := g.fold.path(e.Path)
	if g.names += int64(len(e.Path)); folded != e.Path {
		g.names += int64(len(folded))
	}
	if g.names > g.lim.MaxNameBytes {
		return fault.Exhaustedf(at, "the paths have more than %d bytes together", g.lim.MaxNameBytes)
	}
	g.seen[folded] = node{path: e.Path, mode: e.Mode, implied: implied}
	return g.each(e)
}

func (g *guard) folder(e Entry, at string) error {
	if e.Submodule != "" {
		if err := g.opts.checkSubmodule(g.ctx, e.Path, e.Submodule, at); err != nil {
			return err
		}
	}
	return g.give(e, false, at)
}

func (g *guard) link(e Entry, at string) error {
	g.links[e.Path] = e.Link
	if err := g.checkLink(e.Path, e.Link, at); err != nil {
		return err
	}
	return g.give(e, false, at)
}

func (g *guard) file(e Entry, at string) error {
	if err := g.count(e.Size, at); err != nil {
		return err
	}
	if g.own += e.Size; g.own > g.lim.fromRatio(g.packed) {
		return overRatio(at, g.lim)
	}
	e.Content = &content{ctx: g.ctx, src: g.src, r: e.Content, left: e.Size, at: at}
	pointer, err := g.pointer(&e)
	if err != nil {
		return err
	}
	if pointer != nil {
		return g.fromLFS(e, pointer, at)
	}
	return g.give(e, false, at)
}

func (g *guard) count(size int64, at string) error {
	if size > g.lim.MaxFileBytes {
		return fault.Exhaustedf(at, "has %d bytes, %d at most", size, g.lim.MaxFileBytes)
	}
	if g.bytes += size; g.bytes > g.lim.MaxBytes {
		return fault.Exhaustedf(at, "the files have more than %d bytes together", g.lim.MaxBytes)
	}
	return nil
}

func overRatio(at string, lim Limits) error {
	return fault.Exhaustedf(at, "the source unpacks to more than %d times its packed size", lim.MaxRatio)
}

// sourceTime returns t as whole seconds between 1970 and now.
func sourceTime(t time.Time) time.Time {
	s := min(max(t.Unix(), 0), time.Now().Unix())
	return time.Unix(s, 0).UTC()
}

// content yields exactly the bytes that an entry announced and ends early when the walk is called off.
type content struct {
	ctx  context.Context
	src  *source
	r    io.Reader
	left int64
	at   string
}

func (c *content) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.r.Read(p)
	if c.left -= int64(n); c.left < 0 {
		return 0, fault.Invalidf(c.at, "holds more bytes than it announces")
	}
	if err == io.EOF && c.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	if err != nil && err != io.EOF {
		err = c.src.unreadable(c.at, err)
	}
	return n, err
}
