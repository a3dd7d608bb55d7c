package tlog

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"github.com/sigstore/rekor-tiles/v2/pkg/note"
	formats "github.com/transparency-dev/formats/log"
	sumdb "golang.org/x/mod/sumdb/note"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

// noteKey is the log's public key as signed notes want it.
type noteKey struct {
	verifier sumdb.Verifier
	public   ed25519.PublicKey
	hash     uint32
	id       []byte
}

var hostName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)

func newNoteKey(origin string, public ed25519.PublicKey) (noteKey, error) {
	if len(origin) > 253 || !hostName.MatchString(origin) {
		return noteKey{}, fault.Invalidf("origin", "%q must be a host name in lower case", origin)
	}
	if len(public) != ed25519.PublicKeySize {
		return noteKey{}, fault.Invalidf("key", "must be an Ed25519 public key")
	}
	hash, id, err := note.KeyHash(origin, public)
	if err != nil {
		return noteKey{}, fmt.Errorf("log key: %w", err)
	}
	verifier, err := sumdb.NewVerifier(fmt.Sprintf("%s+%08x+%s", origin, hash, encodeKey(public)))
	if err != nil {
		return noteKey{}, fmt.Errorf("log key: %w", err)
	}
	return noteKey{verifier: verifier, public: public, hash: hash, id: id}, nil
}

// newSigner makes the two halves of the key that the log signs with.
func newSigner(origin string, key ed25519.PrivateKey) (noteKey, sumdb.Signer, error) {
	if len(key) != ed25519.PrivateKeySize {
		return noteKey{}, nil, fault.Invalidf("key", "must be an Ed25519 private key")
	}
	public, err := newNoteKey(origin, key.Public().(ed25519.PublicKey))
	if err != nil {
		return noteKey{}, nil, err
	}
	signer, err := sumdb.NewSigner(fmt.Sprintf("PRIVATE+KEY+%s+%08x+%s", origin, public.hash, encodeKey(key.Seed())))
	if err != nil {
		return noteKey{}, nil, fmt.Errorf("log key: %w", err)
	}
	return public, signer, nil
}

// encodeKey writes half an Ed25519 key as signed notes do.
func encodeKey(half []byte) string {
	const ed25519Note = 1
	return base64.StdEncoding.EncodeToString(append([]byte{ed25519Note}, half...))
}

// parse opens a checkpoint that this key signed.
func (k noteKey) parse(checkpoint []byte) (*formats.Checkpoint, error) {
	cp, _, _, err := formats.ParseCheckpoint(checkpoint, k.verifier.Name(), k.verifier)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	return cp, nil
}

// checkFolder refuses a folder that this log must not be gone on with in.
func (k noteKey) checkFolder(ctx context.Context, cfg Config) error {
	if err := k.checkOwner(cfg.Dir); err != nil {
		return err
	}
	if err := k.checkLength(ctx, cfg); err != nil {
		return err
	}
	return k.mendState(cfg.Dir)
}

// checkLength refuses a log that has lost entries.
func (k noteKey) checkLength(ctx context.Context, cfg Config) error {
	if cfg.Least == nil {
		return nil
	}
	least, err := cfg.Least(ctx)
	if err != nil {
		return fmt.Errorf("length of the log: %w", err)
	}
	size, err := newReader(cfg.Dir, k).Size(ctx)
	if err != nil || size >= least {
		return err
	}
	return fault.Preconditionf("LOG_TOO_SHORT", "", "the log in %s has %d entries and had %d before", cfg.Dir, size, least).
		WithAdvice("put back the newest copy of the log's folder, or mount it where it belongs: nothing is written to this one")
}

// checkOwner refuses a folder whose log belongs to another origin or key: going on would fork it from its own past.
func (k noteKey) checkOwner(dir string) error {
	b, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read checkpoint: %w", err)
	}
	if _, err := k.parse(b); err != nil {
		first, _, _ := bytes.Cut(b, []byte("\n"))
		return fault.Preconditionf("LOG_KEY_CHANGED", "", "the log in %s was begun under the name %q with another name or key than %q",
			dir, first, k.verifier.Name()).WithAdvice("give it its own name and key, or begin another folder")
	}
	return nil
}
