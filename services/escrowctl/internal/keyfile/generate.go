package keyfile

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"strings"

	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/verifier/publickey"
)

// Default is the type of keys that serve for everything.
const Default = "ecdsa-p256"

// Types are the types of keys that can be made.
var Types = []string{Default, "ecdsa-p384", "ed25519", "rsa-3072"}

// New makes an ECDSA P-256 key and its PKCS#8 PEM form.
func New() (*ecdsa.PrivateKey, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	text, err := encode(key)
	return key, text, err
}

func encode(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

func newKey(kind string) (crypto.Signer, error) {
	switch kind {
	case Default:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ecdsa-p384":
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "ed25519":
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	case "rsa-3072":
		return rsa.GenerateKey(rand.Reader, 3072)
	}
	return nil, fault.Invalidf("--type", "%q is no type of key, must be %s", kind, strings.Join(Types, ", "))
}

// Generate makes a key of one of the Types and writes it to path, for its owner alone, and its public key to path.pub. Nothing is
// written over.
func Generate(path, kind string) (publicPath string, err error) {
	key, err := newKey(kind)
	if err != nil {
		return "", err
	}
	private, err := encode(key)
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
