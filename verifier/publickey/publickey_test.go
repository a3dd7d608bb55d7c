package publickey

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"strings"
	"testing"
)

func keys(t testing.TB) map[string]crypto.PublicKey {
	t.Helper()
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ed, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]crypto.PublicKey{"P-256": &p256.PublicKey, "P-384": &p384.PublicKey, "Ed25519": ed}
}

func TestRoundTrip(t *testing.T) {
	ids := make(map[string]bool)
	for name, key := range keys(t) {
		text, err := PEM(key)
		if err != nil {
			t.Fatal(name, err)
		}
		back, err := Parse(text + "\n")
		if err != nil || !key.(interface{ Equal(crypto.PublicKey) bool }).Equal(back) {
			t.Errorf("%s: %s read back as %v, %v", name, text, back, err)
		}
		id, err := ID(key)
		if err != nil || len(id) != 64 || ids[id] {
			t.Errorf("%s: id %q, %v", name, id, err)
		}
		ids[id] = true
	}
}

func TestP256(t *testing.T) {
	all := keys(t)
	all["none"] = nil
	all["nil"] = (*ecdsa.PublicKey)(nil)
	for name, key := range all {
		if _, err := P256(key); (err == nil) != (name == "P-256") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	good, err := PEM(keys(t)["P-256"])
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"nothing":       "",
		"two keys":      good + good,
		"a private key": strings.ReplaceAll(good, "PUBLIC", "PRIVATE"),
		"damaged":       good[:40] + "AAAA" + good[44:],
		"too long":      good + strings.Repeat("\n", maxBytes),
	} {
		if key, err := Parse(text); err == nil {
			t.Errorf("%s: read as %v", name, key)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, key := range keys(f) {
		text, err := PEM(key)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		key, err := Parse(text)
		if err != nil {
			return
		}
		if _, err := ID(key); err != nil {
			t.Errorf("a key without an id: %v", err)
		}
	})
}
