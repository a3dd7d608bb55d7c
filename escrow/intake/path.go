package intake

import (
	"fmt"
	"strings"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

// member names a member of a source in an error: its path, shortened, and the byte where it begins if that is known.
func member(path string, offset int64) string {
	const most = 200
	if len(path) > most {
		path = path[:most] + "…"
	}
	if offset < 0 {
		return fmt.Sprintf("%q", path)
	}
	return fmt.Sprintf("%q (byte %d)", path, offset)
}

// checkPath refuses every path that could mean something else than a file of the tree, here or on a file system
// with other rules; at names the member in the error.
func checkPath(p, at string, lim Limits) error {
	if len(p) > lim.MaxPathBytes {
		return fault.Exhaustedf(at, "its path has %d bytes, %d at most", len(p), lim.MaxPathBytes)
	}
	if strings.HasPrefix(p, "/") {
		return fault.Invalidf(at, "its path is absolute")
	}
	if strings.ContainsAny(p, "\x00\\") {
		return fault.Invalidf(at, "its path holds a NUL or a backslash")
	}
	if n := strings.Count(p, "/") + 1; n > lim.MaxDepth {
		return fault.Exhaustedf(at, "its path has %d components, %d at most", n, lim.MaxDepth)
	}
	for name := range strings.SplitSeq(p, "/") {
		if err := checkName(name, at); err != nil {
			return err
		}
	}
	return nil
}

func checkName(name, at string) error {
	switch {
	case name == "":
		return fault.Invalidf(at, "its path has an empty component")
	case name == "." || name == "..":
		return fault.Invalidf(at, "its path has the component %q", name)
	case len(name) > maxNameBytes:
		return fault.Exhaustedf(at, "a component of its path has %d bytes, %d at most", len(name), maxNameBytes)
	case isDotGit(name):
		return fault.Invalidf(at, "its path has a component that stands for .git").
			WithAdvice("leave git's own files out of the archive, or deposit a git bundle")
	}
	return nil
}

// isDotGit says whether some file system takes the name for ".git". NTFS ignores trailing dots and blanks, reads ':' as the
// start of a stream, and has git~1 as the short name; the rest is in folding. Bytes that are no UTF-8 are left out too, as
// some programs do.
func isDotGit(name string) bool {
	if len(name) < len(".git") {
		return false
	}
	name, _, _ = strings.Cut(name, ":")
	if !isASCII(name) {
		name = newFolding(false).text(strings.ToValidUTF8(name, ""))
	}
	name = strings.TrimRight(name, ". ")
	return strings.EqualFold(name, ".git") || strings.EqualFold(name, "git~1")
}

// parent returns the folder that holds p, "" for the root.
func parent(p string) string {
	i := strings.LastIndexByte(p, '/')
	return p[:max(i, 0)]
}

// base returns the last component of p.
func base(p string) string { return p[strings.LastIndexByte(p, '/')+1:] }
