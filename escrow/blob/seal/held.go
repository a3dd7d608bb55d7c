package seal

import (
	"context"

	"github.com/countersign-escrow/countersign/escrow/blob"
	"github.com/countersign-escrow/countersign/escrow/fault"
)

// heldUpload stands for a blob that is there already, whole.
type heldUpload struct {
	ref  blob.Ref
	size int64
}

func alreadyHeld(ref blob.Ref, held, size int64) (blob.Upload, error) {
	if size != held {
		return nil, fault.Invalidf("size", "%s has %d bytes, not %d", ref.Digest, held, size)
	}
	return heldUpload{ref, size}, nil
}

// Offset returns the size: nothing is missing.
func (h heldUpload) Offset() int64 { return h.size }

// Write refuses bytes: there can be none beyond the size.
func (h heldUpload) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	return 0, fault.Invalidf("data", "%s is held whole: %d bytes at offset %d are too many", h.ref.Digest, len(p), h.size)
}

// Commit has nothing to do.
func (h heldUpload) Commit(ctx context.Context) error { return ctx.Err() }

// Close has nothing to give up.
func (h heldUpload) Close() error { return nil }
