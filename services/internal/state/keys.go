package state

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/countersign-escrow/countersign/escrow/durable"
	"github.com/countersign-escrow/countersign/services/internal/ca"
	"github.com/countersign-escrow/countersign/verifier/attest"
)

// The files of the keys folder.
const (
	caKeyFile     = "ca.key"
	caCertFile    = "ca.pem"
	statementFile = "statement.pem"
	logFile       = "log.pem"
	tsaKeyFile    = "tsa.pem"
	tsaChainFile  = "tsa-chain.pem"
	namesFile     = "object-names.key"
)

const objectNamesSize = 32

// keyMaker makes one key. The key's own file is written last, so that where it is there, its certificate is there too.
type keyMaker struct {
	key  string // file
	cert string // file of the certificates, "" where there are none
	make func(now time.Time) (key, cert []byte, err error)
}

var keyMakers = []keyMaker{
	{caKeyFile, caCertFile, makeCA},
	{statementFile, "", makeECDSA},
	{logFile, "", makeEd25519},
	{tsaKeyFile, tsaChainFile, makeTimestamp},
	{namesFile, "", makeSecret},
}

// makeKeys makes the keys that are not there. Once there is a catalog the first start is over: a key that is missing
// then was lost, and a new one in its place would disown all that was done under the old one.
func (s *State) makeKeys(now time.Time) error {
	started, err := exists(s.Catalog())
	if err != nil {
		return err
	}
	for _, m := range keyMakers {
		there, err := exists(s.key(m.key))
		if err != nil {
			return err
		}
		switch {
		case there:
		case started:
			return fmt.Errorf("%s is missing though the service has run before: put it back from a backup", s.key(m.key))
		default:
			if err := s.makeKey(m, now); err != nil {
				return fmt.Errorf("%s: %w", m.key, err)
			}
		}
	}
	return s.sweep()
}

func (s *State) makeKey(m keyMaker, now time.Time) error {
	key, cert, err := m.make(now)
	if err != nil {
		return err
	}
	if m.cert != "" {
		if err := durable.WriteFile(s.key(m.cert), cert, fileMode); err != nil {
			return err
		}
	}
	return durable.WriteFile(s.key(m.key), key, fileMode)
}

// sweep removes what a start that broke off left of half-written files.
func (s *State) sweep() error {
	left, err := filepath.Glob(filepath.Join(s.keys(), ".new-*"))
	if err != nil {
		return err
	}
	for _, path := range left {
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return nil
}

func makeCA(now time.Time) (key, cert []byte, err error) {
	cert, key, err = ca.Create(now)
	return key, cert, err
}

func makeECDSA(time.Time) (key, _ []byte, err error) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	key, err = ca.EncodeKey(k)
	return key, nil, err
}

func makeEd25519(time.Time) (key, _ []byte, err error) {
	_, k, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	key, err = ca.EncodeKey(k)
	return key, nil, err
}

func makeTimestamp(now time.Time) (key, chain []byte, err error) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	certs, err := attest.MakeTimestampCertificates("Countersign", k.Public(), now)
	if err != nil {
		return nil, nil, err
	}
	for _, c := range certs {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	key, err = ca.EncodeKey(k)
	return key, chain, err
}

func makeSecret(time.Time) (key, _ []byte, err error) {
	key = make([]byte, objectNamesSize)
	_, err = rand.Read(key)
	return key, nil, err
}

func (s *State) loadKeys() error {
	certPEM, err := os.ReadFile(s.key(caCertFile))
	if err != nil {
		return err
	}
	keyPEM, err := os.ReadFile(s.key(caKeyFile))
	if err != nil {
		return err
	}
	if s.CA, err = ca.Load(certPEM, keyPEM); err != nil {
		return fmt.Errorf("%s: %w", s.key(caKeyFile), err)
	}
	return errors.Join(
		loadKey(s.key(statementFile), &s.Statement),
		loadKey(s.key(logFile), &s.Log),
		loadKey(s.key(tsaKeyFile), &s.Timestamp),
		s.loadChain(),
		s.loadNames(),
	)
}

func loadKey[K crypto.Signer](path string, into *K) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	block, rest := pem.Decode(raw)
	if block == nil || len(bytes.TrimSpace(rest)) != 0 {
		return fmt.Errorf("%s: must hold one PEM block", path)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	k, ok := key.(K)
	if !ok {
		return fmt.Errorf("%s: holds a %T, must be a %T", path, key, *into)
	}
	*into = k
	return nil
}

func (s *State) loadChain() error {
	path := s.key(tsaChainFile)
	rest, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		s.TSAChain = append(s.TSAChain, cert)
	}
	if len(s.TSAChain) == 0 {
		return fmt.Errorf("%s: holds no certificate", path)
	}
	return nil
}

func (s *State) loadNames() error {
	key, err := os.ReadFile(s.key(namesFile))
	if err != nil {
		return err
	}
	if len(key) != objectNamesSize {
		return fmt.Errorf("%s: has %d bytes, must have %d", s.key(namesFile), len(key), objectNamesSize)
	}
	s.ObjectNames = key
	return nil
}

func exists(path string) (bool, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
