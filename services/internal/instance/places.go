package instance

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/countersign-escrow/countersign/escrow/blob/fs"
	"github.com/countersign-escrow/countersign/escrow/blob/object"
	"github.com/countersign-escrow/countersign/escrow/blob/s3"
	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/durable"
	"github.com/countersign-escrow/countersign/escrow/keyring"
	"github.com/countersign-escrow/countersign/services/internal/config"
	"github.com/countersign-escrow/countersign/services/internal/state"
)

// places is where a process finds what it works with.
type places interface {
	// open makes and holds what belongs to this process alone, and reads the service's keys.
	open() (*state.Keys, error)
	// catalog opens the database.
	catalog(ctx context.Context) (*catalog.Catalog, error)
	// objects opens the object store.
	objects(ctx context.Context) (object.Store, error)
	// keks returns the key-encryption key, and former ones that can still unwrap.
	keks(ctx context.Context) (keyring.KEK, []keyring.KEK, error)
	// log, work and cache are folders: of the transparency log, of what is needed while something runs, and of what can be
	// made again.
	log() string
	work() string
	cache() string
	// close lets go of what open holds.
	close() error
}

// folder is everything in one folder.
type folder struct {
	dir string
	*state.State
}

func (f *folder) open() (_ *state.Keys, err error) {
	if f.State, err = state.Open(f.dir); err != nil {
		return nil, err
	}
	return f.Keys, nil
}

func (f *folder) catalog(ctx context.Context) (*catalog.Catalog, error) {
	return catalog.Open(ctx, f.Catalog())
}

func (f *folder) objects(context.Context) (object.Store, error) { return fs.Open(f.Objects()) }

func (f *folder) keks(context.Context) (keyring.KEK, []keyring.KEK, error) {
	return f.KEK, nil, nil
}

func (f *folder) log() string   { return f.LogDir() }
func (f *folder) work() string  { return f.Work() }
func (f *folder) cache() string { return f.Cache() }
func (f *folder) close() error  { return f.Close() }

// shared is a configuration file's places.
type shared struct {
	*config.Config
	roles string // of this process
	locks []*state.Lock
}

const privateMode = 0o700

func (s *shared) open() (*state.Keys, error) {
	keys, err := state.ReadKeys(s.Keys)
	if err != nil {
		return nil, err
	}
	for _, dir := range []string{s.work(), s.cache()} {
		if err := durable.MkdirAll(dir, privateMode); err != nil {
			return nil, fmt.Errorf("work folder: %w", err)
		}
	}
	own := []string{s.own()}
	if s.Objects.Folder != "" {
		if err := durable.MkdirAll(s.Objects.Folder, privateMode); err != nil {
			return nil, fmt.Errorf("objects folder: %w", err)
		}
		own = append(own, s.Objects.Folder)
	}
	for _, dir := range own {
		lock, err := state.Hold(dir)
		if err != nil {
			return nil, errors.Join(err, s.close())
		}
		s.locks = append(s.locks, lock)
	}
	return keys, nil
}

func (s *shared) catalog(ctx context.Context) (*catalog.Catalog, error) {
	source, err := s.Database.Source()
	if err != nil {
		return nil, err
	}
	return catalog.OpenPostgres(ctx, source)
}

func (s *shared) objects(ctx context.Context) (object.Store, error) {
	if s.Objects.S3 == nil {
		return fs.Open(s.Objects.Folder)
	}
	cfg, err := s3Config(s.Objects.S3)
	if err != nil {
		return nil, err
	}
	return s3.Open(ctx, cfg)
}

func s3Config(c *config.S3) (s3.Config, error) {
	endpoint, err := url.Parse(c.Endpoint)
	if err != nil {
		return s3.Config{}, fmt.Errorf("objects.s3.endpoint: %w", err)
	}
	cfg := s3.Config{Endpoint: endpoint.Host, Bucket: c.Bucket, Region: c.Region, CAFile: c.CAFile, PlainHTTPUnsafe: endpoint.Scheme == "http"}
	if c.Prefix != "" {
		cfg.Prefix = strings.TrimSuffix(c.Prefix, "/") + "/"
	}
	if c.AccessKeyFile == "" {
		return cfg, nil
	}
	var errs [2]error
	cfg.AccessKey, errs[0] = config.Secret(c.AccessKeyFile)
	cfg.SecretKey, errs[1] = config.Secret(c.SecretKeyFile)
	return cfg, errors.Join(errs[:]...)
}

func (s *shared) keks(ctx context.Context) (keyring.KEK, []keyring.KEK, error) {
	present, err := openKEK(ctx, s.KEK)
	if err != nil {
		return nil, nil, fmt.Errorf("kek: %w", err)
	}
	var former []keyring.KEK
	for i, c := range s.FormerKEKs {
		k, err := openKEK(ctx, c)
		if err != nil {
			return nil, nil, fmt.Errorf("former_keks[%d]: %w", i, err)
		}
		former = append(former, k)
	}
	return present, former, nil
}

func (s *shared) log() string   { return s.Log }
func (s *shared) work() string  { return filepath.Join(s.own(), "work") }
func (s *shared) cache() string { return filepath.Join(s.own(), "cache") }

// own is the folder of this process: an api and a worker on one machine have one each.
func (s *shared) own() string { return filepath.Join(s.Work, strings.ReplaceAll(s.roles, ",", "-")) }

func (s *shared) close() error {
	var errs []error
	for _, l := range s.locks {
		errs = append(errs, l.Release())
	}
	s.locks = nil
	return errors.Join(errs...)
}
