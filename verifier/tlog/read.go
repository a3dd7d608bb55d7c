package tlog

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"

	formats "github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/tessera/client"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
)

// Proof shows that an entry is in the tree of a checkpoint.
type Proof struct {
	Index      uint64
	TreeSize   uint64
	Hashes     [][]byte // the audit path, from the leaf's sibling upwards (RFC 6962)
	RootHash   []byte
	Checkpoint []byte // the signed note over tree size and root hash
}

// Reader reads a log from its folder, whoever writes it. Its methods may be called concurrently.
type Reader struct {
	dir   string
	key   noteKey
	files client.FileFetcher
}

// OpenReader opens the log in dir for reading, beside the process that writes it. The log need not have begun; one that was
// begun under another name or key is refused.
func OpenReader(dir, origin string, public ed25519.PublicKey) (*Reader, error) {
	key, err := newNoteKey(origin, public)
	if err != nil {
		return nil, err
	}
	if err := key.checkOwner(dir); err != nil {
		return nil, err
	}
	return newReader(dir, key), nil
}

func newReader(dir string, key noteKey) *Reader {
	return &Reader{dir: dir, key: key, files: client.FileFetcher{Root: dir}}
}

// Dir returns the folder with the log's files, laid out as C2SP tlog-tiles, to be served read-only below the log's base URL.
// What lies below .state there is the log's own.
func (r *Reader) Dir() string { return r.dir }

// Origin returns the log's host name.
func (r *Reader) Origin() string { return r.key.verifier.Name() }

// PublicKey returns the key that checks the checkpoints.
func (r *Reader) PublicKey() ed25519.PublicKey { return r.key.public }

// ID returns the log ID: the untruncated hash of origin and key.
func (r *Reader) ID() []byte { return append([]byte(nil), r.key.id...) }

// Checkpoint returns the newest published checkpoint; fault.Unavailable while there is none.
func (r *Reader) Checkpoint(ctx context.Context) ([]byte, error) {
	b, err := r.files.ReadCheckpoint(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &fault.Error{Kind: fault.Unavailable, Reason: "LOG_NOT_BEGUN", Message: "the log has no checkpoint yet",
			Advice: "it begins as soon as a process writes it"}
	}
	if err != nil {
		return nil, fmt.Errorf("read checkpoint: %w", err)
	}
	return b, nil
}

// Size returns how many entries the newest published checkpoint covers; 0 for a log that has not begun.
func (r *Reader) Size(ctx context.Context) (uint64, error) {
	_, cp, err := r.published(ctx)
	if fault.Is(err, fault.Unavailable) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return cp.Size, nil
}

// published returns the newest checkpoint as it is, and what it says.
func (r *Reader) published(ctx context.Context) ([]byte, *formats.Checkpoint, error) {
	raw, err := r.Checkpoint(ctx)
	if err != nil {
		return nil, nil, err
	}
	cp, err := r.key.parse(raw)
	return raw, cp, err
}

// Proof returns the proof that the entry at index is in the tree of the newest published checkpoint.
func (r *Reader) Proof(ctx context.Context, index uint64) (Proof, error) {
	raw, cp, err := r.published(ctx)
	if err != nil {
		return Proof{}, err
	}
	if index >= cp.Size {
		return Proof{}, fault.NoSuch(fmt.Sprintf("log entry %d", index)).WithAdvice("the log has %d entries", cp.Size)
	}
	builder, err := client.NewProofBuilder(ctx, cp.Size, r.files.ReadTile)
	if err != nil {
		return Proof{}, fmt.Errorf("proof of log entry %d: %w", index, err)
	}
	hashes, err := builder.InclusionProof(ctx, index)
	if err != nil {
		return Proof{}, fmt.Errorf("proof of log entry %d: %w", index, err)
	}
	return Proof{Index: index, TreeSize: cp.Size, Hashes: hashes, RootHash: cp.Hash, Checkpoint: raw}, nil
}

// scanWidth is how many leaf hashes are read at once: those of 16 tiles.
const scanWidth = 16 * 256

// Find looks for an entry by its leaf hash, from index from on, among those that the newest checkpoint covers.
func (r *Reader) Find(ctx context.Context, leaf digest.Digest, from uint64) (index uint64, found bool, err error) {
	size, err := r.Size(ctx)
	if err != nil {
		return 0, false, fmt.Errorf("size of the log: %w", err)
	}
	return r.scan(ctx, leaf, from, size)
}

// scan looks for a leaf hash among the entries from from to below size.
func (r *Reader) scan(ctx context.Context, leaf digest.Digest, from, size uint64) (index uint64, found bool, err error) {
	want := leaf.Bytes()
	for at := from; at < size; {
		n := min(scanWidth, size-at)
		hashes, err := client.FetchLeafHashes(ctx, r.files.ReadTile, at, n, size)
		if err != nil {
			return 0, false, fmt.Errorf("scan the log from %d: %w", at, err)
		}
		for i, h := range hashes {
			if bytes.Equal(h, want) {
				return at + uint64(i), true, nil
			}
		}
		at += n
	}
	return 0, false, nil
}
