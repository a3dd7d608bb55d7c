package attest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/countersign-escrow/countersign/escrow/digest"
)

func signed(t testing.TB, s Statement) (*Envelope, *ecdsa.PrivateKey) {
	t.Helper()
	key := newKey(t)
	signer, err := NewSigner(key)
	check(t, err)
	e, err := signer.Sign(t.Context(), s)
	check(t, err)
	return e, key
}

func TestEnvelopeRoundTrip(t *testing.T) {
	e, key := signed(t, comparison())
	back, err := ParseEnvelope(e.JSON())
	check(t, err)
	check(t, back.VerifyKey(key.Public()))
	if !bytes.Equal(back.Payload(), e.Payload()) || back.PayloadDigest() != digest.Of(e.Payload()) || !bytes.Equal(back.JSON(), e.JSON()) {
		t.Errorf("read back as %s", back.JSON())
	}
	s, err := back.Statement()
	check(t, err)
	if !s.Has(artifact.Digest) || s.Has(digest.Of(nil)) {
		t.Errorf("%+v", s)
	}
	if err := back.VerifyKey(newKey(t).Public()); err == nil {
		t.Error("signed with another key")
	}
}

// The text to be signed, as the DSSE specification's example has it but for the payload type.
func TestPAE(t *testing.T) {
	e := &Envelope{payload: []byte("hello world")}
	want := digest.Of([]byte("DSSEv1 28 application/vnd.in-toto+json 11 hello world"))
	if got := e.paeDigest(); !bytes.Equal(got[:], want.Bytes()) {
		t.Errorf("%x, want %s", got, want)
	}
}

func TestParseEnvelopeRefuses(t *testing.T) {
	e, _ := signed(t, receipt())
	good := string(e.JSON())
	long := base64.StdEncoding.EncodeToString(make([]byte, maxSignatureBytes+1))
	for name, change := range map[string][2]string{
		"an unknown field":     {`{"payloadType"`, `{"more":1,"payloadType"`},
		"a field twice":        {`{"payloadType"`, `{"payloadType":"x","payloadType"`},
		"a field in capitals":  {`"payload":`, `"Payload":`},
		"another payload type": {"in-toto+json", "in-toto+xml"},
		"no signature":         {`"signatures":[{`, `"signatures":[],"x":[{`},
		"an empty signature":   {`"sig":"`, `"sig":"","x":"`},
		"two signatures":       {`"signatures":[`, `"signatures":[{"sig":"AAAA"},`},
		"a long signature":     {`"sig":"`, `"sig":"` + long},
		"a key id":             {`"sig":"`, `"keyid":"x","sig":"`},
		"no payload":           {`"payload":"`, `"payload":"","x":"`},
		"something after it":   {`}]}`, `}]}{}`},
		"cut short":            {`}]}`, `}]`},
	} {
		bad := strings.Replace(good, change[0], change[1], 1)
		if bad == good {
			t.Fatalf("%s: the envelope has no %q", name, change[0])
		}
		if got, err := ParseEnvelope([]byte(bad)); err == nil {
			t.Errorf("%s: %s", name, got.JSON())
		}
	}
	if _, err := ParseEnvelope(make([]byte, MaxBundleBytes+1)); err == nil {
		t.Error("an envelope without end")
	}
}

func TestNewSignerRefusesOtherKeys(t *testing.T) {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	check(t, err)
	_, ed, err := ed25519.GenerateKey(nil)
	check(t, err)
	for _, key := range []crypto.Signer{nil, p384, ed} {
		if _, err := NewSigner(key); err == nil {
			t.Errorf("took a %T", key)
		}
	}
}

func FuzzParseEnvelope(f *testing.F) {
	e, key := signed(f, receipt())
	f.Add(e.JSON())
	f.Add([]byte(`{"payloadType":"application/vnd.in-toto+json","payload":"e30=","signatures":[{"sig":"AAAA"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := ParseEnvelope(b)
		if err != nil {
			return
		}
		back, err := ParseEnvelope(got.JSON())
		if err != nil || !bytes.Equal(back.JSON(), got.JSON()) {
			t.Errorf("%s read back as %v, %v", got.JSON(), back, err)
		}
		_, _ = got.Statement()
		if got.VerifyKey(key.Public()) == nil && !bytes.Equal(got.Payload(), e.Payload()) {
			t.Errorf("a statement that nobody signed: %s", got.Payload())
		}
	})
}

func FuzzDecodeStatement(f *testing.F) {
	for _, s := range []Statement{receipt(), comparison(), report()} {
		b, err := s.Marshal()
		check(f, err)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := decodeStatement(b)
		if err != nil {
			return
		}
		again, err := Statement{d.Subjects, d.PredicateType, d.Predicate}.Marshal()
		if err != nil {
			t.Fatalf("%q was read and cannot be written: %v", b, err)
		}
		if _, err := decodeStatement(again); err != nil {
			t.Errorf("%q was written as %q: %v", b, again, err)
		}
	})
}
