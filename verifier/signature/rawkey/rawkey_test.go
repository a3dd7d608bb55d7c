package rawkey

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strings"
	"testing"

	"github.com/countersign-escrow/countersign/verifier/publickey"
	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
	"github.com/countersign-escrow/countersign/verifier/signature/signaturetest"
)

var payload = []byte("what is signed\n")

func newECDSA(t testing.TB, curve elliptic.Curve) crypto.Signer {
	t.Helper()
	k, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func newRSA(t testing.TB, bits int) crypto.Signer {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func newEd25519(t testing.TB) crypto.Signer {
	t.Helper()
	_, k, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// sign hashes and signs as the options say.
func sign(t testing.TB, k crypto.Signer, opts crypto.SignerOpts, content []byte) []byte {
	t.Helper()
	if h := opts.HashFunc(); h != 0 {
		d := h.New()
		d.Write(content)
		content = d.Sum(nil)
	}
	sig, err := k.Sign(rand.Reader, content, opts)
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

func keyAnchor(t testing.TB, name string, k crypto.Signer) anchor.Anchor {
	t.Helper()
	text, err := publickey.PEM(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	return anchor.Anchor{Name: "organizations/o/trustAnchors/" + name, Kind: anchor.PublicKey, Purpose: anchor.Release, Material: text}
}

// schemes are all the ways in which a key may sign.
func schemes(t testing.TB) map[string]struct {
	key    crypto.Signer
	opts   crypto.SignerOpts
	digest bool // is enough
} {
	pss := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
	r := newRSA(t, 2048)
	return map[string]struct {
		key    crypto.Signer
		opts   crypto.SignerOpts
		digest bool
	}{
		"ECDSA with SHA-256":            {newECDSA(t, elliptic.P256()), crypto.SHA256, true},
		"ECDSA with SHA-256, P-384":     {newECDSA(t, elliptic.P384()), crypto.SHA256, true},
		"ECDSA with SHA-384":            {newECDSA(t, elliptic.P384()), crypto.SHA384, false},
		"ECDSA with SHA-512":            {newECDSA(t, elliptic.P521()), crypto.SHA512, false},
		"RSA PKCS #1 v1.5 with SHA-256": {r, crypto.SHA256, true},
		"RSA PSS with SHA-256":          {r, pss, true},
		"Ed25519":                       {newEd25519(t), crypto.Hash(0), false},
		"Ed25519ph":                     {newEd25519(t), &ed25519.Options{Hash: crypto.SHA512}, false},
	}
}

func TestPromises(t *testing.T) {
	for name, s := range schemes(t) {
		stranger := newECDSA(t, elliptic.P256())
		if _, ok := s.key.(ed25519.PrivateKey); ok {
			stranger = newEd25519(t)
		}
		raw := sign(t, s.key, s.opts, payload)
		text := []byte(base64.StdEncoding.EncodeToString(raw) + "\n")
		for form, c := range map[string]struct {
			content []byte
			bytes   []int
		}{"base64": {text, []int{3, 20, 61, 70}}, "binary": {raw, []int{0, 1, 10, len(raw) / 2, len(raw) - 1}}} {
			t.Run(name+"/"+form, func(t *testing.T) {
				signaturetest.Run(t, signaturetest.Case{
					New:    func(a []anchor.Anchor) (signaturetest.Prover, error) { return New(a) },
					Signer: keyAnchor(t, "signer", s.key), Stranger: keyAnchor(t, "stranger", stranger),
					Content: c.content, Signed: payload, Bytes: c.bytes, ByDigest: s.digest,
				})
				if !Detect(c.content) {
					t.Error("not detected")
				}
			})
		}
	}
}

func prove(t testing.TB, content []byte, of proof.File, anchors ...anchor.Anchor) proof.Proof {
	t.Helper()
	v, err := New(anchors)
	if err != nil {
		t.Fatal(err)
	}
	list, err := v.Prove(t.Context(), content, of)
	if err != nil || len(list) != 1 {
		t.Fatalf("%+v, %v", list, err)
	}
	return list[0]
}

func TestProof(t *testing.T) {
	for name, s := range schemes(t) {
		id, err := publickey.ID(s.key.Public())
		if err != nil {
			t.Fatal(err)
		}
		got := prove(t, sign(t, s.key, s.opts, payload), proof.Bytes(proof.Artifact, "f", payload), keyAnchor(t, "a", s.key))
		scheme, _, _ := strings.Cut(name, ",")
		if got.Problem != "" || got.Scope != "all of the file, by "+scheme || got.KeyID != id || len(got.Weak) > 0 {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// TestByDigest makes sure that a file is not read where its digest is all that is signed.
func TestByDigest(t *testing.T) {
	of := proof.Bytes(proof.Artifact, "f", payload)
	of.Open = func(context.Context) (proof.Content, error) { return nil, errors.New("was opened") }
	for name, s := range schemes(t) {
		if !s.digest {
			continue
		}
		if got := prove(t, sign(t, s.key, s.opts, payload), of, keyAnchor(t, "other", newEd25519(t)), keyAnchor(t, "a", s.key)); got.Problem != "" {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestRefused(t *testing.T) {
	r, e, p := newRSA(t, 2048), newEd25519(t), newECDSA(t, elliptic.P256())
	of := proof.Bytes(proof.Artifact, "f", payload)
	for name, got := range map[string]proof.Proof{
		"SHA-1 of RSA":            prove(t, sign(t, r, crypto.SHA1, payload), of, keyAnchor(t, "a", r)),
		"SHA-512 of RSA":          prove(t, sign(t, r, crypto.SHA512, payload), of, keyAnchor(t, "a", r)),
		"SHA-1 of ECDSA":          prove(t, sign(t, p, crypto.SHA1, payload), of, keyAnchor(t, "a", p)),
		"Ed25519 over the digest": prove(t, sign(t, e, crypto.Hash(0), of.Digest.Bytes()), of, keyAnchor(t, "a", e)),
		"a second signature":      prove(t, append(sign(t, p, crypto.SHA256, payload), 0), of, keyAnchor(t, "a", p)),
	} {
		if got.Problem == "" || !strings.Contains(got.Problem, "trust anchor") || len(got.Problem) > 500 {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// TestUnread makes sure that a file is not read for keys that cannot have made a signature of this form.
func TestUnread(t *testing.T) {
	of := proof.Bytes(proof.Artifact, "f", payload)
	of.Open = func(context.Context) (proof.Content, error) { return nil, errors.New("was opened") }
	e, p := newEd25519(t), newECDSA(t, elliptic.P384())
	for _, got := range []proof.Proof{prove(t, sign(t, e, crypto.Hash(0), payload), of, keyAnchor(t, "a", p)),
		prove(t, sign(t, p, crypto.SHA384, payload), of, keyAnchor(t, "a", e))} {
		if got.Problem == "" {
			t.Errorf("%+v", got)
		}
	}
}

// TestOneForm makes sure that the bits of base64 that carry nothing are zero, so that a signature has one form.
func TestOneForm(t *testing.T) {
	e := newEd25519(t)
	of := proof.Bytes(proof.Artifact, "f", payload)
	text := base64.StdEncoding.EncodeToString(sign(t, e, crypto.Hash(0), payload))
	if got := prove(t, []byte(text), of, keyAnchor(t, "a", e)); got.Problem != "" {
		t.Errorf("%+v", got)
	}
	last := text[len(text)-3] // of 64 bytes, the last character has four bits that carry nothing
	other := text[:len(text)-3] + string(last+1) + "=="
	if got := prove(t, []byte(other), of, keyAnchor(t, "a", e)); got.Problem == "" {
		t.Errorf("%s: %+v", other, got)
	}
}

func TestWeak(t *testing.T) {
	short := newRSA(t, 1024)
	got := prove(t, sign(t, short, crypto.SHA256, payload), proof.Bytes(proof.Artifact, "f", payload), keyAnchor(t, "a", short))
	if got.Problem != "" || len(got.Weak) != 1 || got.Weak[0] != proof.ShortRSA {
		t.Errorf("%+v", got)
	}
}

// TestLargeFile makes sure that a file which pure Ed25519 would need in memory is refused with advice, unread beyond what Ed25519ph needs.
func TestLargeFile(t *testing.T) {
	e := newEd25519(t)
	large := proof.File{Role: proof.Artifact, Name: "f", Size: maxWhole + 1, Open: func(context.Context) (proof.Content, error) { return zeros{}, nil }}
	got := prove(t, make([]byte, 64), large, keyAnchor(t, "a", e))
	if !strings.Contains(got.Problem, "sign it with an ECDSA key") {
		t.Errorf("%+v", got)
	}
	h := crypto.SHA512.New()
	if _, err := io.Copy(h, io.NewSectionReader(zeros{}, 0, large.Size)); err != nil {
		t.Fatal(err)
	}
	sig, err := e.Sign(rand.Reader, h.Sum(nil), crypto.SHA512)
	if err != nil {
		t.Fatal(err)
	}
	if got := prove(t, sig, large, keyAnchor(t, "a", e)); got.Problem != "" {
		t.Errorf("Ed25519ph: %+v", got)
	}
}

// zeros is an open file of zeros.
type zeros struct{}

func (zeros) ReadAt(b []byte, _ int64) (int, error) { clear(b); return len(b), nil }
func (zeros) Close() error                          { return nil }

// TestManyKeys makes sure that a thousand anchors are tried, no more, and never for ever.
func TestManyKeys(t *testing.T) {
	e := newEd25519(t)
	var anchors []anchor.Anchor
	for i := range maxAnchors {
		anchors = append(anchors, keyAnchor(t, fmt.Sprintf("n%d", i), newEd25519(t)))
	}
	anchors[maxAnchors-1] = keyAnchor(t, "last", e)
	sig := sign(t, e, crypto.Hash(0), payload)
	if got := prove(t, sig, proof.Bytes(proof.Artifact, "f", payload), anchors...); got.Problem != "" {
		t.Errorf("%+v", got)
	}
	v, err := New(append([]anchor.Anchor{keyAnchor(t, "first", newEd25519(t))}, anchors...))
	if err == nil || !strings.Contains(err.Error(), "trustAnchors/last: is left out") {
		t.Errorf("%v", err)
	}
	large := proof.File{Name: "f", Size: maxWhole, Open: func(context.Context) (proof.Content, error) { return zeros{}, nil }}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := v.Prove(ctx, sig, large); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	tried := &trial{raw: sig, file: large, hashed: maxHashed, whole: payload}
	if scheme, err := byContent(t.Context(), tried, e.Public()); scheme != "" || err != nil || !strings.Contains(tried.untried, "too many") {
		t.Errorf("%q, %v, %+v", scheme, err, tried)
	}
}

func TestUnreadable(t *testing.T) {
	good := keyAnchor(t, "good", newEd25519(t))
	p224 := keyAnchor(t, "p224", newECDSA(t, elliptic.P224()))
	bad := good
	bad.Name, bad.Material = "organizations/o/trustAnchors/bad", good.Material+good.Material
	stamps := good
	stamps.Purpose = anchor.Time
	v, err := New([]anchor.Anchor{p224, bad, stamps, good, good})
	if err == nil || !strings.Contains(err.Error(), p224.Name) || !strings.Contains(err.Error(), bad.Name) {
		t.Errorf("%v", err)
	}
	if len(v.keys) != 1 || len(v.keys[0].anchors) != 2 {
		t.Errorf("%+v", v.keys)
	}
}

func TestDetect(t *testing.T) {
	sum := sha256.Sum256(payload)
	for text, want := range map[string]bool{
		"":                       false,
		"hello\n":                false,
		strings.Repeat("ab", 64): false, // a SHA-512, hexadecimal
		base64.StdEncoding.EncodeToString(sum[:]): false,
		"-----BEGIN SSH SIGNATURE-----\n":         false,
		strings.Repeat("x", 256):                  true, // base64 of 192 bytes
		strings.Repeat("x ", 128):                 false,
		strings.Repeat("\xff", 256):               true,
		strings.Repeat("\xff", 257):               false,
		"0\x06\x02\x01\x01\x02\x01\x01":           true,
		"0\x06\x02\x01\x01\x02\x01\x01\n":         false,
		"0\x80\x02\x01\x01\x02\x01\x01\x00\x00":   false,
	} {
		if got := Detect([]byte(text)); got != want {
			t.Errorf("%.40q: %t", text, got)
		}
	}
}

func FuzzSignature(f *testing.F) {
	var anchors []anchor.Anchor
	for _, s := range schemes(f) {
		anchors = append(anchors, keyAnchor(f, "a", s.key))
		raw := sign(f, s.key, s.opts, []byte("another file"))
		f.Add(raw)
		f.Add([]byte(base64.StdEncoding.EncodeToString(raw)))
	}
	v, err := New(anchors)
	if err != nil {
		f.Fatal(err)
	}
	of := proof.Bytes(proof.Artifact, "f", payload)
	f.Fuzz(func(t *testing.T, content []byte) {
		list, err := v.Prove(t.Context(), content, of)
		if err != nil || len(list) != 1 || list[0].Problem == "" || len(list[0].Problem) > 500 {
			t.Fatalf("%+v, %v", list, err)
		}
		if _, err := decode(content); Detect(content) && err != nil {
			t.Errorf("detected, and cannot be read: %v", err)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	content := bytes.Repeat([]byte{'x'}, 1<<20)
	of := proof.Bytes(proof.Artifact, "file", content)
	for name, s := range schemes(b) {
		v, err := New([]anchor.Anchor{keyAnchor(b, "a", s.key)})
		if err != nil {
			b.Fatal(err)
		}
		sig := sign(b, s.key, s.opts, content)
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(content)))
			for b.Loop() {
				if list, err := v.Prove(b.Context(), sig, of); err != nil || list[0].Problem != "" {
					b.Fatal(list, err)
				}
			}
		})
	}
}

// TestTrivialExponent: with the exponent 1 anybody makes signatures, and with 3 whoever finds a cube that begins as one.
func TestTrivialExponent(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	content := []byte("content")
	sum := sha256.Sum256(content)
	info := append([]byte{0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20}, sum[:]...)
	padded := func(fill int) []byte {
		return append(append(append([]byte{0, 1}, bytes.Repeat([]byte{0xff}, fill)...), 0), info...)
	}
	start := make([]byte, 256)
	copy(start, padded(8))
	root := new(big.Int).SetBytes(start)
	low, high := big.NewInt(0), new(big.Int).Lsh(big.NewInt(1), 700)
	for low.Cmp(high) < 0 { // the least whose cube is not below
		middle := new(big.Int).Rsh(new(big.Int).Add(low, high), 1)
		if new(big.Int).Exp(middle, big.NewInt(3), nil).Cmp(root) < 0 {
			low = middle.Add(middle, big.NewInt(1))
		} else {
			high = middle
		}
	}
	if cube := new(big.Int).Exp(low, big.NewInt(3), nil).FillBytes(make([]byte, 256)); !bytes.HasPrefix(cube, padded(8)) {
		t.Fatalf("no forgery: %x", cube)
	}
	for e, sig := range map[int][]byte{1: padded(256 - 3 - len(info)), 3: low.FillBytes(make([]byte, 256))} {
		public, err := publickey.PEM(&rsa.PublicKey{N: key.N, E: e})
		if err != nil {
			t.Fatal(err)
		}
		v, err := New([]anchor.Anchor{{Name: "a", Kind: anchor.PublicKey, Material: public}})
		if err != nil {
			t.Log(err)
		}
		list, err := v.Prove(t.Context(), sig, proof.Bytes(proof.Artifact, "f", content))
		if err != nil || len(list) != 1 || list[0].Problem == "" {
			t.Errorf("exponent %d: %+v, %v", e, list, err)
		}
	}
}
