package openpgp

import (
	"bytes"
	"crypto/dsa" //nolint:staticcheck // deprecated for signing; here it is refused
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	pgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
)

func TestRefusedKeyRings(t *testing.T) {
	e := newKey(t, "e", ed25519v4)
	public := bytesOf(t, e)
	var private bytes.Buffer
	if err := e.SerializePrivateWithoutSigning(&private, nil); err != nil {
		t.Fatal(err)
	}
	v3 := append([]byte{0x98, 8, 3, 0, 0, 0, 0, 0, 0, 1}, public...)
	many := func(n int, tag byte) []byte { // packets of one byte
		return append(bytes.Clone(public), bytes.Repeat([]byte{0xc0 | tag, 1, 'x'}, n)...)
	}
	for name, c := range map[string]struct{ material, reason string }{
		"binary":              {string(public), "gpg --armor"},
		"nothing":             {"", "gpg --armor"},
		"private":             {wrap(t, "PGP PRIVATE KEY BLOCK", private.Bytes()), "private key"},
		"private in disguise": {wrap(t, "PGP PUBLIC KEY BLOCK", private.Bytes()), "private key"},
		"private subkey":      {wrap(t, "PGP PUBLIC KEY BLOCK", append(bytes.Clone(public), private.Bytes()...)), "private key"},
		"signature":           {wrap(t, "PGP SIGNATURE", sign(t, e, document, packet.Config{})), "not a PGP PUBLIC KEY BLOCK"},
		"cut off":             {export(t, e)[:300], "cut off"},
		"one good, one bad":   {export(t, e) + wrap(t, "PGP PUBLIC KEY BLOCK", public[:100]), "block 2: packet"},
		"version 3":           {wrap(t, "PGP PUBLIC KEY BLOCK", v3), "another version"},
		"compressed":          {wrap(t, "PGP PUBLIC KEY BLOCK", append(bytes.Clone(public), 0xc8, 1, 0)), "type 8"},
		"many certificates":   {strings.Repeat(export(t, e), maxCertificates+1), "more than 64 certificates"},
		"many subkeys":        {wrap(t, "PGP PUBLIC KEY BLOCK", bytes.Join([][]byte{public, bytes.Repeat(subkeyOf(t, e), maxSubkeys)}, nil)), "more than 32 subkeys"},
		"many user ids":       {wrap(t, "PGP PUBLIC KEY BLOCK", many(maxUserIDs, tagUserID)), "more than 64 user ids"},
		"many packets":        {wrap(t, "PGP PUBLIC KEY BLOCK", many(maxPackets, tagMarker)), "more than 8192 packets"},
		"long":                {strings.Repeat(" ", anchor.MaxMaterial+1), "at most"},
		"long header":         {"-----BEGIN PGP PUBLIC KEY BLOCK-----\nComment: " + strings.Repeat("x", maxArmourLine) + "\n", "armour is broken"},
		"loose revocation":    {wrap(t, "PGP PUBLIC KEY BLOCK", append(bytes.Clone(public[:withoutSubkey(t, public)]), 0x88, 2, 4, 0x28)), "follows none"},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := New([]anchor.Anchor{holding("x", c.material)})
			if v == nil || err == nil || !strings.Contains(err.Error(), c.reason) || !strings.Contains(err.Error(), "organizations/o/trustAnchors/x") {
				t.Errorf("%v, want %s", err, c.reason)
			}
		})
	}
}

// subkeyOf returns the packet of the first subkey.
func subkeyOf(t *testing.T, e *pgp.Entity) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := e.Subkeys[0].PublicKey.Serialize(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// withoutSubkey returns where the first subkey is.
func withoutSubkey(t *testing.T, b []byte) int {
	t.Helper()
	packets, err := split(b, maxPackets)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, p := range packets {
		if p.Tag == tagPublicSubkey {
			return n
		}
		var one bytes.Buffer
		if err := p.Serialize(&one); err != nil {
			t.Fatal(err)
		}
		n += one.Len()
	}
	return n
}

func TestSeveralBlocks(t *testing.T) {
	a, b := newKey(t, "a", ed25519v4), newKey(t, "b", ed25519v6)
	ring := holding("both", "The keys of the vendor:\n", export(t, a), "and\n", export(t, b), "\n")
	for _, e := range []*pgp.Entity{a, b} {
		wantGood(t, proveOne(t, sign(t, e, document, packet.Config{}), document, ring))
	}
}

// TestWhoHoldsASubkey makes sure that an anchor with an old copy of a certificate does not vouch for a subkey that it does not have.
func TestWhoHoldsASubkey(t *testing.T) {
	e := withSubkey(t)
	now := export(t, e)
	content := sign(t, e, document, packet.Config{})
	e.Subkeys = e.Subkeys[:1]
	p := proveOne(t, content, document, holding("old", export(t, e)), holding("new", now))
	if len(p.Anchors) != 1 || !strings.HasSuffix(p.Anchors[0].Name, "new") {
		t.Errorf("%+v", p)
	}
}

func TestStrength(t *testing.T) {
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	bits := func(n uint) *big.Int { return new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), n), big.NewInt(1)) }
	dsaKey := func(p, q uint) *packet.PublicKey {
		return packet.NewDSAPublicKey(born, &dsa.PublicKey{Parameters: dsa.Parameters{P: bits(p), Q: bits(q), G: big.NewInt(2)}, Y: big.NewInt(2)})
	}
	rsaKey := func(n uint) *packet.PublicKey {
		return packet.NewRSAPublicKey(born, &rsa.PublicKey{N: bits(n), E: 65537})
	}
	for i, c := range []struct {
		key     *packet.PublicKey
		problem string
	}{
		{dsaKey(1024, 160), "DSA key is too weak"}, {dsaKey(2048, 160), "DSA key is too weak"}, {dsaKey(2048, 4096), "DSA key is too weak"},
		{dsaKey(2048, 256), ""}, {packet.NewRSAPublicKey(born, &short.PublicKey), ""}, {rsaKey(1023), "1023 bits"}, {rsaKey(20000), "8192 at most"},
	} {
		if got := strength(c.key); got != c.problem && (c.problem == "" || !strings.Contains(got, c.problem)) {
			t.Errorf("%d: %q, want %q", i, got, c.problem)
		}
	}
}

func ExampleDescribe() {
	_, err := Describe(anchor.Anchor{Name: "organizations/acme/trustAnchors/release", Material: "not a key"})
	fmt.Println(err)
	// Output: trust anchor organizations/acme/trustAnchors/release: the OpenPGP key ring: has no armour: export it with gpg --armor --export FINGERPRINT
}
