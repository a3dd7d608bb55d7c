package intake

import (
	"strings"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

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
		if err := g.ctx.Err(); err != nil {
			return err
		}
		hops := maxHops
		if _, ok := g.follow(parent(path), g.links[path], &hops); !ok {
			return leavesTree(member(path, -1), g.links[path])
		}
	}
	return nil
}

const (
	maxBendy = 1_000 // links whose targets take a whole tree to judge
	maxHops  = 40    // links that the kernel follows before it gives up
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
