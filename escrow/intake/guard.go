package intake

import (
	"context"
	"io"
	"strings"
	"time"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

// guard stands between a format's reader and the callback of a walk. It holds every rule that does not depend on
// the format, so that all formats obey the same ones.
type guard struct {
	ctx  context.Context
	src  *source
	lim  Limits
	each func(Entry) error

	seen   map[string]node
	links  map[string]string // link → target
	bendy  []string          // links whose target goes up again after a name, which only the whole tree can judge
	files  int64             // entries given
	bytes  int64
	newest time.Time
}

type node struct {
	mode    Mode
	implied bool
}

func newGuard(ctx context.Context, src *source, lim Limits, each func(Entry) error) *guard {
	return &guard{ctx: ctx, src: src, lim: lim, each: each, seen: make(map[string]node), links: make(map[string]string)}
}

// add checks e and gives it on; at names the member in errors.
func (g *guard) add(e Entry, at string) error {
	if err := g.ctx.Err(); err != nil {
		return err
	}
	if err := checkPath(e.Path, at, g.lim); err != nil {
		return err
	}
	if err := g.imply(parent(e.Path), at); err != nil {
		return err
	}
	if e.ModTime.After(g.newest) {
		g.newest = e.ModTime
	}
	if known, ok := g.seen[e.Path]; ok {
		return g.again(known, e, at)
	}
	if err := g.checkContent(&e, at); err != nil {
		return err
	}
	return g.give(e, false, at)
}

// again judges an entry whose path is taken: only a folder that was merely implied may be named later.
func (g *guard) again(known node, e Entry, at string) error {
	switch {
	case known.mode == Folder && e.Mode == Folder && known.implied:
		g.seen[e.Path] = node{mode: Folder}
		return nil
	case (known.mode == Folder) != (e.Mode == Folder):
		return fault.Invalidf(at, "its path is a file and a folder at once")
	default:
		return fault.Invalidf(at, "its path occurs twice")
	}
}

// imply gives the folder and those above it, as far as they were not given.
func (g *guard) imply(folder, at string) error {
	if folder == "" {
		return nil
	}
	if known, ok := g.seen[folder]; ok {
		if known.mode != Folder {
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
	g.seen[e.Path] = node{mode: e.Mode, implied: implied}
	return g.each(e)
}

func (g *guard) checkContent(e *Entry, at string) error {
	switch e.Mode {
	case Folder:
		return nil
	case Symlink:
		g.links[e.Path] = e.Link
		return g.checkLink(e.Path, e.Link, at)
	}
	if e.Size > g.lim.MaxFileBytes {
		return fault.Exhaustedf(at, "has %d bytes, %d at most", e.Size, g.lim.MaxFileBytes)
	}
	g.bytes += e.Size
	if g.bytes > g.lim.MaxBytes {
		return fault.Exhaustedf(at, "the files have more than %d bytes together", g.lim.MaxBytes)
	}
	if g.bytes > g.lim.fromRatio(g.src.size) {
		return overRatio(at, g.lim)
	}
	e.Content = &content{ctx: g.ctx, src: g.src, r: e.Content, left: e.Size, at: at}
	return nil
}

func overRatio(at string, lim Limits) error {
	return fault.Exhaustedf(at, "the source unpacks to more than %d times its packed size", lim.MaxRatio)
}

// checkLink refuses a target that is not below the root. A target that goes up only at its start can be judged by
// itself, because no link lies above a link; any other may pass through links and waits for finish.
func (g *guard) checkLink(path, target, at string) error {
	switch {
	case target == "":
		return fault.Invalidf(at, "the link has no target")
	case len(target) > g.lim.MaxPathBytes:
		return fault.Exhaustedf(at, "the link's target has %d bytes, %d at most", len(target), g.lim.MaxPathBytes)
	case target[0] == '/':
		return fault.Invalidf(at, "the link's target %s is absolute", member(target, -1))
	case strings.ContainsAny(target, "\x00\\"):
		return fault.Invalidf(at, "the link's target holds a NUL or a backslash")
	}
	level, named, bendy := strings.Count(path, "/"), false, false
	for name := range strings.SplitSeq(target, "/") {
		switch name {
		case "", ".":
		case "..":
			level--
			bendy = bendy || named
		default:
			level++
			named = true
		}
		if level < 0 {
			return leavesTree(at, target)
		}
	}
	if !bendy {
		return nil
	}
	if g.bendy = append(g.bendy, path); len(g.bendy) > maxBendy {
		return fault.Exhaustedf(at, "more than %d links have targets that go down and up again", maxBendy)
	}
	return nil
}

func leavesTree(at, target string) error {
	return fault.Invalidf(at, "the link's target %s leaves the tree", member(target, -1))
}

// finish judges what only the whole tree can show.
func (g *guard) finish() error {
	if g.files == 0 {
		return fault.Invalidf("source", "holds no files")
	}
	for _, path := range g.bendy {
		hops := maxHops
		if _, ok := g.follow(parent(path), g.links[path], &hops); !ok {
			return leavesTree(member(path, -1), g.links[path])
		}
	}
	return nil
}

const (
	maxBendy = 10_000 // links whose targets take a whole tree to judge
	maxHops  = 40     // links that the kernel follows before it gives up
)

// follow goes from a folder along a target as the kernel would and says where that ends, or that it leaves the tree.
// Names that do not exist are taken for folders: a build may make them.
func (g *guard) follow(folder, target string, hops *int) (string, bool) {
	for name := range strings.SplitSeq(target, "/") {
		switch name {
		case "", ".":
			continue
		case "..":
			if folder == "" {
				return "", false
			}
			folder = parent(folder)
			continue
		}
		next := strings.TrimPrefix(folder+"/"+name, "/")
		if to, ok := g.links[next]; ok && *hops > 0 {
			*hops--
			if next, ok = g.follow(folder, to, hops); !ok {
				return "", false
			}
		}
		folder = next
	}
	return folder, true
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
