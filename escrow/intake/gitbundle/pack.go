package gitbundle

import (
	"context"
	"io"

	"github.com/countersign-escrow/countersign/escrow/intake/gitpack"
)

// What a bundle's pack is made of; see package gitpack.
type (
	Pack   = gitpack.Pack
	Object = gitpack.Object
	Limits = gitpack.Limits
	Kind   = gitpack.Kind
	ID     = gitpack.ID
)

// The kinds of object.
const (
	Commit = gitpack.Commit
	Tree   = gitpack.Tree
	Blob   = gitpack.Blob
	Tag    = gitpack.Tag
)

// ErrMissing says that neither the pack nor its bases hold an object.
var ErrMissing = gitpack.ErrMissing

// ParseID reads 40 lower-case hexadecimal digits.
func ParseID(s string) (ID, bool) { return gitpack.ParseID(s) }

// Open opens the pack that is r, size bytes, as gitpack.Open does. Bases are packs opened before, whose objects the pack's deltas and
// Object may use; they stay the caller's and are not closed with it.
func Open(ctx context.Context, r io.ReaderAt, size int64, bases []*Pack, scratchDir string, lim Limits) (*Pack, error) {
	return gitpack.Open(ctx, r, size, bases, scratchDir, lim)
}
