package tlog

import (
	"bytes"
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

// noteKey is the log's key as signed notes want it.
type noteKey struct {
	signer   sumdb.Signer
	verifier sumdb.Verifier
	public   ed25519.PublicKey
	id       []byte
}

var hostName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)

func newNoteKey(origin string, key ed25519.PrivateKey) (noteKey, error) {
	if len(origin) > 253 || !hostName.MatchString(origin) {
		return noteKey{}, fault.Invalidf("origin", "%q must be a host name in lower case", origin)
	}
	if len(key) != ed25519.PrivateKeySize {
		return noteKey{}, fault.Invalidf("key", "must be an Ed25519 private key")
	}
	public := key.Public().(ed25519.PublicKey)
	hash, id, err := note.KeyHash(origin, public)
	if err != nil {
		return noteKey{}, fmt.Errorf("log key: %w", err)
	}
	const ed25519Note = 1
	encode := func(b []byte) string { return base64.StdEncoding.EncodeToString(append([]byte{ed25519Note}, b...)) }
	signer, err := sumdb.NewSigner(fmt.Sprintf("PRIVATE+KEY+%s+%08x+%s", origin, hash, encode(key.Seed())))
	if err != nil {
		return noteKey{}, fmt.Errorf("log key: %w", err)
	}
	verifier, err := sumdb.NewVerifier(fmt.Sprintf("%s+%08x+%s", origin, hash, encode(public)))
	if err != nil {
		return noteKey{}, fmt.Errorf("log key: %w", err)
	}
	return noteKey{signer: signer, verifier: verifier, public: public, id: id}, nil
}

// parse opens a checkpoint that this key signed.
func (k noteKey) parse(checkpoint []byte) (*formats.Checkpoint, error) {
	cp, _, _, err := formats.ParseCheckpoint(checkpoint, k.verifier.Name(), k.verifier)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	return cp, nil
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
