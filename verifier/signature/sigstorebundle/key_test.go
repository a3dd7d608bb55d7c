package sigstorebundle

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
	"crypto/sha512"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"

	"github.com/countersign-escrow/countersign/verifier/publickey"
	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

// signers is a key of each sort.
func signers(t testing.TB) map[string]crypto.Signer {
	t.Helper()
	out := map[string]crypto.Signer{}
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		check(t, err)
		out[curve.Params().Name] = key
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	check(t, err)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	check(t, err)
	out["RSA"], out["Ed25519"] = key, ed
	return out
}

func TestSignWithEverySortOfKey(t *testing.T) {
	stranger := keyAnchor(t, "stranger", newKey(t).Public())
	for name, key := range signers(t) {
		t.Run(name, func(t *testing.T) {
			content, a := sign(t, key), keyAnchor(t, "key", key.Public())
			p := wantGood(t, content, manifest(theManifest), stranger, a)
			if id, err := publickey.ID(key.Public()); err != nil || p.KeyID != id || p.Anchors[0].Name != a.Name || p.Scope == "" || len(p.Weak) != 0 {
				t.Errorf("%+v", p)
			}
			if MediaTypeOf(content) != MediaType {
				t.Errorf("detected as %q", MediaTypeOf(content))
			}
			wantProblem(t, "over other bytes: by its bundle", content, manifest([]byte("other bytes")), a)
			wantProblem(t, "which no trust anchor holds", content, manifest(theManifest), stranger)
			noDigest := editBundle(t, content, func(b *protobundle.Bundle) { b.GetMessageSignature().MessageDigest = &protocommon.HashOutput{} })
			wantGood(t, noDigest, manifest(theManifest), a)
			wantProblem(t, "or over other bytes", noDigest, manifest([]byte("other bytes")), a)
		})
	}
}

// liar is a key management service that signs with something else than it says.
type liar struct{ crypto.Signer }

func (l liar) Sign(r io.Reader, digest []byte, o crypto.SignerOpts) ([]byte, error) {
	return l.Signer.Sign(r, bytes.Repeat([]byte{1}, len(digest)), o)
}

// probabilistic is a service whose RSA key has the padding PSS.
type probabilistic struct{ *rsa.PrivateKey }

func (p probabilistic) Sign(r io.Reader, digest []byte, o crypto.SignerOpts) ([]byte, error) {
	return p.PrivateKey.Sign(r, digest, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: o.HashFunc()})
}

