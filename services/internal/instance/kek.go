package instance

import (
	"context"
	"strings"
	"sync"

	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/keyring"
	"github.com/countersign-escrow/countersign/escrow/keyring/kekfile"
	"github.com/countersign-escrow/countersign/escrow/keyring/transit"
	"github.com/countersign-escrow/countersign/services/internal/config"
)

// openKEK opens a key-encryption key.
func openKEK(ctx context.Context, c config.KEK) (keyring.KEK, error) {
	v := c.Vault
	if v == nil {
		return openFileKEK(c.File)
	}
	return transit.Open(ctx, transit.Config{
		Address: v.Address, Mount: v.Mount, Key: v.Key, Namespace: v.Namespace, TokenFile: v.TokenFile, CAFile: v.CAFile,
		PlainHTTPUnsafe: strings.HasPrefix(v.Address, "http://"),
	})
}

// fileKEK is a key file that another process may add generations to while this one runs.
type fileKEK struct {
	path string

	mu  sync.Mutex
	now *kekfile.KEK
}

func openFileKEK(path string) (*fileKEK, error) {
	k, err := kekfile.Open(path)
	return &fileKEK{path: path, now: k}, err
}

func (f *fileKEK) current() *kekfile.KEK {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

// reread takes in the file as it is now. One that has become another key's is not taken in.
func (f *fileKEK) reread() (*kekfile.KEK, error) {
	k, err := kekfile.Open(f.path)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if k.ID() != f.now.ID() {
		return nil, fault.Preconditionf("WRONG_KEY", "", "%s has become another key: it was %s and is %s", f.path, f.now.ID(), k.ID()).
			WithAdvice("put back the former file")
	}
	f.now = k
	return k, nil
}

// ID names the key.
func (f *fileKEK) ID() string { return f.current().ID() }

// Wrap wraps under the generation that is the newest now. It is called once for each vendor.
func (f *fileKEK) Wrap(ctx context.Context, key, about []byte) ([]byte, error) {
	k, err := f.reread()
	if err != nil {
		return nil, err
	}
	return k.Wrap(ctx, key, about)
}

// Unwrap unwraps; a generation that is not known may have come since the file was read.
func (f *fileKEK) Unwrap(ctx context.Context, wrapped, about []byte) ([]byte, error) {
	key, err := f.current().Unwrap(ctx, wrapped, about)
	if !fault.Is(err, fault.Precondition) {
		return key, err
	}
	k, err := f.reread()
	if err != nil {
		return nil, err
	}
	return k.Unwrap(ctx, wrapped, about)
}
