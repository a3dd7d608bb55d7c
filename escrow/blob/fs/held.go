package fs

import (
	"context"
	"path/filepath"

	"github.com/countersign-escrow/countersign/escrow/durable"
	"github.com/countersign-escrow/countersign/escrow/fault"
)

// heldUpload stands for a blob that is there already. It is a writer all the same, so that nobody else is.
type heldUpload struct{ upload *upload }

// Offset returns the size: nothing is missing.
func (h *heldUpload) Offset() int64 { return h.upload.size }

// Write refuses bytes: there can be none beyond the size.
func (h *heldUpload) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	return 0, fault.Invalidf("data", "%s is held whole: %d bytes at offset %d are too many", h.upload.ref.Digest, len(p), h.upload.size)
}

// Commit makes sure that the blob's name is durable: the process that put it there may have died before its last sync.
func (h *heldUpload) Commit(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return durable.SyncFolder(filepath.Dir(h.upload.store.objectPath(h.upload.name)))
}

// Close gives up the writer.
func (h *heldUpload) Close() error {
	if !h.upload.closed {
		h.upload.closed = true
		h.upload.store.leave(h.upload)
	}
	return nil
}
