// Command plugin is a key management system of the sort that Sigstore's tools call as sigstore-kms-NAME: its keys are PEM files, and
// NAME://FILE is the one in FILE.
package main

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/kms/cliplugin/handler"
)

// folder makes signature's own SignerVerifier one of a key management system, which is set up for one hash.
type folder struct {
	signature.SignerVerifier
	hash crypto.Hash
}

func (f folder) SignMessage(message io.Reader, opts ...signature.SignOption) ([]byte, error) {
	var asked crypto.SignerOpts = f.hash
	for _, o := range opts {
		o.ApplyCryptoSignerOpts(&asked)
	}
	if asked.HashFunc() != f.hash {
		return nil, fmt.Errorf("is set up for %s, and is asked for %s", f.hash, asked.HashFunc())
	}
	return f.SignerVerifier.SignMessage(message, opts...)
}

func (folder) CreateKey(context.Context, string) (crypto.PublicKey, error) {
	return nil, errors.New("keys are made elsewhere")
}

func (folder) CryptoSigner(context.Context, func(error)) (crypto.Signer, crypto.SignerOpts, error) {
	return nil, nil, errors.New("is made on the other side")
}

func (folder) SupportedAlgorithms() []string { return []string{"any"} }
func (folder) DefaultAlgorithm() string      { return "any" }

func main() {
	if err := run(); err != nil {
		_ = handler.WriteErrorResponse(os.Stdout, err)
		os.Exit(1)
	}
}

func run() error {
	args, err := handler.GetPluginArgs(os.Args)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(args.InitOptions.KeyResourceID)
	if err != nil {
		return fmt.Errorf("there is no key %s", args.InitOptions.KeyResourceID)
	}
	key, err := cryptoutils.UnmarshalPEMToPrivateKey(text, nil)
	if err != nil {
		return err
	}
	sv, err := signature.LoadSignerVerifier(key, args.InitOptions.HashFunc)
	if err != nil {
		return err
	}
	_, err = handler.Dispatch(os.Stdout, os.Stdin, args, folder{sv, args.InitOptions.HashFunc})
	return err
}
