// Package keyfile makes and reads private keys in PEM files. It knows nothing of what they sign.
package keyfile

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/verifier/publickey"
)

// New makes an ECDSA P-256 key and its PKCS#8 PEM form.
func New() (*ecdsa.PrivateKey, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	return key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// Generate makes a key and writes it to path, for its owner alone, and its public key to path.pub. Nothing is written over.
func Generate(path string) (publicPath string, err error) {
	key, private, err := New()
	if err != nil {
		return "", err
	}
	public, err := publickey.PEM(key.Public())
	if err != nil {
		return "", err
	}
	publicPath = path + ".pub"
	if err := create(path, private, 0o600); err != nil {
		return "", err
	}
	if err := create(publicPath, []byte(public), 0o644); err != nil {
		os.Remove(path)
		return "", err
	}
	return publicPath, nil
}

func create(path string, content []byte, mode os.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return (&fault.Error{Kind: fault.Exists, Reason: "FILE_EXISTS", Message: path + " exists already"}).
			WithAdvice("choose another name: a key is never written over")
	} else if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Sync(), f.Close())
}

// maxFile bounds a key file.
const maxFile = 64 << 10

// Read reads an ECDSA P-256 private key: a PEM block of PKCS#8 or SEC 1.
func Read(path string) (*ecdsa.PrivateKey, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fault.Invalidf(path, "no such key file").WithAdvice("make one with: escrowctl key generate --out %s", path)
	}
	if info.Size() > maxFile {
		return nil, fault.Invalidf(path, "has %d bytes, which is no key", info.Size())
	}
	if perm := info.Mode().Perm(); perm&0o077 != 0 {
		return nil, fault.Invalidf(path, "can be read by others (mode %04o)", perm).WithAdvice("chmod 600 %s", path)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	key, err := parse(b)
	if err != nil {
		return nil, fault.Invalidf(path, "%v", err)
	}
	return key, nil
}

func parse(b []byte) (*ecdsa.PrivateKey, error) {
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, errors.New("holds no PEM block")
	}
	var key any
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case "ENCRYPTED SIGSTORE PRIVATE KEY", "ENCRYPTED COSIGN PRIVATE KEY":
		return nil, errors.New("is encrypted: sign what escrowctl release manifest prints with cosign sign-blob instead")
	case "PUBLIC KEY":
		return nil, errors.New("is the public key: give the private one")
	default:
		return nil, fmt.Errorf("holds a %q, must hold a PRIVATE KEY", block.Type)
	}
	if err != nil {
		return nil, err
	}
	ec, ok := key.(*ecdsa.PrivateKey)
	if !ok || ec.Curve != elliptic.P256() {
		return nil, errors.New("must be an ECDSA P-256 key")
	}
	return ec, nil
}
