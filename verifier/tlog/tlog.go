// Package tlog keeps the append-only transparency log: Tessera on a folder, one signed checkpoint over everything in it.
// It knows nothing of what its entries mean.
package tlog

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"
	sumdb "golang.org/x/mod/sumdb/note"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
)

const (
	// MaxEntryBytes is the longest entry, as C2SP tlog-tiles has it.
	MaxEntryBytes = 1<<16 - 1

	// ShortestCheckpointInterval is the shortest time between two checkpoints.
	ShortestCheckpointInterval = 100 * time.Millisecond

	// batchAge and batchSize bound how long and how many entries wait to be written together.
	batchAge  = 10 * time.Millisecond
	batchSize = 256

	republishInterval = 10 * time.Minute
)

// Config says where a log lies and who it is.
type Config struct {
	Dir                string             // the folder of the log; made when missing
	Origin             string             // the log's host name: its checkpoints' origin and its key's name
	Key                ed25519.PrivateKey // signs the checkpoints; a log keeps its key for life
	CheckpointInterval time.Duration      // time between two checkpoints; zero means the shortest

	// Least returns how many entries the log is known to have; it is asked when nobody else writes. A folder that has fewer
	// holds an older copy, or is not the log's: going on there would give the world a second history. Nil asks nobody.
	Least func(context.Context) (uint64, error)
}

// Log is a log open for writing. Its methods may be called concurrently. One process at a time holds a log open; others
// read it with a Reader.
type Log struct {
	*Reader
	add  tessera.AddFn
	tree tessera.LogReader
	wait *watcher

	shutdown func(context.Context) error
	cancel   context.CancelFunc
	unlock   func() error

	mu       sync.Mutex // guards closed and the start of appends
	closed   bool
	inFlight sync.WaitGroup
}

// LeafHash returns the hash under which entry stands in the tree (RFC 6962).
func LeafHash(entry []byte) digest.Digest {
	d, err := digest.FromBytes(rfc6962.DefaultHasher.HashLeaf(entry))
	if err != nil {
		panic(err) // a SHA-256 sum has 32 bytes
	}
	return d
}

// Open opens the log in cfg.Dir, or begins one there. The log outlives ctx: it ends with Close.
func Open(ctx context.Context, cfg Config) (*Log, error) {
	quieten()
	key, signer, err := newSigner(cfg.Origin, cfg.Key)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("log folder: %w", err)
	}
	unlock, err := lock(cfg.Dir)
	if err != nil {
		return nil, err
	}
	l, err := start(ctx, cfg, key, signer)
	if err != nil {
		return nil, errors.Join(err, unlock())
	}
	l.unlock = unlock
	return l, nil
}

func start(ctx context.Context, cfg Config, key noteKey, signer sumdb.Signer) (*Log, error) {
	if err := key.checkFolder(ctx, cfg); err != nil {
		return nil, err
	}
	interval := max(cfg.CheckpointInterval, ShortestCheckpointInterval)
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	driver, err := posix.New(life, posix.Config{Path: cfg.Dir})
	if err != nil {
		cancel()
		return nil, fmt.Errorf("log storage: %w", err)
	}
	appender, shutdown, tree, err := tessera.NewAppender(life, driver, tessera.NewAppendOptions().
		WithCheckpointSigner(signer).
		WithCheckpointInterval(interval).
		WithCheckpointRepublishInterval(max(republishInterval, interval)).
		WithBatching(batchSize, batchAge))
	if err != nil {
		cancel()
		return nil, fmt.Errorf("log: %w", err)
	}
	return &Log{
		Reader: newReader(cfg.Dir, key), add: appender.Add, tree: tree, shutdown: shutdown, cancel: cancel,
		wait: newWatcher(tree.ReadCheckpoint, interval/10),
	}, nil
}

// Find looks for an entry by its leaf hash, from index from on, and returns once a published checkpoint covers what it found.
// It sees every entry that an earlier Append has put into the tree, also where that Append ended in an error or a crash.
func (l *Log) Find(ctx context.Context, leaf digest.Digest, from uint64) (index uint64, found bool, err error) {
	size, err := l.tree.IntegratedSize(ctx)
	if err != nil {
		return 0, false, fmt.Errorf("size of the log: %w", err)
	}
	index, found, err = l.scan(ctx, leaf, from, size)
	if err != nil || !found {
		return 0, false, err
	}
	return index, true, l.wait.until(ctx, index+1)
}

// Append adds entry and returns its index once a published checkpoint covers it. Nothing is deduplicated.
// After an error, also when ctx ends, the entry may or may not be in the log: ask Find before appending it again.
func (l *Log) Append(ctx context.Context, entry []byte) (uint64, error) {
	if len(entry) == 0 || len(entry) > MaxEntryBytes {
		return 0, fault.Invalidf("entry", "has %d bytes, must have 1 to %d", len(entry), MaxEntryBytes)
	}
	if err := l.begin(); err != nil {
		return 0, err
	}
	defer l.inFlight.Done()
	index, err := l.sequence(ctx, entry)
	if err != nil {
		return 0, fmt.Errorf("append to the log: %w", err)
	}
	if err := l.wait.until(ctx, index+1); err != nil {
		return 0, fmt.Errorf("wait for a checkpoint over entry %d: %w", index, err)
	}
	return index, nil
}

// sequence puts entry into the tree. Tessera's own waiting does not end with ctx, nor when its work is stopped.
func (l *Log) sequence(ctx context.Context, entry []byte) (uint64, error) {
	type result struct {
		index uint64
		err   error
	}
	done := make(chan result, 1)
	future := l.add(ctx, tessera.NewEntry(entry))
	go func() {
		at, err := future()
		done <- result{at.Index, err}
	}()
	select {
	case r := <-done:
		return r.index, r.err
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-l.wait.stopped:
		return 0, errStopped
	}
}

// begin counts an append in, so that Close waits for it.
func (l *Log) begin() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return &fault.Error{Kind: fault.Unavailable, Reason: "LOG_CLOSED", Message: "the log is closed"}
	}
	l.inFlight.Add(1)
	return nil
}

// Close refuses new entries, waits until a checkpoint covers those under way, stops the log's work and gives up the folder.
// When ctx ends first, the log is stopped all the same and what was under way is found, or not, by Find at the next start.
func (l *Log) Close(ctx context.Context) error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	l.mu.Unlock()

	done := make(chan struct{})
	go func() {
		l.inFlight.Wait()
		close(done)
	}()
	var waited error
	select {
	case <-done:
	case <-ctx.Done():
		waited = ctx.Err()
	}
	err := l.shutdown(ctx)
	l.cancel()
	l.wait.stop()
	return errors.Join(waited, err, l.unlock())
}
