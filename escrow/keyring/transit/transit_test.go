package transit

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

func mustOpen(t *testing.T, cfg Config) *KEK {
	t.Helper()
	k, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func wantKind(t *testing.T, err error, kind fault.Kind, text string) {
	t.Helper()
	if !fault.Is(err, kind) || !strings.Contains(err.Error(), text) {
		t.Fatalf("%v; want a fault of kind %d with %q", err, kind, text)
	}
}

// wrapAndUnwrap is what any server must do.
func wrapAndUnwrap(t *testing.T, k *KEK) {
	t.Helper()
	key, bound := bytes.Repeat([]byte{7}, 32), []byte("organizations/acme")
	wrapped, err := k.Wrap(t.Context(), key, bound)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(wrapped, key) {
		t.Error("the key is in the clear")
	}
	got, err := k.Unwrap(t.Context(), wrapped, bound)
	if err != nil || !bytes.Equal(got, key) {
		t.Fatalf("%x, %v", got, err)
	}
	_, err = k.Unwrap(t.Context(), wrapped, []byte("organizations/other"))
	wantKind(t, err, fault.Corrupt, "cannot decrypt")
	last := bytes.Clone(wrapped)
	last[len(last)-8] ^= 1
	for _, bad := range [][]byte{last, wrapped[:len(wrapped)-8], []byte("vault:v1:"), []byte("vault:v9:AAAA"), nil, []byte("else"),
		append(bytes.Clone(wrapped), make([]byte, maxWrappedBytes)...)} {
		_, err := k.Unwrap(t.Context(), bad, bound)
		wantKind(t, err, fault.Corrupt, "")
	}
}

func TestWrapAndUnwrap(t *testing.T) {
	f := newFake(t)
	k := mustOpen(t, f.config(t))
	wrapAndUnwrap(t, k)
	if k.ID() != "vault:transit/escrow" {
		t.Errorf("the id is %s", k.ID())
	}
}

func TestVersions(t *testing.T) {
	f := newFake(t)
	k := mustOpen(t, f.config(t))
	old, err := k.Wrap(t.Context(), []byte("key"), nil)
	if err != nil {
		t.Fatal(err)
	}
	f.set(func() { f.keys["escrow"].rotate(t) })
	if got, err := k.Unwrap(t.Context(), old, nil); err != nil || string(got) != "key" {
		t.Fatalf("after a rotation: %q, %v", got, err)
	}
	next, err := k.Wrap(t.Context(), []byte("key"), nil)
	if err != nil || !bytes.HasPrefix(next, []byte("vault:v2:")) {
		t.Fatalf("%s, %v: not wrapped by the newest version", next, err)
	}
	f.set(func() { f.keys["escrow"].oldest = 2 })
	_, err = k.Unwrap(t.Context(), old, nil)
	wantKind(t, err, fault.Unavailable, "min_decryption_version")
}

func TestUnfitKeys(t *testing.T) {
	f := newFake(t)
	for name, change := range map[string]struct {
		field string
		value any
		text  string
	}{
		"rsa":        {"type", "rsa-2048", "is of the type rsa-2048"},
		"derived":    {"derived", true, "derived"},
		"exportable": {"exportable", true, "exported"},
		"backup":     {"allow_plaintext_backup", true, "exported"},
		"deletable":  {"deletion_allowed", true, "deletion_allowed=false"},
	} {
		about := map[string]any{"type": "aes256-gcm96", "derived": false, "exportable": false, "deletion_allowed": false}
		about[change.field] = change.value
		f.add(t, name, about)
		cfg := f.config(t)
		cfg.Key = name
		_, err := Open(t.Context(), cfg)
		wantKind(t, err, fault.Precondition, change.text)
	}
	cfg := f.config(t)
	cfg.Key = "missing"
	_, err := Open(t.Context(), cfg)
	wantKind(t, err, fault.Unavailable, "vault read transit/keys/missing")
}

func TestToken(t *testing.T) {
	f := newFake(t)
	cfg := f.config(t)
	k := mustOpen(t, cfg)
	f.set(func() { f.tokens = map[string]bool{"newer": true} })
	_, err := k.Wrap(t.Context(), []byte("key"), nil)
	wantKind(t, err, fault.Unavailable, cfg.TokenFile)
	writeFile(t, cfg.TokenFile, "newer")
	if _, err := k.Wrap(t.Context(), []byte("key"), nil); err != nil {
		t.Fatalf("after the file has changed: %v", err)
	}

	// The same length within the file system's clock tick looks unchanged: only the refusal tells.
	info, err := os.Stat(cfg.TokenFile)
	if err != nil {
		t.Fatal(err)
	}
	f.set(func() { f.tokens = map[string]bool{"third": true} })
	writeFile(t, cfg.TokenFile, "third")
	if err := os.Chtimes(cfg.TokenFile, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Wrap(t.Context(), []byte("key"), nil); err != nil {
		t.Fatalf("after a refusal: %v", err)
	}
	os.Remove(cfg.TokenFile)
	_, err = k.Wrap(t.Context(), []byte("key"), nil)
	wantKind(t, err, fault.Invalid, "token file")
	writeFile(t, cfg.TokenFile, " \n")
	_, err = Open(t.Context(), cfg)
	wantKind(t, err, fault.Invalid, "is empty")
}

func TestTroubles(t *testing.T) {
	f := newFake(t)
	cfg := f.config(t)
	k := mustOpen(t, cfg)
	f.set(func() { f.fail = 2 })
	if _, err := k.Wrap(t.Context(), []byte("key"), nil); err != nil {
		t.Errorf("two internal errors are not waited out: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := k.Wrap(ended, []byte("key"), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("in a context that has ended: %v", err)
	}
	f.set(func() { f.sealed = true })
	_, err := k.Wrap(t.Context(), []byte("key"), nil)
	wantKind(t, err, fault.Unavailable, "unseal it")
	f.Close()
	_, err = k.Wrap(t.Context(), []byte("key"), nil)
	wantKind(t, err, fault.Unavailable, "see that Vault at https://127.0.0.1")
}

func TestConfig(t *testing.T) {
	f := newFake(t)
	good := f.config(t)
	strangers := good
	strangers.CAFile = ""
	_, err := Open(t.Context(), strangers)
	wantKind(t, err, fault.Unavailable, "certificate")
	for text, change := range map[string]func(*Config){
		"no TLS":                 func(c *Config) { c.Address = "http://127.0.0.1:1" },
		"not https://host":       func(c *Config) { c.Address = "127.0.0.1:8200" },
		"the path of an engine":  func(c *Config) { c.Mount = "/transit" },
		"the name of a key":      func(c *Config) { c.Key = "../keys/x" },
		"CA file":                func(c *Config) { c.CAFile = filepath.Join(t.TempDir(), "none") },
		"no PEM certificate":     func(c *Config) { c.CAFile = c.TokenFile },
		"write a Vault token in": func(c *Config) { c.TokenFile = filepath.Join(t.TempDir(), "none") },
	} {
		c := good
		change(&c)
		_, err := Open(t.Context(), c)
		wantKind(t, err, fault.Invalid, text)
	}
}

// The environment of the process has no say: not in what is trusted, nor in whose token is sent.
func TestEnvironmentIsIgnored(t *testing.T) {
	f := newFake(t)
	cfg := f.config(t)
	t.Setenv("VAULT_SKIP_VERIFY", "true")
	t.Setenv("VAULT_TOKEN", "of the environment")
	t.Setenv("VAULT_ADDR", "https://127.0.0.1:1")
	t.Setenv("VAULT_NAMESPACE", "other")
	wrapAndUnwrap(t, mustOpen(t, cfg))
	cfg.CAFile = ""
	begun := time.Now()
	_, err := Open(t.Context(), cfg)
	wantKind(t, err, fault.Unavailable, "certificate")
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("a refused certificate took %v", took)
	}
}
