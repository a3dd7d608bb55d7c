package signer

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/sigstore/sigstore/pkg/signature/kms"
	"github.com/sigstore/sigstore/pkg/signature/options"

	// The key management systems that are built in. Others are programs on the path.
	_ "github.com/sigstore/sigstore/pkg/signature/kms/aws"
	_ "github.com/sigstore/sigstore/pkg/signature/kms/azure"
	_ "github.com/sigstore/sigstore/pkg/signature/kms/gcp"
	_ "github.com/sigstore/sigstore/pkg/signature/kms/hashivault"

	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/signer/localkey"
	"github.com/countersign-escrow/countersign/verifier/signature/sigstorebundle"
)

// remoteKey is a key in a key management system, named as Sigstore's tools name it.
type remoteKey struct{ uri string }

// Sign makes a Sigstore bundle.
func (k remoteKey) Sign(ctx context.Context, content []byte) (localkey.File, error) {
	key, err := k.open(ctx)
	if err != nil {
		return localkey.File{}, k.failed(err)
	}
	bundle, err := sigstorebundle.Sign(key, content)
	if err != nil {
		return localkey.File{}, k.failed(err)
	}
	return localkey.File{Content: bundle, MediaType: sigstorebundle.MediaType}, nil
}

// open gets the public key. A system wants to be told a hash before it is known which the key goes with.
func (k remoteKey) open(ctx context.Context) (*heldKey, error) {
	system, err := kms.Get(ctx, k.uri, crypto.SHA256)
	if err != nil {
		return nil, err
	}
	public, err := system.PublicKey(options.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	return &heldKey{ctx, k.uri, public}, nil
}

func (k remoteKey) failed(err error) error {
	scheme, _, _ := strings.Cut(k.uri, "://")
	var unknown *kms.ProviderNotFoundError
	if errors.As(err, &unknown) {
		return fault.Invalidf("--key", "%q: no such key management system is known", k.uri).
			WithAdvice("known are %s; any other NAME:// needs a program sigstore-kms-NAME on the path, and there is no sigstore-kms-%s", strings.Join(known(), ", "), scheme)
	}
	return fault.Preconditionf("KMS_FAILED", "", "signing with %s: %v", k.uri, err).WithAdvice("%s", advice(scheme))
}

func known() []string {
	all := kms.SupportedProviders()
	slices.Sort(all)
	return all
}

// advice says what a system wants to know beside the URI.
func advice(scheme string) string {
	switch scheme {
	case "hashivault", "openbao":
		return "the form is " + scheme + "://KEY; the server is told by VAULT_ADDR or BAO_ADDR, the token by VAULT_TOKEN or BAO_TOKEN, the engine by TRANSIT_SECRET_ENGINE_PATH"
	case "awskms":
		return "the form is awskms:///arn:aws:kms:REGION:ACCOUNT:key/ID, or awskms://ENDPOINT/KEY; credentials are those of the AWS tools"
	case "gcpkms":
		return "the form is gcpkms://projects/P/locations/L/keyRings/R/cryptoKeys/K/cryptoKeyVersions/V; credentials are those of gcloud"
	case "azurekms":
		return "the form is azurekms://VAULT.vault.azure.net/KEY; credentials are those of the Azure tools"
	default:
		return "that is what the program sigstore-kms-" + scheme + " answers"
	}
}

// heldKey is a key whose public half is known for certain. The signer that a system itself offers can only tell it without an error, and
// has no way to sign a message whole.
type heldKey struct {
	ctx    context.Context // that of the one signature which the key is opened for
	uri    string
	public crypto.PublicKey
}

// Public returns the public key.
func (k *heldKey) Public() crypto.PublicKey { return k.public }

// Sign asks the system, which is told the hash that goes with the key. Without one the message is signed whole, as Ed25519 does.
func (k *heldKey) Sign(_ io.Reader, message []byte, opts crypto.SignerOpts) ([]byte, error) {
	hash := opts.HashFunc()
	system, err := kms.Get(k.ctx, k.uri, hash)
	if err != nil {
		return nil, err
	}
	if hash == 0 {
		return system.SignMessage(bytes.NewReader(message), options.WithContext(k.ctx), options.WithCryptoSignerOpts(hash))
	}
	return system.SignMessage(bytes.NewReader(nil), options.WithContext(k.ctx), options.WithDigest(message), options.WithCryptoSignerOpts(hash))
}
