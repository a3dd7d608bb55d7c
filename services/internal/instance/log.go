package instance

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"sync"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/verifier/tlog"
)

// sharedLog is the log as one of many processes has it: always to be read, and to be written while no other process does.
type sharedLog struct {
	*tlog.Reader

	mu     sync.RWMutex
	writer *tlog.Log // nil while another process writes, or none
}

func (l *sharedLog) set(w *tlog.Log) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writer = w
}

func (l *sharedLog) writing() (*tlog.Log, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.writer == nil {
		return nil, &fault.Error{Kind: fault.Unavailable, Reason: "NOT_LOG_WRITER", Message: "another process writes the log"}
	}
	return l.writer, nil
}

// Append adds an entry, in the process that writes.
func (l *sharedLog) Append(ctx context.Context, entry []byte) (uint64, error) {
	w, err := l.writing()
	if err != nil {
		return 0, err
	}
	return w.Append(ctx, entry)
}

// Find looks for an entry in the process that writes: others may not see yet what is in the tree.
func (l *sharedLog) Find(ctx context.Context, leaf digest.Digest, from uint64) (index uint64, found bool, err error) {
	w, err := l.writing()
	if err != nil {
		return 0, false, err
	}
	return w.Find(ctx, leaf, from)
}

// logOrigin is the log's host name. A log keeps its name and its key for life, so that the one is made from the other;
// nobody needs to reach the log under this name to check a proof.
func logOrigin(key ed25519.PublicKey) string {
	const digits = 16
	sum := sha256.Sum256(key)
	return "log-" + hex.EncodeToString(sum[:])[:digits] + ".countersign.invalid"
}

func publicHalf(key ed25519.PrivateKey) ed25519.PublicKey {
	return key.Public().(ed25519.PublicKey) //nolint:forcetypeassert // as crypto/ed25519 documents
}

// openReader opens the log in a folder, under the name that belongs to its key.
func openReader(dir string, key ed25519.PrivateKey) (*tlog.Reader, error) {
	public := publicHalf(key)
	return tlog.OpenReader(dir, logOrigin(public), public)
}
