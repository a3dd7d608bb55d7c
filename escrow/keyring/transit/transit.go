// Package transit is a key-encryption key in the transit engine of a HashiCorp Vault, or of a server that speaks its API: the key
// never leaves it, vendor keys are sent there to be wrapped and unwrapped.
// It knows nothing of what the keys that it wraps are for.
package transit

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"net/http"

	"github.com/hashicorp/vault/api"

	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/keyring"
)

// keyType is what the key must be: it takes associated data.
const keyType = "aes256-gcm96"

// ciphertextPrefix begins every ciphertext of the engine; the version of the key follows.
const ciphertextPrefix = "vault:v"

// maxWrappedBytes is more than a wrapped vendor key ever is.
const maxWrappedBytes = 4 << 10

// KEK is a keyring.KEK in a Vault.
type KEK struct {
	client *api.Client
	token  *tokenFile
	mount  string
	key    string
}

var _ keyring.KEK = (*KEK)(nil)

// Open connects to a Vault and checks the key: that it is there, of the right kind, can be neither exported nor deleted, and that this
// token may wrap and unwrap with it. Errors say what to do in the Vault.
func Open(ctx context.Context, cfg Config) (*KEK, error) {
	k, err := connect(cfg)
	if err != nil {
		return nil, err
	}
	if err := k.checkKey(ctx); err != nil {
		return nil, err
	}
	return k, k.tryKey(ctx)
}

// ID names mount and key. Where the Vault is may change, and so is no part of it.
func (k *KEK) ID() string { return "vault:" + k.mount + "/" + k.key }

// Wrap encrypts under the newest version of the key.
func (k *KEK) Wrap(ctx context.Context, key, context []byte) ([]byte, error) {
	answer, err := k.call(ctx, http.MethodPut, "encrypt", map[string]any{
		"plaintext":       base64.StdEncoding.EncodeToString(key),
		"associated_data": base64.StdEncoding.EncodeToString(context),
	})
	if err != nil {
		return nil, err
	}
	wrapped, _ := answer["ciphertext"].(string)
	if !isWrapped([]byte(wrapped)) {
		return nil, k.trouble(fmt.Errorf("the answer to encrypt has no ciphertext"))
	}
	return []byte(wrapped), nil
}

// Unwrap decrypts what any version of the key has wrapped that the Vault still allows.
func (k *KEK) Unwrap(ctx context.Context, wrapped, context []byte) ([]byte, error) {
	if !isWrapped(wrapped) {
		return nil, fault.Corruptf(k.ID(), "the wrapped key is not a ciphertext of Vault's transit engine")
	}
	answer, err := k.call(ctx, http.MethodPut, "decrypt", map[string]any{
		"ciphertext":      string(wrapped),
		"associated_data": base64.StdEncoding.EncodeToString(context),
	})
	if err != nil {
		return nil, err
	}
	plain, ok := answer["plaintext"].(string)
	key, err := base64.StdEncoding.DecodeString(plain)
	if !ok || err != nil {
		return nil, k.trouble(fmt.Errorf("the answer to decrypt has no plaintext"))
	}
	return key, nil
}

func isWrapped(b []byte) bool {
	return len(b) <= maxWrappedBytes && bytes.HasPrefix(b, []byte(ciphertextPrefix))
}

// checkKey asks what the key is.
func (k *KEK) checkKey(ctx context.Context) error {
	about, err := k.call(ctx, http.MethodGet, "keys", nil)
	if err != nil {
		return err
	}
	path := k.mount + "/keys/" + k.key
	switch {
	case about["type"] != keyType:
		return k.unfit("is of the type %v", about["type"]).WithAdvice("make one: vault write -f %s/keys/NAME type=%s", k.mount, keyType)
	case about["derived"] == true:
		return k.unfit("is derived from a context").WithAdvice("make another one, without derived=true")
	case about["exportable"] == true, about["allow_plaintext_backup"] == true:
		return k.unfit("may be exported, which cannot be taken back").WithAdvice("make another one, exportable=false allow_plaintext_backup=false")
	case about["deletion_allowed"] == true:
		return k.unfit("may be deleted, and with it all that is in custody").WithAdvice("vault write %s/config deletion_allowed=false", path)
	}
	return nil
}

func (k *KEK) unfit(format string, args ...any) *fault.Error {
	return fault.Preconditionf("FAILED_PRECONDITION", "", "Vault's key %s/keys/%s %s", k.mount, k.key, fmt.Sprintf(format, args...))
}

// tryKey wraps and unwraps something, so that a token without the right to either is found now.
func (k *KEK) tryKey(ctx context.Context) error {
	probe := []byte("probe")
	wrapped, err := k.Wrap(ctx, probe, probe)
	if err != nil {
		return err
	}
	got, err := k.Unwrap(ctx, wrapped, probe)
	if err == nil && !bytes.Equal(got, probe) {
		err = k.trouble(fmt.Errorf("decrypt gave other bytes than encrypt had"))
	}
	return err
}
