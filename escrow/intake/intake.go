// Package intake turns a vendor's hostile source files (archives and git bundles) into one canonical tree within limits,
// identifies that tree and unpacks it. It knows nothing of who deposited a file, where it is kept, or what it is built into.
package intake

import (
	"context"
	"io"
	"time"
)

// Mode says what an entry is. There are no other kinds: whatever else a source holds is refused.
type Mode uint8

// The modes.
const (
	Folder Mode = iota + 1
	Regular
	Executable
	Symlink
)

// Entry is one file, link or folder of a tree.
type Entry struct {
	Path    string    // slash-separated, relative, clean; any bytes but NUL and backslash
	Mode    Mode      //
	Size    int64     // of the content in bytes; 0 for folders and links
	Link    string    // the target of a symbolic link; it never leaves the tree
	ModTime time.Time // as the source says, and worth as much
	Content io.Reader // of regular and executable files; good until the callback returns; yields Size bytes or an error
	// Pointer is what the source itself has in the place of Content, where that stands in a Git LFS object.
	Pointer []byte
	// Submodule is for a folder that git links to another repository: the commit, as 40 hexadecimal digits. Another source of
	// the release holds what is in it.
	Submodule string
}

// Tree is a source opened for reading. It is not safe for concurrent use.
type Tree interface {
	// Walk gives each entry once, a folder before what it holds, in the order of the source. Folders that the source
	// only implies are given too. An error of the callback ends the walk and is returned as it is. Nothing may be
	// concluded from the entries of a walk that returned an error: a fault may show only at the very end.
	Walk(ctx context.Context, each func(Entry) error) error
	// Provenance returns what the source says of itself. For archives it is complete after the first whole walk.
	Provenance() Provenance
	// Close removes what was kept for reading.
	Close() error
}

// Provenance is what a source says of itself, apart from its content.
type Provenance struct {
	// Time is the commit time for git, the newest time of a member for archives: whole seconds in UTC, from 1970 to now.
	Time time.Time
	// The following are for git only: object ids as 40 hexadecimal digits.
	Commit    string
	CommitsTo string // the tree that the commit names
	TagObject string // "" for a lightweight tag
	// What is in the objects, as signatures cover it. Each has its id by SHA-1 with detection of collisions. Not to be changed.
	TagContent    []byte // nil for a lightweight tag
	CommitContent []byte
}
