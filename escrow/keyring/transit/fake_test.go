package transit

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// fake speaks the part of Vault's HTTP API that is documented for the transit engine, with real AES-256-GCM. It is a fake because no
// Vault server can be installed as a Go module: HashiCorp's needs modules of its own repository that are not published as it
// uses them. TestRealServer asks a real one where there is one.
type fake struct {
	*httptest.Server

	mu     sync.Mutex
	tokens map[string]bool
	keys   map[string]*fakeKey
	sealed bool
	fail   int // so many requests more end in an internal error
	calls  int
}

type fakeKey struct {
	about    map[string]any
	versions []cipher.AEAD
	oldest   int // that may still decrypt, from 1
}

func newFake(t *testing.T) *fake {
	f := &fake{tokens: map[string]bool{"good": true}, keys: map[string]*fakeKey{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/transit/keys/{key}", f.serve(func(k *fakeKey, _ map[string]string) (map[string]any, error) { return k.about, nil }))
	mux.HandleFunc("PUT /v1/transit/encrypt/{key}", f.serve((*fakeKey).encrypt))
	mux.HandleFunc("PUT /v1/transit/decrypt/{key}", f.serve((*fakeKey).decrypt))
	f.Server = httptest.NewTLSServer(mux)
	t.Cleanup(f.Close)
	f.add(t, "escrow", map[string]any{"type": "aes256-gcm96", "derived": false, "exportable": false, "deletion_allowed": false,
		"allow_plaintext_backup": false})
	return f
}

func (f *fake) add(t *testing.T, name string, about map[string]any) {
	k := &fakeKey{about: about, oldest: 1}
	k.rotate(t)
	f.keys[name] = k
}

func (f *fake) config(t *testing.T) Config {
	dir := t.TempDir()
	cfg := Config{Address: f.URL, Key: "escrow", TokenFile: filepath.Join(dir, "token"), CAFile: filepath.Join(dir, "ca.pem")}
	writeFile(t, cfg.TokenFile, "good\n")
	writeFile(t, cfg.CAFile, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.Certificate().Raw})))
	return cfg
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (f *fake) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *fake) serve(do func(*fakeKey, map[string]string) (map[string]any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.calls++
		key := f.keys[r.PathValue("key")]
		var body map[string]string
		switch {
		case f.sealed:
			refuse(w, http.StatusServiceUnavailable, "Vault is sealed")
		case f.fail > 0:
			f.fail--
			refuse(w, http.StatusInternalServerError, "internal error")
		case !f.tokens[r.Header.Get("X-Vault-Token")] || r.Header.Get("X-Vault-Request") != "true":
			refuse(w, http.StatusForbidden, "permission denied")
		case key == nil && r.Method == http.MethodGet:
			refuse(w, http.StatusNotFound)
		case key == nil:
			refuse(w, http.StatusBadRequest, "encryption key not found")
		case r.Method == http.MethodPut && json.NewDecoder(r.Body).Decode(&body) != nil:
			refuse(w, http.StatusBadRequest, "failed to parse JSON input")
		default:
			data, err := do(key, body)
			if err != nil {
				refuse(w, http.StatusBadRequest, err.Error())
				return
			}
			json.NewEncoder(w).Encode(map[string]any{"data": data})
		}
	}
}

func refuse(w http.ResponseWriter, code int, errors ...string) {
	w.WriteHeader(code)
	json.NewEncoder(w).Encode(map[string]any{"errors": append([]string{}, errors...)})
}

func (k *fakeKey) rotate(t *testing.T) {
	raw := make([]byte, 32)
	rand.Read(raw)
	block, err := aes.NewCipher(raw)
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		t.Fatal(err)
	}
	k.versions = append(k.versions, aead)
}

func (k *fakeKey) encrypt(body map[string]string) (map[string]any, error) {
	plain, err1 := base64.StdEncoding.DecodeString(body["plaintext"])
	bound, err2 := base64.StdEncoding.DecodeString(body["associated_data"])
	if err1 != nil || err2 != nil {
		return nil, fmt.Errorf("failed to base64-decode plaintext")
	}
	sealed := k.versions[len(k.versions)-1].Seal(nil, nil, plain, bound)
	return map[string]any{"ciphertext": fmt.Sprintf("vault:v%d:%s", len(k.versions), base64.StdEncoding.EncodeToString(sealed)),
		"key_version": len(k.versions)}, nil
}

func (k *fakeKey) decrypt(body map[string]string) (map[string]any, error) {
	version, text, ok := strings.Cut(strings.TrimPrefix(body["ciphertext"], "vault:v"), ":")
	n, err := strconv.Atoi(version)
	if !ok || err != nil || n < 1 || n > len(k.versions) {
		return nil, fmt.Errorf("invalid ciphertext: version is too new")
	}
	if n < k.oldest {
		return nil, fmt.Errorf("ciphertext or signature version is disallowed by policy (too old)")
	}
	sealed, err1 := base64.StdEncoding.DecodeString(text)
	bound, err2 := base64.StdEncoding.DecodeString(body["associated_data"])
	if err1 != nil || err2 != nil {
		return nil, fmt.Errorf("invalid ciphertext: could not decode base64")
	}
	plain, err := k.versions[n-1].Open(nil, nil, sealed, bound)
	if err != nil {
		return nil, err
	}
	return map[string]any{"plaintext": base64.StdEncoding.EncodeToString(plain)}, nil
}
