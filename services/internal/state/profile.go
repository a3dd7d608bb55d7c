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

// ProfilePath is the path of the operator's profile.
func (s *State) ProfilePath() string { return filepath.Join(s.Operator(), profileFile) }

// CertificatePath is the path of the operator's client certificate.
func (s *State) CertificatePath() string { return filepath.Join(s.Operator(), certificateFile) }

// MemberKeyPath is the path of the key of the operator's client certificate.
func (s *State) MemberKeyPath() string { return filepath.Join(s.Operator(), memberKeyFile) }

// WriteMember puts the operator's key and certificate in their place.
func (s *State) WriteMember(keyPEM, certPEM []byte) error {
	if err := durable.WriteFile(s.MemberKeyPath(), keyPEM, fileMode); err != nil {
		return err
	}
	return durable.WriteFile(s.CertificatePath(), certPEM, fileMode)
}

// WriteProfile writes the operator's profile for a service that listens at those addresses.
func (s *State) WriteProfile(address, web, organization string) error {
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
	if err := durable.WriteFile(filepath.Join(s.Operator(), profileCAFile), s.CA.CertificatePEM(), fileMode); err != nil {
		return err
	}
	return durable.WriteFile(s.ProfilePath(), raw, fileMode)
}
