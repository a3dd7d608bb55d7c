package tlog

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/transparency-dev/tessera/api/layout"

	"github.com/countersign-escrow/countersign/escrow/durable"
	"github.com/countersign-escrow/countersign/escrow/fault"
)

// Copied is the log that Files has given.
type Copied struct {
	Size     uint64
	RootHash []byte
}

// Files gives each the files that make the log of the newest checkpoint, no more and no less, with their paths in the log's
// folder: the checkpoint comes last. A folder with just these can be opened for reading and for writing. The log may
// grow meanwhile. A log that has not begun has none.
func (r *Reader) Files(ctx context.Context, each func(path string, content []byte) error) (Copied, error) {
	raw, cp, err := r.published(ctx)
	if fault.Is(err, fault.Unavailable) {
		return Copied{}, nil
	}
	if err != nil {
		return Copied{}, err
	}
	level := uint64(0)
	for nodes := cp.Size; nodes > 0; nodes /= layout.TileWidth {
		if err := r.tiles(ctx, level, nodes, each); err != nil {
			return Copied{}, err
		}
		level++
	}
	if err := each(layout.CheckpointPath, raw); err != nil {
		return Copied{}, err
	}
	return Copied{Size: cp.Size, RootHash: cp.Hash}, nil
}

// tiles gives the tiles of one level of the tree with so many nodes, and with the lowest level the entries.
func (r *Reader) tiles(ctx context.Context, level, nodes uint64, each func(path string, content []byte) error) error {
	for i := uint64(0); i*layout.TileWidth < nodes; i++ {
		width := min(nodes-i*layout.TileWidth, layout.TileWidth)
		partial := uint8(width % layout.TileWidth)
		if err := r.tile(ctx, level, i, partial, int(width), each); err != nil {
			return err
		}
		if level > 0 {
			continue
		}
		if err := r.bundle(ctx, i, partial, int(width), each); err != nil {
			return err
		}
	}
	return nil
}

// tile gives one tile. Where a partial one has given way to a wider one, its nodes are the first of that.
func (r *Reader) tile(ctx context.Context, level, i uint64, partial uint8, width int, each func(path string, content []byte) error) error {
	const hashSize = 32
	path := layout.TilePath(level, i, partial)
	b, err := r.files.ReadTile(ctx, level, i, partial)
	if err != nil {
		return fmt.Errorf("copy the log: %w", err)
	}
	if len(b) < width*hashSize {
		return fault.Corruptf("", "%s has %d bytes, must have %d", filepath.Join(r.dir, path), len(b), width*hashSize)
	}
	return each(path, b[:width*hashSize])
}

// bundle gives the entries that belong to one tile.
func (r *Reader) bundle(ctx context.Context, i uint64, partial uint8, width int, each func(path string, content []byte) error) error {
	path := layout.EntriesPath(i, partial)
	b, err := r.files.ReadEntryBundle(ctx, i, partial)
	if err != nil {
		return fmt.Errorf("copy the log: %w", err)
	}
	end, ok := entriesEnd(b, width)
	if !ok {
		return fault.Corruptf("", "%s holds fewer than %d entries", filepath.Join(r.dir, path), width)
	}
	return each(path, b[:end])
}

// entriesEnd returns where the first n entries of a bundle end: each stands behind its length, 16 bits.
func entriesEnd(b []byte, n int) (end int, ok bool) {
	for range n {
		if len(b)-end < 2 {
			return 0, false
		}
		end += 2 + int(binary.BigEndian.Uint16(b[end:]))
		if end > len(b) {
			return 0, false
		}
	}
	return end, true
}

// mendState sees to it that a log which has a checkpoint also has the state from which Tessera goes on: without it, Tessera
// would begin the log anew. What the checkpoint does not cover has been promised to nobody.
func (k noteKey) mendState(dir string) error {
	const private = 0o700
	path := filepath.Join(dir, ".state", "treeState")
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	raw, err := os.ReadFile(filepath.Join(dir, layout.CheckpointPath))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read checkpoint: %w", err)
	}
	cp, err := k.parse(raw)
	if err != nil {
		return err
	}
	state, err := json.Marshal(struct {
		Size uint64 `json:"size"`
		Root []byte `json:"root"`
	}{cp.Size, cp.Hash})
	if err != nil {
		return fmt.Errorf("state of the log: %w", err)
	}
	if err := durable.MkdirAll(filepath.Dir(path), private); err != nil {
		return fmt.Errorf("state of the log: %w", err)
	}
	return durable.WriteFile(path, state, 0o600)
}
