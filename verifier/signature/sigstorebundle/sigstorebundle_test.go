package sigstorebundle

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/verifier/finding"
	"github.com/countersign-escrow/countersign/verifier/publickey"
	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
)

var (
	theManifest = []byte("the manifest\n")
	now         = time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	return key
}

func anchorOf(t testing.TB, id string, key crypto.PublicKey) anchor.Anchor {
	t.Helper()
	keyID, err := publickey.ID(key)
	check(t, err)
	return anchor.Anchor{Name: "organizations/vendor/trustAnchors/" + id, KeyID: keyID, PublicKey: key}
}

func sign(t testing.TB, key crypto.Signer) []byte {
	t.Helper()
	b, err := Sign(key, theManifest)
	check(t, err)
	return b
}

func judge(t testing.TB, content []byte, anchors ...anchor.Anchor) finding.SignatureEvidence {
	t.Helper()
	return Kind{}.Verify(t.Context(), content, theManifest, anchors, now)
}

func TestGoodBundle(t *testing.T) {
	key, other := newKey(t), newKey(t)
	a := anchorOf(t, "good", key.Public())
	e := judge(t, sign(t, key), anchorOf(t, "other", other.Public()), a)
	if !e.Valid || e.Problem != "" || e.Anchor != a.Name || e.KeyID != a.KeyID || e.Kind != kindName || !strings.Contains(e.Covers, "sha256:") {
		t.Errorf("%+v", e)
	}
}

func TestAnchorsCountInTheirTime(t *testing.T) {
	key := newKey(t)
	content := sign(t, key)
	for name, c := range map[string]struct {
		set     func(*anchor.Anchor)
		problem string
	}{
		"within its time":     {func(a *anchor.Anchor) { a.From, a.Until = now.Add(-1), now.Add(1) }, ""},
		"from now on":         {func(a *anchor.Anchor) { a.From = now }, ""},
		"to be revoked":       {func(a *anchor.Anchor) { a.Revoked = now.Add(1) }, ""},
		"from later on":       {func(a *anchor.Anchor) { a.From = now.Add(1) }, "counts only from"},
		"until now":           {func(a *anchor.Anchor) { a.Until = now }, "counted only until"},
		"revoked now":         {func(a *anchor.Anchor) { a.Revoked = now }, "was revoked at"},
		"revoked within time": {func(a *anchor.Anchor) { a.From, a.Revoked = now.Add(-2), now.Add(-1) }, "was revoked at"},
	} {
		a := anchorOf(t, "one", key.Public())
		c.set(&a)
		e := judge(t, content, a)
		if e.Valid != (c.problem == "") || !strings.Contains(e.Problem, c.problem) || e.Anchor != a.Name {
			t.Errorf("%s: %+v", name, e)
		}
	}
	revoked := anchorOf(t, "revoked", key.Public())
	revoked.Revoked = now
	if e := judge(t, content, revoked, anchorOf(t, "again", key.Public())); !e.Valid || !strings.HasSuffix(e.Anchor, "again") {
		t.Errorf("a key that was revoked and added again: %+v", e)
	}
}

func TestBadBundles(t *testing.T) {
	key := newKey(t)
	a := anchorOf(t, "good", key.Public())
	good := sign(t, key)
	elsewhere, err := Sign(key, []byte("other bytes"))
	check(t, err)
	replace := func(before, after string) []byte {
		if !bytes.Contains(good, []byte(before)) {
			t.Fatalf("the bundle has no %q", before)
		}
		return bytes.Replace(good, []byte(before), []byte(after), 1)
	}
	from := bytes.Index(good, []byte(`"messageSignature"`))
	dsse := append(bytes.Clone(good[:from]), `"dsseEnvelope":{"payload":"AAAA","payloadType":"x","signatures":[{"sig":"AAAA"}]}}`...)
	for name, c := range map[string]struct {
		content []byte
		problem string
	}{
		"a stranger's":          {sign(t, newKey(t)), "not made by any trust anchor of organizations/vendor "},
		"a stranger's, hinting": {bytes.Replace(sign(t, newKey(t)), []byte(`"hint":"`), []byte(`"hint":"`+a.KeyID), 1), "not made by any trust anchor of organizations/vendor "},
		"over other bytes":      {elsewhere, "over other bytes"},
		"an attestation":        {dsse, "DSSE"},
		"no signature":          {append(bytes.Clone(good[:from-1]), '}'), "no signature"},
		"an older bundle":       {replace("bundle.v0.3+json", "bundle.v0.2+json"), "media type"},
		"a keyless one":         {replace(`"publicKey":{"hint":"`+a.KeyID+`"}`, `"certificate":{"rawBytes":"AAAA"}`), "managed key"},
		"an unknown field":      {replace(`{"mediaType"`, `{"more":1,"mediaType"`), "cannot be read"},
		"a field twice":         {replace(`{"mediaType"`, `{"mediaType":"x","mediaType"`), "cannot be read"},
		"another algorithm":     {replace("SHA2_256", "SHA2_512"), "not made by any"},
		"no digest":             {replace(`"messageDigest"`, `"messageDigest":null,"signature"`), "cannot be read"},
		"a bad log entry":       {replace(`"publicKey"`, `"tlogEntries":[{}],"publicKey"`), "cannot be read"},
		"cut short":             {good[:len(good)-1], "cannot be read"},
		"nothing":               {nil, "cannot be read"},
		"too long":              {append(bytes.Clone(good), make([]byte, MaxBytes)...), "at most"},
	} {
		e := judge(t, c.content, a)
		if e.Valid || !strings.Contains(e.Problem, c.problem) {
			t.Errorf("%s: %+v", name, e)
		}
	}
	if e := judge(t, good); e.Valid || !strings.Contains(e.Problem, "there is none") {
		t.Errorf("without anchors: %+v", e)
	}
	if e := judge(t, good, anchor.Anchor{Name: "organizations/vendor/trustAnchors/odd"}); e.Valid {
		t.Errorf("an anchor without a key: %+v", e)
	}
}

