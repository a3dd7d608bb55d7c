package openpgp

import (
	"bytes"
	"crypto"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	pgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

// withSubkey makes a key with a subkey for signing.
func withSubkey(t testing.TB) *pgp.Entity {
	t.Helper()
	e := newKey(t, "owner", ed25519v4)
	if err := e.AddSigningSubkey(&packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, Time: at(born)}); err != nil {
		t.Fatal(err)
	}
	return e
}

// signing returns the subkey for signing.
func signing(e *pgp.Entity) *pgp.Subkey { return &e.Subkeys[len(e.Subkeys)-1] }

// rebind makes the subkey's binding anew, as change has it.
func rebind(t testing.TB, e *pgp.Entity, change func(*packet.Signature)) {
	t.Helper()
	sub := signing(e)
	change(sub.Bindings[0].Packet)
	if err := sub.Bindings[0].Packet.SignKey(sub.PublicKey, e.PrivateKey, &packet.Config{Time: at(born)}); err != nil {
		t.Fatal(err)
	}
}

// bytesOf is the certificate's packets.
func bytesOf(t testing.TB, e *pgp.Entity) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := e.Serialize(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestSubkeys(t *testing.T) {
	e, other := withSubkey(t), withSubkey(t)
	content := sign(t, e, document, packet.Config{})
	good := export(t, e)
	p := proveOne(t, content, document, holding("good", good))
	wantGood(t, p)
	if want := (&key{public: signing(e).PublicKey}).id(); p.KeyID != want {
		t.Errorf("%s, want the subkey %s", p.KeyID, want)
	}
	for name, c := range map[string]struct {
		change func(*packet.Signature)
		reason string
	}{
		"no cross-certification": {func(s *packet.Signature) { s.EmbeddedSignature = nil }, "missing cross-signature"},
		"another's":              {func(s *packet.Signature) { s.EmbeddedSignature = signing(other).Bindings[0].Packet.EmbeddedSignature }, "cross-signature"},
		"for encryption":         {func(s *packet.Signature) { s.FlagSign, s.FlagEncryptStorage = false, true }, "key flags do not let it sign"},
		"no flags":               {func(s *packet.Signature) { s.FlagsValid = false; s.FlagSign = false }, "key flags do not let it sign"},
		"a critical notation": {func(s *packet.Signature) {
			s.Notations = []*packet.Notation{{Name: "odd@example.org", IsCritical: true}}
		},
			"odd@example.org"},
	} {
		t.Run(name, func(t *testing.T) {
			changed := reread(t, e)
			rebind(t, changed, c.change)
			wantProblem(t, proveOne(t, content, document, holding("changed", export(t, changed))), c.reason)
		})
	}
}

// reread copies a certificate, with its private keys.
func reread(t testing.TB, e *pgp.Entity) *pgp.Entity {
	t.Helper()
	var b bytes.Buffer
	if err := e.SerializePrivateWithoutSigning(&b, nil); err != nil {
		t.Fatal(err)
	}
	list, err := pgp.ReadKeyRing(&b)
	if err != nil {
		t.Fatal(err)
	}
	return list[0]
}

func TestSubkeyOfAnother(t *testing.T) {
	e, thief := withSubkey(t), withSubkey(t)
	thief.Subkeys = append(thief.Subkeys, *signing(e)) // with the binding by its owner
	wantProblem(t, proveOne(t, sign(t, e, document, packet.Config{}), document, holding("thief", export(t, thief))), "not well bound")
}

func TestPrimaryForCertificationOnly(t *testing.T) {
	e := newKey(t, "certifier", ed25519v4)
	content := sign(t, e, document, packet.Config{})
	for _, id := range e.Identities {
		sig := id.SelfCertifications[0].Packet
		sig.FlagSign = false
		if err := sig.SignUserId(id.Name, e.PrimaryKey, e.PrivateKey, &packet.Config{Time: at(born)}); err != nil {
			t.Fatal(err)
		}
	}
	wantProblem(t, proveOne(t, content, document, holding("e", export(t, e))), "key flags do not let it sign")
}

func TestRevocations(t *testing.T) {
	e, other := withSubkey(t), newKey(t, "other", ed25519v4)
	content := sign(t, e, document, packet.Config{})
	for name, c := range map[string]struct {
		reason      packet.ReasonForRevocation
		compromised bool
	}{"no reason": {packet.NoReason, true}, "compromised": {packet.KeyCompromised, true}, "unknown": {packet.Unknown, true},
		"of a user id": {packet.UserIDNotValid, true}, "superseded": {packet.KeySuperseded, false}, "retired": {packet.KeyRetired, false}} {
		t.Run(name, func(t *testing.T) {
			then, changed := born.Add(48*time.Hour), reread(t, e)
			if err := changed.Revoke(c.reason, "said so", &packet.Config{Time: at(then)}); err != nil {
				t.Fatal(err)
			}
			p := proveOne(t, content, document, holding("e", export(t, changed)))
			wantGood(t, p)
			if !p.Life.Revoked.Equal(then) || p.Life.Compromised != c.compromised {
				t.Errorf("%+v", p.Life)
			}
		})
	}
	if err := other.Revoke(packet.KeyRetired, "", &packet.Config{Time: at(born)}); err != nil {
		t.Fatal(err)
	}
	mixed := reread(t, e)
	mixed.Revocations = other.Revocations
	wantProblem(t, proveOne(t, content, document, holding("e", export(t, mixed))), "revocation that is not by the key itself")
}

// TestUnreadableRevocations makes sure that no revocation is lost because it is old, or stands in an odd place.
func TestUnreadableRevocations(t *testing.T) {
	e := newKey(t, "e", ed25519v4)
	content := sign(t, e, document, packet.Config{})
	revoked := reread(t, e)
	if err := revoked.Revoke(packet.KeyRetired, "", &packet.Config{Time: at(born)}); err != nil {
		t.Fatal(err)
	}
	var revocation bytes.Buffer
	if err := revoked.Revocations[0].Packet.Serialize(&revocation); err != nil {
		t.Fatal(err)
	}
	atEnd := append(bytesOf(t, e), revocation.Bytes()...)
	if p := proveOne(t, content, document, holding("e", wrap(t, "PGP PUBLIC KEY BLOCK", atEnd))); p.Life.Revoked.IsZero() {
		t.Errorf("%+v, want it to be revoked", p)
	}
	for name, odd := range map[string][]byte{"version 3": {0x88, 7, 3, 5, 0x20, 0, 0, 0, 0}, "MD5": {0x88, 6, 4, 0x20, 22, 1, 0, 0}, "cut off": {0x88, 2, 4, 0x20}} {
		ring := holding("e", wrap(t, "PGP PUBLIC KEY BLOCK", append(bytesOf(t, e), odd...)))
		t.Run(name, func(t *testing.T) {
			wantProblem(t, proveOne(t, content, document, ring), "revocation that cannot be read")
		})
	}
	_, err := New([]anchor.Anchor{holding("alone", export(t, e), wrap(t, "PGP PUBLIC KEY BLOCK", revocation.Bytes()))})
	if err == nil || !strings.Contains(err.Error(), "must be imported") {
		t.Errorf("%v", err)
	}
}

func TestUserIDs(t *testing.T) {
	e := newKey(t, "first", ed25519v4)
	if err := e.AddUserId("second", "", "", &packet.Config{Time: at(born.Add(time.Minute))}); err != nil {
		t.Fatal(err)
	}
	content := sign(t, e, document, packet.Config{})
	signer := func() string {
		return strings.TrimSuffix(proveOne(t, content, document, holding("e", export(t, e))).Signer, fingerprint(e))
	}
	if got := signer(); got != "first <first@example.org>, " {
		t.Errorf("%q, want the one that is marked as primary", got)
	}
	revokeID(t, e, "first <first@example.org>")
	if got := signer(); got != "second, " {
		t.Errorf("%q, want the one that is left", got)
	}
	revokeID(t, e, "second")
	if got := signer(); got != "" {
		t.Errorf("%q, want none", got)
	}
	p := proveOne(t, content, document, holding("e", export(t, e)))
	wantGood(t, p)
	if !p.Life.Revoked.IsZero() {
		t.Errorf("%+v: no key is revoked", p.Life)
	}
}

func revokeID(t *testing.T, e *pgp.Entity, name string) {
	t.Helper()
	id := e.Identities[name]
	sig := &packet.Signature{Version: 4, SigType: packet.SigTypeCertificationRevocation, PubKeyAlgo: e.PrimaryKey.PubKeyAlgo, Hash: crypto.SHA256,
		CreationTime: born.Add(time.Hour), IssuerKeyId: &e.PrimaryKey.KeyId}
	if err := sig.SignUserId(name, e.PrimaryKey, e.PrivateKey, nil); err != nil {
		t.Fatal(err)
	}
	id.Revocations = append(id.Revocations, packet.NewVerifiableSig(sig))
}

func TestSHA1SelfSignature(t *testing.T) {
	e := newKey(t, "old", ed25519v4)
	content := sign(t, e, document, packet.Config{})
	for _, id := range e.Identities {
		sig := id.SelfCertifications[0].Packet
		sig.Hash = crypto.SHA1
		if err := sig.SignUserId(id.Name, e.PrimaryKey, e.PrivateKey, &packet.Config{NonDeterministicSignaturesViaNotation: packet.BoolPointer(false)}); err != nil {
			t.Fatal(err)
		}
	}
	p := proveOne(t, content, document, holding("e", export(t, e)))
	wantGood(t, p)
	if len(p.Weak) > 0 || len(p.Notes) != 1 || !strings.Contains(p.Notes[0], "by SHA-1") {
		t.Errorf("%+v", p)
	}
}

func TestNoSelfSignature(t *testing.T) {
	e, other := newKey(t, "e", ed25519v4), newKey(t, "e", ed25519v4)
	content := sign(t, e, document, packet.Config{})
	for name, id := range e.Identities { // signed by somebody else in its name
		id.SelfCertifications[0].Packet.IssuerKeyId = &e.PrimaryKey.KeyId
		if err := id.SelfCertifications[0].Packet.SignUserId(name, e.PrimaryKey, other.PrivateKey, nil); err != nil {
			t.Fatal(err)
		}
	}
	wantProblem(t, proveOne(t, content, document, holding("e", export(t, e))), "no good self-signature")
}

func TestLives(t *testing.T) {
	early, late := born, born.Add(time.Hour)
	for name, c := range map[string]struct{ got, want proof.Life }{
		"soft, then hard":    {revoked(revoked(proof.Life{}, early, false), late, true), proof.Life{Revoked: late, Compromised: true}},
		"hard, then soft":    {revoked(revoked(proof.Life{}, late, true), early, false), proof.Life{Revoked: late, Compromised: true}},
		"the earlier of two": {revoked(revoked(proof.Life{}, late, false), early, false), proof.Life{Revoked: early}},
	} {
		if c.got != c.want {
			t.Errorf("%s: %+v, want %+v", name, c.got, c.want)
		}
	}
}

func TestHard(t *testing.T) {
	retired := packet.KeyRetired
	if !hard(&packet.Signature{}) || hard(&packet.Signature{RevocationReason: &retired}) {
		t.Error("a revocation without reason may be for any; one of a retired key is not")
	}
}

func TestNewest(t *testing.T) {
	old, young := &packet.Signature{CreationTime: born}, &packet.Signature{CreationTime: born.Add(time.Second)}
	fine := func(*packet.Signature) error { return nil }
	for _, list := range [][]*packet.Signature{{old, young}, {young, old}} {
		if got, err := newest(list, fine); got != young || err != nil {
			t.Errorf("%+v, %v", got, err)
		}
	}
}

// TestYoungerPrimary is of a subkey that was older than the primary key that it went below.
func TestYoungerPrimary(t *testing.T) {
	sub, primary := key{life: proof.Life{From: born}}, key{life: proof.Life{From: born.Add(time.Hour)}}
	if sub.inherit(&primary); !sub.life.From.Equal(primary.life.From) {
		t.Errorf("%+v", sub.life)
	}
}
