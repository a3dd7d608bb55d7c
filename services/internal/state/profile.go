package state

import (
	"path/filepath"

	"go.yaml.in/yaml/v3"

	"github.com/countersign-escrow/countersign/escrow/durable"
)

// Profile is what a client needs to reach the service as a member. Paths are relative to the profile's own file.
type Profile struct {
	Address      string `yaml:"address"`      // of the gRPC service, host:port
	Web          string `yaml:"web"`          // of the HTTPS side, https://host:port
	CA           string `yaml:"ca"`           // path of the service's CA certificate
	Certificate  string `yaml:"certificate"`  // path of the client certificate
	Key          string `yaml:"key"`          // path of its key
	Organization string `yaml:"organization"` // organizations/{o}
}

// The files of the operator's folder.
const (
	profileFile     = "profile.yaml"
	profileCAFile   = "ca.pem"
	certificateFile = "certificate.pem"
	memberKeyFile   = "key.pem"
)

// ProfileFolder is a folder with the profile of a member of the operator.
type ProfileFolder string

// Path is the path of the profile.
func (f ProfileFolder) Path() string { return filepath.Join(string(f), profileFile) }

// Certificate is the path of the client certificate.
func (f ProfileFolder) Certificate() string { return filepath.Join(string(f), certificateFile) }

// Key is the path of the key of the client certificate.
func (f ProfileFolder) Key() string { return filepath.Join(string(f), memberKeyFile) }

// WriteMember puts key and certificate in their place.
func (f ProfileFolder) WriteMember(keyPEM, certPEM []byte) error {
	if err := durable.WriteFile(f.Key(), keyPEM, fileMode); err != nil {
		return err
	}
	return durable.WriteFile(f.Certificate(), certPEM, fileMode)
}

// WriteProfile writes the profile for a service that clients reach at those addresses and whose CA is that.
func (f ProfileFolder) WriteProfile(address, web, organization string, caPEM []byte) error {
	raw, err := yaml.Marshal(Profile{
		Address:      address,
		Web:          web,
		CA:           profileCAFile,
		Certificate:  certificateFile,
		Key:          memberKeyFile,
		Organization: organization,
	})
	if err != nil {
		return err
	}
	if err := durable.WriteFile(filepath.Join(string(f), profileCAFile), caPEM, fileMode); err != nil {
		return err
	}
	return durable.WriteFile(f.Path(), raw, fileMode)
}