func TestSignRefusesOtherKeys(t *testing.T) {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	check(t, err)
	for _, key := range []crypto.Signer{nil, p384} {
		if _, err := Sign(key, theManifest); err == nil {
			t.Errorf("signed with %v", key)
		}
	}
}

// cosignPath finds stock cosign, or skips the test.
func cosignPath(t testing.TB) string {
	t.Helper()
	if p := os.Getenv("COSIGN"); p != "" {
		return p
	}
	if p, err := exec.LookPath("cosign"); err == nil {
		return p
	}
	if cache, err := os.UserCacheDir(); err == nil {
		p := filepath.Join(cache, "countersign", "bin", "cosign")
		if _, err := os.Stat(p); err == nil {
			return p
		}
	}
	t.Skip("no stock cosign: set COSIGN, put cosign on the PATH, or into countersign/bin of the user's cache folder")
	return ""
}

// cosign runs stock cosign in dir, without a way to any service.
func cosign(t testing.TB, dir string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), cosignPath(t), args...)
	cmd.Dir = dir
	cmd.Env = []string{"HOME=" + dir, "COSIGN_PASSWORD=", "HTTPS_PROXY=http://127.0.0.1:1", "HTTP_PROXY=http://127.0.0.1:1"}
	cmd.WaitDelay = 10 * time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("cosign %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// A vendor signs with stock cosign and no service.
func TestBundleByCosign(t *testing.T) {
	dir := t.TempDir()
	check(t, os.WriteFile(filepath.Join(dir, "manifest.json"), theManifest, 0o600))
	cosign(t, dir, "generate-key-pair")
	cosign(t, dir, "sign-blob", "--key", "cosign.key", "--bundle", "bundle.json", "--use-signing-config=false", "--tlog-upload=false", "--yes", "manifest.json")
	content, err := os.ReadFile(filepath.Join(dir, "bundle.json"))
	check(t, err)
	text, err := os.ReadFile(filepath.Join(dir, "cosign.pub"))
	check(t, err)
	key, err := publickey.Parse(string(text))
	check(t, err)
	if e := judge(t, content, anchorOf(t, "cosign", key)); !e.Valid {
		t.Errorf("%+v", e)
	}
	if e := judge(t, content, anchorOf(t, "other", newKey(t).Public())); e.Valid {
		t.Errorf("under another key: %+v", e)
	}
	if e := (Kind{}).Verify(t.Context(), content, []byte("other bytes"), []anchor.Anchor{anchorOf(t, "cosign", key)}, now); e.Valid {
		t.Errorf("over other bytes: %+v", e)
	}
}

// Stock cosign takes what Sign makes.
func TestCosignAcceptsOurs(t *testing.T) {
	dir, key := t.TempDir(), newKey(t)
	text, err := publickey.PEM(key.Public())
	check(t, err)
	for name, b := range map[string][]byte{"manifest.json": theManifest, "key.pub": []byte(text), "bundle.json": sign(t, key)} {
		check(t, os.WriteFile(filepath.Join(dir, name), b, 0o600))
	}
	cosign(t, dir, "verify-blob", "--key", "key.pub", "--bundle", "bundle.json", "--insecure-ignore-tlog", "--private-infrastructure", "manifest.json")
}

func FuzzVerify(f *testing.F) {
	key := newKey(f)
	a := anchorOf(f, "good", key.Public())
	f.Add(sign(f, key))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		e := judge(t, content, a)
		if e.Valid != (e.Problem == "") {
			t.Errorf("%+v", e)
		}
		if e.Valid && (Kind{}).Verify(t.Context(), content, []byte("other bytes"), []anchor.Anchor{a}, now).Valid {
			t.Errorf("%q holds for any bytes", content)
		}
	})
}
