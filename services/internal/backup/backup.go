// Package backup copies an embedded service that may be running into one archive, and an archive back into a folder.
// It knows nothing of what the files hold but for which order of copying them makes a whole.
//
// The archive is a tar file. Its last entry, MANIFEST, has one JSON document a line: first the Header, then path, size and
// SHA-256 of every entry before it. An archive that was cut off has none, and is refused.
package backup

import (
	"context"
	"encoding/hex"
	"path"
	"strings"
	"time"

	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/verifier/tlog"
)

const (
	format       = "countersign-backup/1"
	manifestName = "MANIFEST"
	catalogName  = "catalog.db"
	logName      = "log"

	fileMode   = 0o600
	folderMode = 0o700
)

// Caps on an archive.
const (
	maxEntries   = 20_000_000
	maxPathBytes = 512
	maxLineBytes = 4 << 10
)

// folders are those that an archive may have, besides the catalog. The names are those of the data folder, and kek for a
// key file that lies elsewhere.
var folders = map[string]bool{logName: true, "keys": true, "kek": true, "operator": true, "objects": true}

// Log gives the files of the transparency log; *tlog.Reader is one.
type Log interface {
	// Files gives the files of the log as it stands at one moment, which lies after the call.
	Files(ctx context.Context, each func(path string, content []byte) error) (tlog.Copied, error)
}

// Source is the service that is copied.
type Source struct {
	Catalog string   // the SQLite database; "" where the catalog is elsewhere and was backed up before
	Log     Log      // copied after the catalog, so that it has all that the catalog has noted of it
	Folders []Folder // copied after both, in this order: what is in them is added to and never changed
	Scratch string   // a folder with room for a copy of the catalog; needed with Catalog
}

// Folder is a folder of the service.
type Folder struct {
	Name string // in the archive: keys, kek, operator or objects
	Path string
	Skip func(name string) bool // says which files of it are left out, by their names in the folder; none if nil
}

// Header is what an archive says of itself.
type Header struct {
	Format  string    `json:"format"`
	Made    time.Time `json:"made"`     // when the copying began, UTC
	LogSize uint64    `json:"log_size"` // entries of the log
	LogRoot string    `json:"log_root"` // its root hash, hexadecimal
	Catalog bool      `json:"catalog"`  // whether the catalog is in the archive
	Objects bool      `json:"objects"`  // whether the deposited files are
	Entries int       `json:"entries"`  // files, the manifest not counted
	Bytes   int64     `json:"bytes"`    // of the files
}

// entry is one file in the manifest.
type entry struct {
	Path   string `json:"path"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

type sum [32]byte

func (s sum) String() string { return hex.EncodeToString(s[:]) }

// checkPath refuses a path that no archive of ours has: it may point out of the folder.
func checkPath(name string) error {
	top, rest, nested := strings.Cut(name, "/")
	known := name == catalogName || (nested && rest != "" && folders[top])
	if !known || len(name) > maxPathBytes || path.Clean(name) != name || strings.ContainsAny(name, "\\\x00") {
		return fault.Corruptf(name, "the archive has an entry %.80q, which no backup has", name)
	}
	return nil
}
