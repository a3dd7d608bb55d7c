// Package config reads the file that tells an escrowd process where its database, its objects, its keys and its log are.
// It knows nothing of how they are opened, and a file never holds a secret itself: it names the file that does.
package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/countersign-escrow/countersign/services/internal/problem"
)

// Role is what a process does.
type Role string

// The roles.
const (
	API    Role = "api"    // answers members and everybody
	Worker Role = "worker" // checks, rebuilds, evaluates, and writes the log while no other process does
)

// Defaults.
const (
	DefaultListen = "127.0.0.1:8443"
	DefaultHTTP   = "127.0.0.1:8444"
	DefaultMount  = "transit" // of Vault
	DefaultRegion = "us-east-1"
)

// Config is a configuration file. Paths in it that are not absolute are relative to the folder of the file; they are
// absolute in what Read returns. All processes of one service have the same file but for what says otherwise.
type Config struct {
	// Roles are what the process does: api, worker or both. Both if not given; --role has the last word. Each process its own.
	Roles []Role `yaml:"roles"`
	// Listen is where the role api answers gRPC, host:port; port 0 takes a free one. Each process its own.
	Listen string `yaml:"listen"`
	// HTTP is where the role api answers HTTPS. Each process its own.
	HTTP string `yaml:"http"`
	// Names are host names and addresses that clients use, for the server certificate.
	Names []string `yaml:"names"`
	// OperatorCountry is the operator's, ISO 3166-1. Attestations say it; it is kept from the first start on.
	OperatorCountry string `yaml:"operator_country"`
	// Database is the catalog and the job queue.
	Database Database `yaml:"database"`
	// Objects is where the deposited files are, sealed.
	Objects Objects `yaml:"objects"`
	// Keys is the folder of the service's own keys, the same for all processes. `escrowd keys create` makes them.
	Keys string `yaml:"keys"`
	// KEK is the key-encryption key, which wraps each vendor's key.
	KEK KEK `yaml:"kek"`
	// FormerKEKs can still unwrap what they wrapped, until `escrowd keys rotate` has wrapped it with KEK.
	FormerKEKs []KEK `yaml:"former_keks"`
	// Log is the folder of the transparency log, on a file system that all processes share and that has flock(2).
	Log string `yaml:"log"`
	// Work is the folder of what is needed while something runs, and of what can be made again. Each process its own.
	Work string `yaml:"work"`
	// Runtime is the OCI runtime that the role worker rebuilds with, a name or a path; runc if not given.
	Runtime string `yaml:"runtime"`
	// RebuildWorkers is how many rebuilds the role worker does at the same time; 1 if not given.
	RebuildWorkers int `yaml:"rebuild_workers"`
	// Reflection makes the role api answer gRPC reflection, to members.
	Reflection bool `yaml:"reflection"`
	// LogFormat is how the process writes what it does to standard error: text or json; text if not given.
	LogFormat string `yaml:"log_format"`
}

// Database is a PostgreSQL database. One of URL and URLFile is given.
type Database struct {
	// URL is postgres://user@host:port/database?sslmode=verify-full&sslrootcert=PATH, without a password.
	URL string `yaml:"url"`
	// PasswordFile holds the password of the URL's user.
	PasswordFile string `yaml:"password_file"`
	// URLFile holds a whole URL, its password included.
	URLFile string `yaml:"url_file"`
	// PlaintextUnsafe allows a connection to another machine of which TLS does not prove that it is the right one.
	PlaintextUnsafe bool `yaml:"plaintext_unsafe"`
}

// Objects is an object store. One of its fields is given.
type Objects struct {
	// Folder is one on a local disk, for a service of one process.
	Folder string `yaml:"folder"`
	// S3 is a bucket.
	S3 *S3 `yaml:"s3"`
}

// S3 is a bucket with object lock in an S3 service.
type S3 struct {
	// Endpoint is the service's URL, https://host:port.
	Endpoint string `yaml:"endpoint"`
	// Bucket is the bucket's name. It is made beforehand, with object lock.
	Bucket string `yaml:"bucket"`
	// Prefix stands before every object's name; none if not given.
	Prefix string `yaml:"prefix"`
	// Region is the bucket's; us-east-1 if not given.
	Region string `yaml:"region"`
	// AccessKeyFile holds the access key. Without the two, the machine's role and the usual variables are asked.
	AccessKeyFile string `yaml:"access_key_file"`
	// SecretKeyFile holds the secret key.
	SecretKeyFile string `yaml:"secret_key_file"`
	// CAFile holds the certificates, PEM, that the service's certificate is checked with; the system's if not given.
	CAFile string `yaml:"ca_file"`
	// PlaintextUnsafe allows http:// to another machine.
	PlaintextUnsafe bool `yaml:"plaintext_unsafe"`
}

