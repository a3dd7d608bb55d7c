package profile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"

	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
)

// Draft is a profile in the making: its folder has a key already and waits for the certificate.
type Draft struct {
	Dir string
}

// Begin makes a profile's folder with its key. A profile that is there already is not touched.
func Begin(dir string, keyPEM []byte) (*Draft, error) {
	if _, err := os.Stat(filepath.Join(dir, FileName)); err == nil {
		return nil, (&fault.Error{Kind: fault.Exists, Reason: "PROFILE_EXISTS", Message: dir + " holds a profile already"}).
			WithAdvice("choose another name with --profile, or remove it first")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	key, err := os.OpenFile(filepath.Join(dir, keyName), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, (&fault.Error{Kind: fault.Exists, Reason: "KEY_EXISTS", Message: filepath.Join(dir, keyName) + " exists already"}).
			WithAdvice("choose another folder with --profile; a key is never written over")
	} else if err != nil {
		return nil, err
	}
	_, err = key.Write(keyPEM)
	return &Draft{Dir: dir}, errors.Join(err, key.Close())
}

// Certified is what a service answers an enrolment with, and where it was asked.
type Certified struct {
	Address, Web     string
	Organization     resource.Organization
	CertificatePEM   string
	CertificateOfCAs string
}

// Finish writes the certificates and, last of all, the profile file.
func (d *Draft) Finish(c Certified) (string, error) {
	b, err := yaml.Marshal(document{Address: c.Address, Web: c.Web, CA: caName, Certificate: certificateName, Key: keyName, Organization: c.Organization.String()})
	if err != nil {
		return "", err
	}
	path := filepath.Join(d.Dir, FileName)
	return path, errors.Join(
		os.WriteFile(filepath.Join(d.Dir, certificateName), []byte(c.CertificatePEM), 0o644),
		os.WriteFile(filepath.Join(d.Dir, caName), []byte(c.CertificateOfCAs), 0o644),
		os.WriteFile(path, b, 0o644),
	)
}

// Drop removes what Begin wrote.
func (d *Draft) Drop() {
	os.Remove(filepath.Join(d.Dir, keyName))
	os.Remove(d.Dir) // only if it is empty
}

// Entry is one profile that is known by name.
type Entry struct {
	Name    string
	Profile *Profile
	Err     error // why it cannot be used
}

// List returns the profiles that are known by name.
func List() ([]Entry, error) {
	folder, err := Folder()
	if err != nil {
		return nil, err
	}
	dirs, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	var all []Entry
	for _, d := range dirs {
		if _, err := os.Stat(filepath.Join(folder, d.Name(), FileName)); err != nil {
			continue
		}
		p, err := Load(filepath.Join(folder, d.Name()))
		all = append(all, Entry{Name: d.Name(), Profile: p, Err: err})
	}
	return all, nil
}
