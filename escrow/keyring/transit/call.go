package transit

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/hashicorp/vault/api"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

// call asks the engine to do something with the key. A token that is refused is read again, once: the file may hold a newer one.
func (k *KEK) call(ctx context.Context, method, what string, body map[string]any) (map[string]any, error) {
	ctx, cancel := context.WithTimeout(ctx, callBound)
	defer cancel()
	token, err := k.token.current()
	if err != nil {
		return nil, err
	}
	answer, err := k.ask(ctx, token, method, what, body)
	if status(err) == http.StatusForbidden {
		if token, readErr := k.token.read(); readErr == nil {
			answer, err = k.ask(ctx, token, method, what, body)
		}
	}
	if err != nil {
		return nil, k.translate(what, err)
	}
	return answer, nil
}

// ask sends one request. Each has its own clone of the client, since the token is the client's and calls run beside one another.
func (k *KEK) ask(ctx context.Context, token, method, what string, body map[string]any) (map[string]any, error) {
	client, err := k.client.CloneWithHeaders()
	if err != nil {
		return nil, err
	}
	client.SetToken(token)
	path := k.mount + "/" + what + "/" + k.key
	var secret *api.Secret
	if method == http.MethodGet {
		secret, err = client.Logical().ReadWithContext(ctx, path)
	} else {
		secret, err = client.Logical().WriteWithContext(ctx, path, body)
	}
	if err == nil && (secret == nil || secret.Data == nil) {
		err = &api.ResponseError{StatusCode: http.StatusNotFound, Errors: []string{"nothing at " + path}}
	}
	if err != nil {
		return nil, err
	}
	return secret.Data, nil
}

func status(err error) int {
	var r *api.ResponseError
	if errors.As(err, &r) {
		return r.StatusCode
	}
	return 0
}

// translate says what went wrong and what to do in the Vault.
func (k *KEK) translate(what string, err error) error {
	switch code := status(err); {
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("ask Vault to %s with %s: %w", what, k.ID(), err)
	case code == http.StatusBadRequest && what == "decrypt" && says(err, "too old"):
		return k.trouble(err).WithAdvice("lower min_decryption_version of the key, rewrap the vendor keys, and only then raise it again")
	case code == http.StatusBadRequest && what == "decrypt":
		return &fault.Error{Kind: fault.Corrupt, Reason: "CORRUPT", Resource: k.ID(), Err: err,
			Message: "Vault cannot decrypt the wrapped key: it, or what it is bound to, is not what was wrapped"}
	case code == http.StatusForbidden:
		return k.trouble(err).WithAdvice("see that the token in %s is valid and that its policy allows %s/%s/%s", k.token.path, k.mount, what, k.key)
	case code == http.StatusNotFound:
		return k.trouble(err).WithAdvice("see that the engine is mounted and that the key is there: vault read %s/keys/%s", k.mount, k.key)
	case code == http.StatusServiceUnavailable:
		return k.trouble(err).WithAdvice("Vault is sealed or on standby: unseal it")
	}
	return k.trouble(err).WithAdvice("see that Vault at %s runs and can be reached", k.client.Address())
}

// says looks for words in what the server answered.
func says(err error, words string) bool {
	var r *api.ResponseError
	return errors.As(err, &r) && slices.ContainsFunc(r.Errors, func(s string) bool { return strings.Contains(s, words) })
}

func (k *KEK) trouble(err error) *fault.Error {
	return &fault.Error{Kind: fault.Unavailable, Reason: "UNAVAILABLE", Resource: k.ID(), Err: err,
		Message: "the key-encryption key " + k.ID() + " cannot be used now"}
}