// KEK is a key-encryption key. One of its fields is given.
type KEK struct {
	// File is a file that all processes can read. `escrowd keys create` makes it.
	File string `yaml:"file"`
	// Vault is a key of HashiCorp Vault's transit engine, which the key never leaves.
	Vault *Vault `yaml:"vault"`
}

// Vault is a key of a transit engine.
type Vault struct {
	// Address is Vault's URL, https://host:port.
	Address string `yaml:"address"`
	// Mount is where the engine is mounted; transit if not given.
	Mount string `yaml:"mount"`
	// Key is the key's name.
	Key string `yaml:"key"`
	// Namespace is the namespace of an enterprise Vault; none if not given.
	Namespace string `yaml:"namespace"`
	// TokenFile holds a token that may encrypt, decrypt and rewrap with the key. It is read again when it changes.
	TokenFile string `yaml:"token_file"`
	// CAFile holds the certificates, PEM, that Vault's certificate is checked with; the system's if not given.
	CAFile string `yaml:"ca_file"`
	// PlaintextUnsafe allows http:// to another machine.
	PlaintextUnsafe bool `yaml:"plaintext_unsafe"`
}

// Has says whether the process has a role.
func (c *Config) Has(r Role) bool { return slices.Contains(c.Roles, r) }

// MaxBytes bounds a configuration file.
const MaxBytes = 256 << 10

// Read reads a configuration file. Its mistakes come back as Problems, all of them at once.
func Read(path string) (*Config, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, problem.Problems{{File: path, Message: "no such file; deploy/config/escrowd.yaml is one to begin with"}}
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return Parse(path, b)
}

// Parse reads the bytes of a configuration file that stands at path, which is absolute.
func Parse(path string, b []byte) (*Config, error) {
	c := &problem.Collector{File: path}
	root := parse(b, c)
	if root == nil {
		return nil, c.Err()
	}
	lines := shape(root, c)
	if err := c.Err(); err != nil {
		return nil, err
	}
	var cfg Config
	if err := root.Decode(&cfg); err != nil {
		c.AddYAML(err)
		return nil, c.Err()
	}
	cfg.setDefaults()
	(&checker{Collector: c, lines: lines}).config(&cfg)
	if err := c.Err(); err != nil {
		return nil, err
	}
	cfg.resolve(filepath.Dir(path))
	return &cfg, nil
}

func (c *Config) setDefaults() {
	if len(c.Roles) == 0 {
		c.Roles = []Role{API, Worker}
	}
	setDefault(&c.Listen, DefaultListen)
	setDefault(&c.HTTP, DefaultHTTP)
	setDefault(&c.Runtime, "runc")
	setDefault(&c.RebuildWorkers, 1)
	setDefault(&c.LogFormat, "text")
	if s := c.Objects.S3; s != nil {
		setDefault(&s.Region, DefaultRegion)
	}
	for _, k := range c.keks() {
		if k.Vault != nil {
			setDefault(&k.Vault.Mount, DefaultMount)
		}
	}
}

func setDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// keks returns the key-encryption key and the former ones.
func (c *Config) keks() []*KEK {
	all := []*KEK{&c.KEK}
	for i := range c.FormerKEKs {
		all = append(all, &c.FormerKEKs[i])
	}
	return all
}

// resolve makes every path whole.
func (c *Config) resolve(dir string) {
	paths := []*string{&c.Database.PasswordFile, &c.Database.URLFile, &c.Objects.Folder, &c.Keys, &c.Log, &c.Work}
	if s := c.Objects.S3; s != nil {
		paths = append(paths, &s.AccessKeyFile, &s.SecretKeyFile, &s.CAFile)
	}
	for _, k := range c.keks() {
		paths = append(paths, &k.File)
		if k.Vault != nil {
			paths = append(paths, &k.Vault.TokenFile, &k.Vault.CAFile)
		}
	}
	for _, p := range paths {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
}
