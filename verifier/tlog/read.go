package tlog

import (
	"bytes"
	"context"
	"fmt"

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

// Checkpoint returns the newest published checkpoint.
func (l *Log) Checkpoint(ctx context.Context) ([]byte, error) {
	b, err := l.reader.ReadCheckpoint(ctx)
	if err != nil {
		return nil, fmt.Errorf("read checkpoint: %w", err)
	}
	return b, nil
}

// Proof returns the proof that the entry at index is in the tree of the newest published checkpoint.
func (l *Log) Proof(ctx context.Context, index uint64) (Proof, error) {
	raw, err := l.Checkpoint(ctx)
	if err != nil {
		return Proof{}, err
	}
	cp, err := l.key.parse(raw)
	if err != nil {
		return Proof{}, err
	}
	if index >= cp.Size {
		return Proof{}, fault.NoSuch(fmt.Sprintf("log entry %d", index)).WithAdvice("the log has %d entries", cp.Size)
	}
	builder, err := client.NewProofBuilder(ctx, cp.Size, l.reader.ReadTile)
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

// Find looks for an entry by its leaf hash, from index from on, and returns once a published checkpoint covers what it found.
// It sees every entry that an earlier Append has put into the tree, also where that Append ended in an error or a crash.
func (l *Log) Find(ctx context.Context, leaf digest.Digest, from uint64) (index uint64, found bool, err error) {
	size, err := l.reader.IntegratedSize(ctx)
	if err != nil {
		return 0, false, fmt.Errorf("size of the log: %w", err)
	}
	want := leaf.Bytes()
	for at := from; at < size; {
		n := min(scanWidth, size-at)
		hashes, err := client.FetchLeafHashes(ctx, l.reader.ReadTile, at, n, size)
		if err != nil {
			return 0, false, fmt.Errorf("scan the log from %d: %w", at, err)
		}
		for i, h := range hashes {
			if bytes.Equal(h, want) {
				at += uint64(i)
				return at, true, l.wait.until(ctx, at+1)
			}
		}
		at += n
	}
	return 0, false, nil
}
