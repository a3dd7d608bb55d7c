package signer

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/countersign-escrow/countersign/verifier/publickey"
)

// fakeVault speaks the two calls of Vault's transit engine that signing takes, as its HTTP API documents them, with a real key. It is a
// fake because no Vault server can be installed as a Go module.
func fakeVault(t *testing.T, key crypto.Signer) string {
	public := map[string]any{"public_key": publicOf(t, key)}
	if _, ok := key.(ed25519.PrivateKey); ok {
		public["name"] = "ed25519"
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/transit/keys/release", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{"latest_version": 2, "keys": map[string]any{"2": public}})
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, `{"errors":[]}`, http.StatusNotFound) })
	for suffix, hash := range map[string]crypto.Hash{"": 0, "/sha2-256": crypto.SHA256, "/sha2-384": crypto.SHA384, "/sha2-512": crypto.SHA512} {
		mux.HandleFunc("PUT /v1/transit/sign/release"+suffix, func(w http.ResponseWriter, r *http.Request) { transit(w, r, key, hash) })
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Vault-Token") != "good" {
			http.Error(w, `{"errors":["permission denied"]}`, http.StatusForbidden)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// publicOf is a public key as Vault tells it: PEM, or for Ed25519 its bytes in base64.
func publicOf(t *testing.T, key crypto.Signer) string {
	if public, ok := key.Public().(ed25519.PublicKey); ok {
		return base64.StdEncoding.EncodeToString(public)
	}
	text, err := publickey.PEM(key.Public())
	check(t, err)
	return text
}

// transit signs what is asked: a digest, or a message where there is no hash.
func transit(w http.ResponseWriter, r *http.Request, key crypto.Signer, hash crypto.Hash) {
	var in struct {
		Input     []byte `json:"input"`
		Prehashed bool   `json:"prehashed"`
	}
	err := json.NewDecoder(r.Body).Decode(&in)
	if err != nil || in.Prehashed != (hash != 0) || (hash != 0 && len(in.Input) != hash.Size()) {
		http.Error(w, `{"errors":["malformed"]}`, http.StatusBadRequest)
		return
	}
	sig, err := key.Sign(rand.Reader, in.Input, hash)
	if err != nil {
		http.Error(w, `{"errors":["cannot be signed"]}`, http.StatusBadRequest)
		return
	}
	answer(w, map[string]any{"signature": "vault:v2:" + base64.StdEncoding.EncodeToString(sig)})
}

func answer(w http.ResponseWriter, data map[string]any) {
	_ = json.NewEncoder(w).Encode(map[string]any{"data": data})
}

func TestVault(t *testing.T) {
	all := keys(t)
	t.Setenv("VAULT_TOKEN", "good")
	for sort, key := range all {
		t.Run(sort, func(t *testing.T) {
			t.Setenv("VAULT_ADDR", fakeVault(t, key))
			signs(t, "hashivault://release", key.Public())
		})
	}
	t.Setenv("VAULT_ADDR", fakeVault(t, all["P-256"]))
	fails(t, "hashivault://none", "hashivault://none", "could not read data", "VAULT_ADDR")
	fails(t, "hashivault://a/b", "should be in the format hashivault://<key>")
	t.Setenv("VAULT_TOKEN", "bad")
	fails(t, "hashivault://release", "hashivault://release", "permission denied", "VAULT_TOKEN")
}

// fails tries to sign and looks for words in the error.
func fails(t *testing.T, key string, words ...string) {
	t.Helper()
	s, err := Open(key, noAsk)
	check(t, err)
	_, err = s.Sign(t.Context(), content)
	for _, want := range words {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", key, err, want)
		}
	}
}
