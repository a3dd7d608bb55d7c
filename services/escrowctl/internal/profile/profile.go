// Package profile keeps what it takes to speak to a service as somebody: its address, its CA, and a client certificate
// with its key. It knows nothing of what is said to the service.
package profile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
)

// Variable is the environment variable that names the profile where no flag does.
const Variable = "COUNTERSIGN_PROFILE"

// The names in a profile's folder.
const (
	FileName        = "profile.yaml"
	keyName         = "key.pem"
	certificateName = "certificate.pem"
	caName          = "ca.pem"
)

// Profile is a profile with every path made whole.
type Profile struct {
	Path         string // of the profile file
	Address      string // host:port of gRPC
	Web          string // the service's URL over HTTP; may be empty
	CA           string
	Certificate  string
	Key          string
	Organization resource.Organization
}

type document struct {
	Address      string `yaml:"address"`
	Web          string `yaml:"web,omitempty"`
	CA           string `yaml:"ca"`
	Certificate  string `yaml:"certificate"`
	Key          string `yaml:"key"`
	Organization string `yaml:"organization"`
}

var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// Folder returns where profiles lie that are known by name.
func Folder() (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("no folder for profiles: %w", err)
	}
	return filepath.Join(dir, "countersign", "profiles"), nil
}

// isPath tells a path from a name: a path has a separator, or is a YAML file's name.
func isPath(s string) bool {
	return strings.ContainsRune(s, filepath.Separator) || s == "." || s == ".." || strings.HasSuffix(s, ".yaml")
}

// Dir returns the folder of a profile that is named, or given as a folder.
func Dir(nameOrPath string) (string, error) {
	if isPath(nameOrPath) {
		return filepath.Abs(nameOrPath)
	}
	if !nameForm.MatchString(nameOrPath) {
		return "", fault.Invalidf("--profile", "%q is neither a path nor a name of letters, digits, '.', '_' and '-'", nameOrPath)
	}
	folder, err := Folder()
	return filepath.Join(folder, nameOrPath), err
}

// Locate returns the profile file that is meant: by name, by path of the file or of its folder, or, for "", what the
// environment says or the profile named default.
func Locate(nameOrPath string) (string, error) {
	if nameOrPath == "" {
		nameOrPath = os.Getenv(Variable)
	}
	if nameOrPath == "" {
		nameOrPath = "default"
	}
	path, err := Dir(nameOrPath)
	if err != nil {
		return "", err
	}
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		return path, nil
	}
	if strings.HasSuffix(path, ".yaml") {
		return path, nil
	}
	return filepath.Join(path, FileName), nil
}

// Load reads the profile that is meant, as Locate finds it.
func Load(nameOrPath string) (*Profile, error) {
	path, err := Locate(nameOrPath)
	if err != nil {
		return nil, err
	}
	b, err := readSome(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, (&fault.Error{Kind: fault.NotFound, Reason: "NO_PROFILE", Message: "there is no profile " + path}).
			WithAdvice("name one with --profile or %s, or make one with escrowctl enrol", Variable)
	} else if err != nil {
		return nil, err
	}
	return parse(path, b)
}

// maxFile bounds a profile file.
const maxFile = 64 << 10

func readSome(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile))
}

func parse(path string, b []byte) (*Profile, error) {
	dec := yaml.NewDecoder(bytes.NewReader(b))
	dec.KnownFields(true)
	var d document
	if err := dec.Decode(&d); err != nil {
		return nil, fault.Invalidf(path, "%s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	for field, value := range map[string]string{"address": d.Address, "ca": d.CA, "certificate": d.Certificate, "key": d.Key} {
		if value == "" {
			return nil, fault.Invalidf(path, "%s is missing", field)
		}
	}
	org, err := resource.ParseOrganization(d.Organization)
	if err != nil {
		return nil, fault.Invalidf(path, "organization: %v", err)
	}
	dir := filepath.Dir(path)
	return &Profile{Path: path, Address: d.Address, Web: d.Web, Organization: org,
		CA: resolve(dir, d.CA), Certificate: resolve(dir, d.Certificate), Key: resolve(dir, d.Key)}, nil
}

func resolve(dir, p string) string {
	if filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(dir, p)
}
