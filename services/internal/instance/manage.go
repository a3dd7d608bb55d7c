package instance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/durable"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/keyring"
	"github.com/countersign-escrow/countersign/escrow/keyring/kekfile"
	"github.com/countersign-escrow/countersign/escrow/resource"
	"github.com/countersign-escrow/countersign/services/internal/config"
	"github.com/countersign-escrow/countersign/services/internal/state"
)

// CreateKeys makes the keys of a service that has not run yet: in the folder dir, or where the configuration says. It
// returns the files and folders that it made, and fault.Exists if all were there.
func CreateKeys(dir string, c *config.Config) ([]string, error) {
	if c == nil {
		return createFolderKeys(dir)
	}
	var made []string
	now := time.Now()
	err := state.CreateKeys(c.Keys, now)
	if err == nil {
		made = append(made, c.Keys)
	} else if !fault.Is(err, fault.Exists) {
		return nil, err
	}
	if c.KEK.File != "" {
		kek := durable.MkdirAll(filepath.Dir(c.KEK.File), privateMode)
		if kek == nil {
			kek = kekfile.Generate(c.KEK.File, now)
		}
		if kek == nil {
			made = append(made, c.KEK.File)
		} else if !fault.Is(kek, fault.Exists) {
			return made, kek
		}
	}
	if len(made) == 0 {
		return nil, err
	}
	return made, nil
}

func createFolderKeys(dir string) ([]string, error) {
	keys := state.At(dir).KeysDir()
	if entries, err := os.ReadDir(keys); err == nil && len(entries) > 0 {
		return nil, fault.AlreadyExists(keys).WithAdvice("what was done under the keys in it would be disowned by new ones")
	}
	s, err := state.Open(dir)
	if err != nil {
		return nil, err
	}
	return []string{s.KeysDir()}, s.Close()
}

// Rotation says how the vendors' keys are wrapped anew.
type Rotation struct {
	DryRun bool                               // only count
	Retire bool                               // then remove the former generations of the key file
	Each   func(holder resource.Organization) // called after each key; may be nil
}

// RotateKeys makes a new generation of the key-encryption key, where that is a file, and wraps every vendor's key under it,
// or under the newest version that a KMS has. It returns how many keys there are.
func RotateKeys(ctx context.Context, cfg Config, r Rotation) (n int, err error) {
	p, c, err := openForManaging(ctx, cfg)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, c.Close(), p.close()) }()
	ring, err := openKeyring(ctx, p, c)
	if err != nil {
		return 0, err
	}
	if r.DryRun {
		return countKeys(ctx, c)
	}
	file := kekFile(p)
	if file != "" {
		if err := state.CheckOwner(file); err != nil {
			return 0, err
		}
		if err := kekfile.Rotate(file, time.Now()); err != nil {
			return 0, err
		}
		if ring, err = openKeyring(ctx, p, c); err != nil {
			return 0, err
		}
	}
	if n, err = rewrap(ctx, ring, r.Each); err != nil || !r.Retire || file == "" {
		return n, err
	}
	return n, kekfile.Retire(file)
}

// rewrap starts over where another rewrapped a key meanwhile.
func rewrap(ctx context.Context, ring *keyring.Keyring, each func(resource.Organization)) (n int, err error) {
	const tries = 5
	for range tries {
		if n, err = ring.Rewrap(ctx, each); !fault.Is(err, fault.Aborted) {
			return n, err
		}
	}
	return n, err
}

func countKeys(ctx context.Context, c *catalog.Catalog) (int, error) {
	const page = 500
	n := 0
	for after := ""; ; {
		list, err := catalog.VendorKeys{Catalog: c}.ListVendorKeys(ctx, after, page)
		n += len(list)
		if err != nil || len(list) < page {
			return n, err
		}
		after = list[page-1].Holder.String()
	}
}

// kekFile is the key file that wraps; "" where a KMS does.
func kekFile(p places) string {
	switch p := p.(type) {
	case *folder:
		return p.KEKFile()
	case *shared:
		return p.KEK.File
	}
	return ""
}

// openForManaging opens the catalog of a service. The whole service in one process must have been stopped: its folder is
// held meanwhile.
func openForManaging(ctx context.Context, cfg Config) (places, *catalog.Catalog, error) {
	var p places = &shared{Config: cfg.Shared}
	if cfg.Shared == nil {
		if _, err := os.Stat(state.At(cfg.Data).Catalog()); err != nil {
			return nil, nil, fmt.Errorf("%s is no data folder of a service: %w", cfg.Data, err)
		}
		f := &folder{dir: cfg.Data}
		if _, err := f.open(); err != nil {
			return nil, nil, err
		}
		p = f
	}
	c, err := p.catalog(ctx)
	if err != nil {
		return nil, nil, errors.Join(err, p.close())
	}
	return p, c, nil
}

// IssueProfile makes a profile for the operator's member "admin" in a new folder, with a certificate of its own.
func IssueProfile(ctx context.Context, c *config.Config, dir, address, web string) (path string, err error) {
	keys, err := state.ReadKeys(c.Keys)
	if err != nil {
		return "", err
	}
	p, cat, err := openForManaging(ctx, Config{Shared: c})
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, cat.Close(), p.close()) }()
	now := time.Now().UTC()
	operator, err := registerOperator(ctx, cat, c.OperatorCountry, now)
	if err != nil {
		return "", err
	}
	if err := makeNew(dir); err != nil {
		return "", err
	}
	a := admin{catalog: cat, ca: keys.CA, operator: operator.Name, folder: state.ProfileFolder(dir)}
	if err := a.issue(ctx, now); err != nil {
		return "", err
	}
	return a.folder.Path(), a.folder.WriteProfile(address, web, operator.Name.String(), keys.CA.CertificatePEM())
}

// makeNew makes a folder, which must not hold anything yet.
func makeNew(dir string) error {
	if err := durable.MkdirAll(dir, privateMode); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err == nil && len(entries) > 0 {
		return fault.AlreadyExists(dir).WithAdvice("name a folder that is not there yet: a key is never written over")
	}
	return err
}
