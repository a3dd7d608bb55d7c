package openpgp

import (
	"bytes"
	"crypto"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	pgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

var born = time.Date(2024, 2, 1, 0, 0, 0, 0, time.UTC)

func at(t time.Time) func() time.Time { return func() time.Time { return t } }

// newKey makes a key that was born at born.
func newKey(t testing.TB, name string, c packet.Config) *pgp.Entity {
	t.Helper()
	c.Time = at(born)
	e, err := pgp.NewEntity(name, "", name+"@example.org", &c)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

var (
	ed25519v4 = packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, Curve: packet.Curve25519}
	ed25519v6 = packet.Config{Algorithm: packet.PubKeyAlgoEd25519, V6Keys: true}
	p256      = packet.Config{Algorithm: packet.PubKeyAlgoECDSA, Curve: packet.CurveNistP256}
	rsa4096   = packet.Config{Algorithm: packet.PubKeyAlgoRSA, RSABits: 4096}
)

func wrap(t testing.TB, label string, b []byte) string {
	t.Helper()
	var out bytes.Buffer
	w, err := armor.Encode(&out, label, map[string]string{"Comment": "nothing of this counts"})
	if err != nil {
		t.Fatal(err)
	}
	w.Write(b)
	w.Close()
	return out.String() + "\n"
}

func export(t testing.TB, e *pgp.Entity) string {
	t.Helper()
	var b bytes.Buffer
	if err := e.Serialize(&b); err != nil {
		t.Fatal(err)
	}
	return wrap(t, "PGP PUBLIC KEY BLOCK", b.Bytes())
}

func holding(name string, material ...string) anchor.Anchor {
	return anchor.Anchor{Name: "organizations/o/trustAnchors/" + name, Kind: anchor.OpenPGP, Material: strings.Join(material, "\n")}
}

// sign makes a binary detached signature an hour after the key was born, or as c says.
func sign(t testing.TB, e *pgp.Entity, content []byte, c packet.Config) []byte {
	t.Helper()
	if c.Time == nil {
		c.Time = at(born.Add(time.Hour))
	}
	var b bytes.Buffer
	if err := pgp.DetachSign(&b, []*pgp.Entity{e}, bytes.NewReader(content), &c); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// clearSign writes it as gpg does: the end of the last line is no part of what is signed. The library takes it for an empty line more.
func clearSign(t testing.TB, e *pgp.Entity, text string) string {
	t.Helper()
	var b bytes.Buffer
	w, err := clearsign.Encode(&b, e.PrivateKey, &packet.Config{DefaultHash: crypto.SHA512, Time: at(born.Add(time.Hour))})
	if err != nil {
		t.Fatal(err)
	}
	w.Write([]byte(strings.TrimSuffix(text, "\n")))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String() + "\n"
}

func file(b []byte) proof.File { return proof.Bytes(proof.Artifact, "file", b) }

// proveOne returns the only proof of a signature file.
func proveOne(t testing.TB, content []byte, of []byte, anchors ...anchor.Anchor) proof.Proof {
	t.Helper()
	list := proveAll(t, content, of, anchors...)
	if len(list) != 1 {
		t.Fatalf("%d proofs: %+v", len(list), list)
	}
	return list[0]
}

func proveAll(t testing.TB, content []byte, of []byte, anchors ...anchor.Anchor) []proof.Proof {
	t.Helper()
	v, err := New(anchors)
	if err != nil {
		t.Fatal(err)
	}
	list, err := v.Prove(t.Context(), content, file(of))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// wantProblem makes sure that nothing is proved, for that reason.
func wantProblem(t testing.TB, p proof.Proof, reason string) {
	t.Helper()
	if !strings.Contains(p.Problem, reason) || reason == "" || len(p.Problem) > 500 || len(p.Anchors) > 0 || p.Signed != nil {
		t.Errorf("%+v, want a problem: %s", p, reason)
	}
}

func wantGood(t testing.TB, p proof.Proof) {
	t.Helper()
	if p.Problem != "" || len(p.Anchors) == 0 {
		t.Errorf("not good: %+v", p)
	}
}
