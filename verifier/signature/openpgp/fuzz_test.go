package openpgp

import (
	"bytes"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
)

// fuzzed makes sure that whatever a signature file is, there is a verdict, and a good one only over what was signed.
func fuzzed(t *testing.T, v *Verifier, content, of []byte) (good bool) {
	list, err := v.Prove(t.Context(), content, file(of))
	if err != nil || len(list) == 0 {
		t.Fatalf("%+v, %v", list, err)
	}
	for _, p := range list {
		good = good || p.Problem == ""
		if (p.Problem == "") != (len(p.Anchors) > 0) || len(p.Problem) > 500 {
			t.Errorf("%+v", p)
		}
	}
	return good
}

func FuzzSignature(f *testing.F) {
	e, other := newKey(f, "e", ed25519v4), newKey(f, "v6", ed25519v6)
	v, err := New([]anchor.Anchor{holding("e", export(f, e)), holding("v6", export(f, other))})
	if err != nil {
		f.Fatal(err)
	}
	one, two := sign(f, e, document, packet.Config{}), sign(f, other, document, packet.Config{})
	for _, b := range [][]byte{one, two, append(bytes.Clone(one), two...), []byte(wrap(f, "PGP SIGNATURE", one)), []byte(clearSign(f, e, "text\n"))} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		DetectSignature(b)
		fuzzed(t, v, b, document)
		if fuzzed(t, v, b, []byte("not what was signed")) && !DetectClearsigned(b) {
			t.Errorf("good over something else: %q", b)
		}
	})
}

func FuzzClearsigned(f *testing.F) {
	e := newKey(f, "e", ed25519v4)
	v, err := New([]anchor.Anchor{holding("e", export(f, e))})
	if err != nil {
		f.Fatal(err)
	}
	const text = "- a text\n-of \t\n\nlines\n"
	signed := clearSign(f, e, text)
	f.Add([]byte(signed))
	f.Add([]byte("before\n" + signed + "after"))
	f.Add([]byte(clearSign(f, newKey(f, "v6", ed25519v6), text)))
	f.Fuzz(func(t *testing.T, b []byte) {
		b = append([]byte(beginText+"\n"), b...)
		fuzzed(t, v, b, nil)
		whole, err := readText(b)
		if err != nil {
			return
		}
		theirs, _ := clearsign.Decode(b[len(whole.before):])
		if theirs == nil || string(theirs.Plaintext)+"\n" != string(whole.signed) {
			t.Errorf("%q is read differently by the library", b)
		}
		if !bytes.HasPrefix(b, whole.before) || !bytes.HasSuffix(b, whole.after) {
			t.Errorf("%q: %q, %q", b, whole.before, whole.after)
		}
	})
}

func FuzzKeyRing(f *testing.F) {
	e := withSubkey(f)
	content := sign(f, e, document, packet.Config{})
	f.Add([]byte(export(f, e)), false)
	f.Add(bytesOf(f, e), true)
	f.Add(bytesOf(f, newKey(f, "v6", ed25519v6)), true)
	f.Add(bytesOf(f, newKey(f, "p256", p256)), true)
	f.Fuzz(func(t *testing.T, b []byte, armour bool) {
		if armour {
			b = []byte(wrap(t, "PGP PUBLIC KEY BLOCK", b))
		}
		a := holding("fuzzed", string(b))
		v, err := New([]anchor.Anchor{a})
		if err != nil && len(v.ring.keys) > 0 {
			t.Errorf("keys of an anchor that was left out: %v", err)
		}
		fuzzed(t, v, content, document)
		if text, err := Describe(a); len(text) >= 200 || err == nil && text == "" {
			t.Errorf("%q", text)
		}
	})
}
