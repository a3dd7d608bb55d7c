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
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/keyring/kekfile"
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
	kekFile       = "kek.json"
)

// keyMaker makes one key. The key's own file is written last, so that where it is there, its certificate is there too.
type keyMaker struct {
	key  string // file
	cert string // file of the certificates, "" where there are none
	make func(now time.Time) (key, cert []byte, err error)
}

// ownKeys makes Keys.
var ownKeys = []keyMaker{
	{caKeyFile, caCertFile, makeCA},
	{statementFile, "", makeECDSA},
	{logFile, "", makeEd25519},
	{tsaKeyFile, tsaChainFile, makeTimestamp},
}

// Keys are the service's own keys, besides the one that wraps the vendors'.
type Keys struct {
	CA        *ca.Authority
	Statement *ecdsa.PrivateKey   // signs statements; P-256
	Log       ed25519.PrivateKey  // signs the log's checkpoints
	Timestamp *ecdsa.PrivateKey   // signs time stamps; P-256
	TSAChain  []*x509.Certificate // of Timestamp, leaf first
}

// keyFolder is a folder of keys.
type keyFolder string

func (f keyFolder) path(name string) string { return filepath.Join(string(f), name) }

// ReadKeys reads the keys in a folder, which several processes may share. Keys that others may read are refused. Workers,
// which run as root, may share them with processes of a lesser user, to whom they then belong.
func ReadKeys(dir string) (*Keys, error) {
	var others []int
	if os.Geteuid() == 0 {
		owner, err := ownerOf(dir)
		if err != nil {
			return nil, fmt.Errorf("keys: %w", err)
		}
		others = append(others, owner)
	}
	if err := checkPrivate(dir, others...); err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	k, err := keyFolder(dir).load()
	if err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	return k, nil
}

// CreateKeys makes new keys in a folder that is not there yet, or empty: all of them or none.
func CreateKeys(dir string, now time.Time) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(entries) > 0 {
		return fault.AlreadyExists(dir).WithAdvice("what was done under the keys in it would be disowned by new ones")
	}
	if err := durable.MkdirAll(filepath.Dir(dir), folderMode); err != nil {
		return err
	}
	temp, err := os.MkdirTemp(filepath.Dir(dir), ".new-keys-*")
	if err != nil {
		return err
	}
	if err := keyFolder(temp).fillAndMove(dir, now); err != nil {
		return errors.Join(err, os.RemoveAll(temp))
	}
	return nil
}

func (f keyFolder) fillAndMove(dir string, now time.Time) error {
	if err := f.fill(now); err != nil {
		return err
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return durable.Rename(string(f), dir)
}

func (f keyFolder) fill(now time.Time) error {
	for _, m := range ownKeys {
		if err := f.makeKey(m, now); err != nil {
			return fmt.Errorf("%s: %w", m.key, err)
		}
	}
	return nil
}

// makeKeys makes the keys that are not there. Once there is a catalog the first start is over: a key that is missing
// then was lost, and a new one in its place would disown all that was done under the old one.
func (s *State) makeKeys(now time.Time) error {
	started, err := exists(s.Catalog())
	if err != nil {
		return err
	}
	for _, m := range append(ownKeys[:len(ownKeys):len(ownKeys)], keyMaker{kekFile, "", makeKEK}) {
		there, err := exists(s.keys().path(m.key))
		if err != nil {
			return err
		}
		switch {
		case there:
		case started:
			return fmt.Errorf("%s is missing though the service has run before: put it back from a backup", s.keys().path(m.key))
		default:
			if err := s.keys().makeKey(m, now); err != nil {
				return fmt.Errorf("%s: %w", m.key, err)
			}
		}
	}
	return s.keys().sweep()
}

func (f keyFolder) makeKey(m keyMaker, now time.Time) error {
	key, cert, err := m.make(now)
	if err != nil {
		return err
	}
	if m.cert != "" {
		if err := durable.WriteFile(f.path(m.cert), cert, fileMode); err != nil {
			return err
		}
	}
	return durable.WriteFile(f.path(m.key), key, fileMode)
}

// sweep removes what a start that broke off left of half-written files.
func (f keyFolder) sweep() error {
	left, err := filepath.Glob(f.path(".new-*"))
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

func makeKEK(now time.Time) (key, _ []byte, err error) {
	key, err = kekfile.New(now)
	return key, nil, err
}

func (f keyFolder) load() (*Keys, error) {
	certPEM, err := os.ReadFile(f.path(caCertFile))
	if err != nil {
		return nil, err
	}
	keyPEM, err := os.ReadFile(f.path(caKeyFile))
	if err != nil {
		return nil, err
	}
	k := &Keys{}
	if k.CA, err = ca.Load(certPEM, keyPEM); err != nil {
		return nil, fmt.Errorf("%s: %w", f.path(caKeyFile), err)
	}
	return k, errors.Join(
		loadKey(f.path(statementFile), &k.Statement),
		loadKey(f.path(logFile), &k.Log),
		loadKey(f.path(tsaKeyFile), &k.Timestamp),
		k.loadChain(f.path(tsaChainFile)),
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

func (k *Keys) loadChain(path string) error {
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
		k.TSAChain = append(k.TSAChain, cert)
	}
	if len(k.TSAChain) == 0 {
		return fmt.Errorf("%s: holds no certificate", path)
	}
	return nil
}

func exists(path string) (bool, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
