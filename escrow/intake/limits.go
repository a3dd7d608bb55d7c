package intake

import "github.com/countersign-escrow/countersign/escrow/fault"

// Limits bound what one source may hold. All must be positive.
type Limits struct {
	MaxFiles       int64 // files, links and folders, implied ones too
	MaxBytes       int64 // content of all files together, unpacked
	MaxFileBytes   int64 // content of one file in an archive, unpacked
	MaxObjectBytes int64 // one git object
	MaxObjects     int64 // git objects in a bundle and its bases, those of older commits too
	MaxDepth       int   // components of a path
	MaxPathBytes   int   // of a path, and of a link's target
	MaxNameBytes   int64 // of all paths together, which are held in memory
	MaxRatio       int64 // unpacked bytes for each packed byte, beyond the first MiB
}

// DefaultLimits suit sources up to the size of an operating system's.
func DefaultLimits() Limits {
	return Limits{
		MaxFiles:       1_000_000,
		MaxBytes:       32 << 30,
		MaxFileBytes:   4 << 30,
		MaxObjectBytes: 256 << 20,
		MaxObjects:     2_000_000,
		MaxDepth:       128,
		MaxPathBytes:   1024,
		MaxNameBytes:   128 << 20,
		MaxRatio:       250,
	}
}

const (
	maxNameBytes = 255       // one component of a path: what file systems take
	ratioGrace   = 1 << 20   // unpacked bytes that need no packed ones: small archives of blanks are harmless
	memberBytes  = 4 << 10   // headers and padding that a tar member may add to its content, on average
	maxWindow    = 128 << 20 // memory that a decompressor may use as its window
)

// fromRatio returns the unpacked bytes that so many packed ones may yield.
func (l Limits) fromRatio(packed int64) int64 { return saturate(packed, l.MaxRatio, ratioGrace) }

// tarStream returns the bytes that a tar stream may have, its headers and padding included.
func (l Limits) tarStream() int64 { return saturate(l.MaxFiles, memberBytes, l.MaxBytes) }

// saturate returns a*b+c, or the largest number where that is smaller. None may be negative.
func saturate(a, b, c int64) int64 {
	const most = 1<<63 - 1
	if b != 0 && a > (most-c)/b {
		return most
	}
	return a*b + c
}

func (l Limits) check() error {
	if min(l.MaxFiles, l.MaxBytes, l.MaxFileBytes, l.MaxObjectBytes, l.MaxObjects, l.MaxRatio, int64(l.MaxDepth), int64(l.MaxPathBytes), l.MaxNameBytes) < 1 {
		return fault.Invalidf("limits", "must all be positive")
	}
	return nil
}