func TestSignByServices(t *testing.T) {
	keys := signers(t)
	content, err := Sign(probabilistic{keys["RSA"].(*rsa.PrivateKey)}, theManifest)
	check(t, err)
	wantGood(t, content, manifest(theManifest), keyAnchor(t, "key", keys["RSA"].Public()))
	for name, key := range keys {
		if _, err := Sign(liar{key}, theManifest); err == nil || !strings.Contains(err.Error(), "does not verify") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func shortKey(t testing.TB, bits int) *rsa.PrivateKey {
	t.Helper()
	t.Setenv("GODEBUG", "rsa1024min=0")
	key, err := rsa.GenerateKey(rand.Reader, bits)
	check(t, err)
	return key
}

func TestSignRefusesOtherKeys(t *testing.T) {
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	check(t, err)
	for _, key := range []crypto.Signer{nil, p224, shortKey(t, 1024)} {
		if _, err := Sign(key, theManifest); err == nil {
			t.Errorf("signed with %T", key)
		}
	}
}

// withSignature is a bundle over the manifest with a signature that Sign does not make.
func withSignature(t testing.TB, sig []byte) []byte {
	t.Helper()
	return editBundle(t, sign(t, newKey(t)), func(b *protobundle.Bundle) { b.GetMessageSignature().Signature = sig })
}

func TestShortRSAIsWeak(t *testing.T) {
	key := shortKey(t, 1024)
	sum := sha256.Sum256(theManifest)
	sig, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	check(t, err)
	p := wantGood(t, withSignature(t, sig), manifest(theManifest), keyAnchor(t, "short", key.Public()))
	if !slices.Equal(p.Weak, []proof.Weakness{proof.ShortRSA}) {
		t.Errorf("%+v", p)
	}
	if _, err := New([]anchor.Anchor{keyAnchor(t, "shorter", shortKey(t, 512).Public())}); err == nil || !strings.Contains(err.Error(), "512 bits") {
		t.Errorf("%v", err)
	}
}

// What others make with the same keys counts, too.
func TestOtherForms(t *testing.T) {
	keys := signers(t)
	sum256, sum512 := sha256.Sum256(theManifest), sha512.Sum512(theManifest)
	for name, c := range map[string]struct {
		key    string
		digest []byte
		opts   crypto.SignerOpts
	}{
		"P-384 with SHA-256": {"P-384", sum256[:], crypto.SHA256},
		"P-521 with SHA-256": {"P-521", sum256[:], crypto.SHA256},
		"Ed25519ph":          {"Ed25519", sum512[:], &ed25519.Options{Hash: crypto.SHA512}},
	} {
		sig, err := keys[c.key].Sign(rand.Reader, c.digest, c.opts)
		check(t, err)
		t.Run(name, func(t *testing.T) {
			wantGood(t, withSignature(t, sig), manifest(theManifest), keyAnchor(t, "key", keys[c.key].Public()))
		})
	}
}

func TestFilesTooLongForPureEd25519(t *testing.T) {
	key := signers(t)["Ed25519"]
	long := manifest(theManifest)
	long.Size = MaxFile + 1
	wantBroken := errors.New("broken")
	long.Open = func(context.Context) (proof.Content, error) { return nil, wantBroken }
	if _, err := verifier(t, keyAnchor(t, "key", key.Public())).Prove(t.Context(), sign(t, key), long); !errors.Is(err, wantBroken) {
		t.Errorf("%v", err)
	}
	long.Open = manifest(theManifest).Open
	wantProblem(t, "67108864 at most", sign(t, key), long, keyAnchor(t, "key", key.Public()))
	p256 := newKey(t)
	wantGood(t, sign(t, p256), long, keyAnchor(t, "first", key.Public()), keyAnchor(t, "key", p256.Public()))
}

func TestHintsAreBelievedOfNothing(t *testing.T) {
	key := newKey(t)
	id, err := publickey.ID(key.Public())
	check(t, err)
	forged := editBundle(t, sign(t, newKey(t)), func(b *protobundle.Bundle) { b.VerificationMaterial.GetPublicKey().Hint = id })
	wantProblem(t, "by its own word the key \""+id, forged, manifest(theManifest), keyAnchor(t, "key", key.Public()))
	good := editBundle(t, sign(t, key), func(b *protobundle.Bundle) {
		b.VerificationMaterial.GetPublicKey().Hint = "\x00" + strings.Repeat("other ", 100)
	})
	wantGood(t, good, manifest(theManifest), keyAnchor(t, "key", key.Public()))
	wantProblem(t, "which no trust anchor holds", good, manifest(theManifest))
}

func TestBadBundles(t *testing.T) {
	key := newKey(t)
	a, good := keyAnchor(t, "key", key.Public()), sign(t, key)
	replace := func(before, after string) []byte {
		if !bytes.Contains(good, []byte(before)) {
			t.Fatalf("the bundle has no %q", before)
		}
		return bytes.Replace(good, []byte(before), []byte(after), 1)
	}
	for name, c := range map[string]struct {
		content []byte
		problem string
	}{
		"no signature":            {editBundle(t, good, func(b *protobundle.Bundle) { b.Content = nil }), "holds no signature"},
		"an empty envelope":       {append(good[:bytes.Index(good, []byte(`"messageS`)):bytes.Index(good, []byte(`"messageS`))], `"dsseEnvelope":{"payload":"AAAA"}}`...), "holds no signature"},
		"a flood of signatures":   {append(good[:bytes.Index(good, []byte(`"messageS`)):bytes.Index(good, []byte(`"messageS`))], `"dsseEnvelope":{"signatures":[{}`+strings.Repeat(",{}", 16)+`]}}`...), "16 at most"},
		"a version to come":       {replace("v0.3+json", "v0.4+json"), "media type"},
		"an unknown field":        {replace(`{"mediaType"`, `{"more":1,"mediaType"`), "cannot be read"},
		"a field twice":           {replace(`{"mediaType"`, `{"mediaType":"x","mediaType"`), "cannot be read"},
		"another algorithm":       {replace("SHA2_256", "SHA2_512"), "over other bytes"},
		"an unknown algorithm":    {replace("SHA2_256", "SHA3_256"), "known are"},
		"no digest field":         {replace(`"messageDigest"`, `"messageDigest":null,"signature"`), "cannot be read"},
		"nothing for an entry":    {replace(`"publicKey"`, `"tlogEntries":[{}],"publicKey"`), "cannot be read"},
		"nothing to verify by":    {editBundle(t, good, func(b *protobundle.Bundle) { b.VerificationMaterial.Content = nil }), "cannot be read"},
		"cut short":               {good[:len(good)-1], "cannot be read"},
		"too long":                {append(bytes.Clone(good), make([]byte, MaxBytes)...), "262144 at most"},
		"control signs in fields": {replace(`{"mediaType"`, "{\"\\u001b[31m\":1,\"mediaType\""), "cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			wantProblem(t, c.problem, c.content, manifest(theManifest), a)
			if p := proveOne(t, c.content, manifest(theManifest), a); strings.ContainsAny(p.Problem, "\x1b\n") {
				t.Errorf("%q", p.Problem)
			}
		})
	}
}
