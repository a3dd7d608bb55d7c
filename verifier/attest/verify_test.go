package attest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
)

func TestVerifyAccepts(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct {
		statement Statement
		artifact  digest.Digest
	}{
		"a receipt, by an artifact":     {receipt(), artifact.Digest},
		"a receipt, by the manifest":    {receipt(), digest.Of(theManifest)},
		"a comparison, by its artifact": {comparison(), artifact.Digest},
		"a report, by an artifact":      {report(), artifact.Digest},
		"a receipt of anything":         {receipt(), digest.Digest{}},
	} {
		t.Run(name, func(t *testing.T) {
			before := time.Now().Truncate(time.Second)
			v, err := w.verify(w.publish(t, c.statement), Policy{c.artifact, c.statement.PredicateType})
			check(t, err)
			if v.Time.Before(before) || v.Time.After(time.Now()) {
				t.Errorf("signed at %s, and it is %s", v.Time, before)
			}
			if v.Origin != origin || v.LogIndex < 0 || v.TreeSize <= uint64(v.LogIndex) || len(v.Steps) != len(steps) {
				t.Errorf("%+v", v)
			}
			if v.Statement.PredicateType != c.statement.PredicateType || len(v.Statement.Subjects) != len(c.statement.Subjects) {
				t.Errorf("read back as %+v", v.Statement)
			}
		})
	}
}

// Spaces and the order of keys are not part of a bundle.
func TestVerifyAcceptsOtherSpaces(t *testing.T) {
	w := newWorld(t)
	var b bytes.Buffer
	check(t, json.Indent(&b, edit(t, w.publish(t, receipt()), func(map[string]any) {}), "", "  "))
	if _, err := w.verify(b.Bytes(), Policy{}); err != nil {
		t.Error(err)
	}
}

func TestVerifyAnotherSigner(t *testing.T) {
	w := newWorld(t)
	lab := newKey(t)
	signer, err := NewSigner(lab)
	check(t, err)
	e, err := signer.Sign(t.Context(), comparison())
	check(t, err)
	if _, _, err := w.publisher.Entry(e, w.signer.PublicKeyPEM()); err == nil {
		t.Error("an entry under a key that did not sign")
	}
	bundle := w.publishEnvelope(t, e, publicPEM(t, lab))
	if _, err := Verify(bundle, w.root, lab.Public(), Policy{Artifact: artifact.Digest}); err != nil {
		t.Error(err)
	}
	if _, err := w.verify(bundle, Policy{}); err == nil {
		t.Error("accepted under the service's key")
	}
}

func flip(t testing.TB, m map[string]any, key string) {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(at[string](m, key))
	check(t, err)
	b[len(b)/2] ^= 1
	m[key] = base64.StdEncoding.EncodeToString(b)
}

func replaceIn64(t testing.TB, m map[string]any, key, before, after string) {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(at[string](m, key))
	check(t, err)
	if !strings.Contains(string(b), before) {
		t.Fatalf("%s has no %q", key, before)
	}
	m[key] = base64.StdEncoding.EncodeToString([]byte(strings.Replace(string(b), before, after, 1)))
}

func entryOf(m map[string]any) map[string]any {
	return at[map[string]any](m, "verificationMaterial", "tlogEntries", 0)
}

func proofOf(m map[string]any) map[string]any {
	return at[map[string]any](entryOf(m), "inclusionProof")
}

// forgery makes a bundle that must be refused, of a good one: a comparison, the second of two entries in w's log.
type forgery struct {
	part  string // that our refusal must name
	forge func(t testing.TB, w *world, good []byte) []byte
}

// changed is a forgery that changes the JSON.
func changed(part string, change func(t testing.TB, m map[string]any)) forgery {
	return forgery{part, func(t testing.TB, _ *world, good []byte) []byte {
		return edit(t, good, func(m map[string]any) { change(t, m) })
	}}
}

// reworded is a forgery that replaces text.
func reworded(part, before, after string) forgery {
	return forgery{part, func(t testing.TB, _ *world, good []byte) []byte {
		if !bytes.Contains(good, []byte(before)) {
			t.Fatalf("the bundle has no %q", before)
		}
		return bytes.Replace(good, []byte(before), []byte(after), 1)
	}}
}

// forgeries are those that stock verifiers refuse too.
var forgeries = map[string]forgery{
	"a changed payload": changed("signature", func(t testing.TB, m map[string]any) {
		replaceIn64(t, at[map[string]any](m, "dsseEnvelope"), "payload", "router", "rooter")
	}),
	"a changed inclusion proof": changed("inclusion proof", func(t testing.TB, m map[string]any) {
		one := map[string]any{"hash": at[string](proofOf(m), "hashes", 0)}
		flip(t, one, "hash")
		at[[]any](proofOf(m), "hashes")[0] = one["hash"]
	}),
	"a bundle of another log": {"log id", func(t testing.TB, w *world, _ []byte) []byte {
		return w.elsewhere(t).pair(t, comparison())
	}},
	"a bundle of another log under this log's id": {"checkpoint", func(t testing.TB, w *world, _ []byte) []byte {
		return edit(t, w.elsewhere(t).pair(t, comparison()), func(m map[string]any) {
			at[map[string]any](entryOf(m), "logId")["keyId"] = base64.StdEncoding.EncodeToString(w.log.ID())
		})
	}},
	"a time stamp of another authority": {"time stamp", func(t testing.TB, w *world, _ []byte) []byte {
		other := *w
		other.publisher = NewPublisher(w.log, newAuthority(t, time.Now()))
		return other.publish(t, comparison())
	}},
	"a time stamp over another signature": {"time stamp", func(t testing.TB, w *world, _ []byte) []byte {
		one, err := w.signer.Sign(t.Context(), comparison())
		check(t, err)
		two, err := w.signer.Sign(t.Context(), comparison())
		check(t, err)
		st, err := w.publisher.Stamp(t.Context(), one)
		check(t, err)
		p, err := w.publisher.Publish(t.Context(), two, w.signer.PublicKeyPEM(), st)
		check(t, err)
		return p.Bundle
	}},
	"no time stamp": changed("bundle", func(_ testing.TB, m map[string]any) {
		delete(at[map[string]any](m, "verificationMaterial"), "timestampVerificationData")
	}),
	"no log entry": changed("bundle", func(_ testing.TB, m map[string]any) {
		delete(at[map[string]any](m, "verificationMaterial"), "tlogEntries")
	}),
	"a signature by another key": {"key hint", func(t testing.TB, w *world, _ []byte) []byte {
		other := newKey(t)
		signer, err := NewSigner(other)
		check(t, err)
		e, err := signer.Sign(t.Context(), comparison())
		check(t, err)
		return w.publishEnvelope(t, e, signer.PublicKeyPEM())
	}},
	"two signatures": changed("bundle", func(_ testing.TB, m map[string]any) {
		envelope := at[map[string]any](m, "dsseEnvelope")
		envelope["signatures"] = append(at[[]any](envelope, "signatures"), at[any](envelope, "signatures", 0))
	}),
	"a key id": changed("bundle", func(_ testing.TB, m map[string]any) {
		at[map[string]any](m, "dsseEnvelope", "signatures", 0)["keyid"] = "x"
	}),
	"an unknown field": changed("bundle", func(_ testing.TB, m map[string]any) { m["more"] = 1 }),
	"a field twice":    reworded("bundle", `{"mediaType"`, `{"mediaType":"x","mediaType"`),
	"cut short":        {"bundle", func(_ testing.TB, _ *world, good []byte) []byte { return good[:len(good)-1] }},
}

// subtleties are forgeries that stock verifiers do not see.
var subtleties = map[string]forgery{
	"another tree size": changed("checkpoint", func(_ testing.TB, m map[string]any) { proofOf(m)["treeSize"] = "3" }),
	"no tree size":      changed("checkpoint", func(_ testing.TB, m map[string]any) { delete(proofOf(m), "treeSize") }),
	"a negative tree":   changed("checkpoint", func(_ testing.TB, m map[string]any) { proofOf(m)["treeSize"] = "-2" }),
	"another root hash": changed("checkpoint", func(t testing.TB, m map[string]any) { flip(t, proofOf(m), "rootHash") }),
	"no root hash":      changed("checkpoint", func(_ testing.TB, m map[string]any) { delete(proofOf(m), "rootHash") }),
	"another index in the proof": changed("inclusion proof", func(_ testing.TB, m map[string]any) {
		proofOf(m)["logIndex"] = "0"
	}),
	"a body with another digest": changed("canonicalized body", func(t testing.TB, m map[string]any) {
		replaceIn64(t, entryOf(m), "canonicalizedBody", `"digest":"`, `"digest":"AAAA`)
	}),
	"a body with a space": changed("canonicalized body", func(t testing.TB, m map[string]any) {
		replaceIn64(t, entryOf(m), "canonicalizedBody", `{"apiVersion"`, `{ "apiVersion"`)
	}),
	"another hint": changed("key hint", func(_ testing.TB, m map[string]any) {
		at[map[string]any](m, "verificationMaterial", "publicKey")["hint"] = "x"
	}),
	"an integrated time": changed("bundle", func(_ testing.TB, m map[string]any) { entryOf(m)["integratedTime"] = "1" }),
	"a second time stamp": changed("bundle", func(_ testing.TB, m map[string]any) {
		data := at[map[string]any](m, "verificationMaterial", "timestampVerificationData")
		data["rfc3161Timestamps"] = append(at[[]any](data, "rfc3161Timestamps"), at[any](data, "rfc3161Timestamps", 0))
	}),
}

// ours are forgeries beyond what a stock verifier is asked about here.
var ours = map[string]forgery{
	"another index": changed("inclusion proof", func(_ testing.TB, m map[string]any) {
		entryOf(m)["logIndex"], proofOf(m)["logIndex"] = "0", "0"
	}),
	"another entry version": changed("bundle", func(_ testing.TB, m map[string]any) {
		at[map[string]any](entryOf(m), "kindVersion")["version"] = "0.0.1"
	}),
	"an inclusion promise": changed("bundle", func(_ testing.TB, m map[string]any) {
		entryOf(m)["inclusionPromise"] = map[string]any{"signedEntryTimestamp": "AAAA"}
	}),
	"another media type": reworded("bundle", "bundle.v0.3+json", "bundle.v0.2+json"),
	"another payload":    reworded("bundle", "vnd.in-toto+json", "vnd.in-toto+xml"),
	"another checkpoint": reworded("checkpoint", `"envelope":"log.test\n2`, `"envelope":"log.test\n3`),
	"another origin":     reworded("checkpoint", `"envelope":"log.test`, `"envelope":"lag.test`),
	"nothing":            {"bundle", func(testing.TB, *world, []byte) []byte { return nil }},
	"an empty object":    {"bundle", func(testing.TB, *world, []byte) []byte { return []byte("{}") }},
	"something after it": {"bundle", func(_ testing.TB, _ *world, good []byte) []byte { return append(good, '1') }},
	"more than a bundle": {"bundle", func(testing.TB, *world, []byte) []byte { return make([]byte, MaxBundleBytes+1) }},
	"a body by nobody":   changed("canonicalized body", func(_ testing.TB, m map[string]any) { delete(entryOf(m), "canonicalizedBody") }),
	"no checkpoint":      changed("checkpoint", func(_ testing.TB, m map[string]any) { delete(proofOf(m), "checkpoint") }),
	"a certificate": changed("bundle", func(_ testing.TB, m map[string]any) {
		material := at[map[string]any](m, "verificationMaterial")
		delete(material, "publicKey")
		material["certificate"] = map[string]any{"rawBytes": "AAAA"}
	}),
}

func TestVerifyRefusesForgeries(t *testing.T) {
	w := newWorld(t)
	good := w.pair(t, comparison())
	if _, err := w.verify(good, Policy{artifact.Digest, TypeComparison}); err != nil {
		t.Fatal(err)
	}
	for _, table := range []map[string]forgery{forgeries, subtleties, ours} {
		for name, f := range table {
			t.Run(name, func(t *testing.T) {
				_, err := w.verify(f.forge(t, w, bytes.Clone(good)), Policy{artifact.Digest, TypeComparison})
				refused(t, err, f.part)
			})
		}
	}
}

func refused(t testing.TB, err error, part string) {
	t.Helper()
	var e *fault.Error
	if !errors.As(err, &e) {
		t.Errorf("%v, want a refusal of the %s", err, part)
	} else if e.Field != part {
		t.Errorf("refused for its %s, want its %s: %v", e.Field, part, err)
	}
}

func TestVerifyHoldsToPolicy(t *testing.T) {
	w := newWorld(t)
	good := w.publish(t, comparison())
	_, err := w.verify(good, Policy{Artifact: digest.Of([]byte("another artifact"))})
	refused(t, err, "artifact")
	_, err = w.verify(good, Policy{PredicateType: TypeReceipt})
	refused(t, err, "statement")
}

func TestVerifyHoldsToTrustedRoot(t *testing.T) {
	w := newWorld(t)
	good := w.publish(t, comparison())
	now := time.Now()
	for name, c := range map[string]struct {
		part  string
		twist func(*Trust)
	}{
		"a log key from tomorrow on":   {"log key", func(tr *Trust) { tr.Logs[0].From = now.Add(24 * time.Hour) }},
		"a log key until yesterday":    {"log key", func(tr *Trust) { tr.Logs[0].Until = now.Add(-24 * time.Hour) }},
		"stamps from tomorrow on":      {"time stamp", func(tr *Trust) { tr.Authorities[0].From = now.Add(24 * time.Hour) }},
		"stamps until yesterday":       {"time stamp", func(tr *Trust) { tr.Authorities[0].Until = now.Add(-24 * time.Hour) }},
		"another log of the same name": {"log id", func(tr *Trust) { tr.Logs[0].Key = newLogKey(t) }},
		"the log under another name":   {"log id", func(tr *Trust) { tr.Logs[0].Origin = "lag.test" }},
		"no log":                       {"log id", func(tr *Trust) { tr.Logs = nil }},
		"no authority":                 {"time stamp", func(tr *Trust) { tr.Authorities = nil }},
		"another authority":            {"time stamp", func(tr *Trust) { tr.Authorities[0].Chain = newAuthority(t, now).Chain() }},
	} {
		t.Run(name, func(t *testing.T) {
			trust := w.trust()
			c.twist(&trust)
			root, err := TrustedRoot(trust)
			check(t, err)
			_, err = Verify(good, root, w.key.Public(), Policy{})
			refused(t, err, c.part)
		})
	}
}

func TestVerifyRefusesBadTrustedRoot(t *testing.T) {
	w := newWorld(t)
	good := w.publish(t, comparison())
	for name, root := range map[string][]byte{
		"nothing":          nil,
		"an empty object":  []byte("{}"),
		"an unknown field": bytes.Replace(w.root, []byte("{"), []byte(`{"more":1,`), 1),
		"too much":         make([]byte, maxTrustedRootBytes+1),
		"a log id that is not the hash of its name": bytes.Replace(w.root, []byte("https://log.test"), []byte("https://lag.test"), 1),
		"a base URL without a host":                 bytes.Replace(w.root, []byte("https://log.test"), []byte("log.test"), 1),
	} {
		_, err := Verify(good, root, w.key.Public(), Policy{})
		var e *fault.Error
		if !errors.As(err, &e) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestVerifyRefusesOtherKeys(t *testing.T) {
	w := newWorld(t)
	good := w.publish(t, comparison())
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	check(t, err)
	for _, key := range []crypto.PublicKey{nil, newLogKey(t), p384.Public(), newKey(t).Public()} {
		if _, err := Verify(good, w.root, key, Policy{}); err == nil {
			t.Errorf("accepted under the key %v", key)
		}
	}
}

func newLogKey(t testing.TB) ed25519.PublicKey {
	t.Helper()
	key, _, err := ed25519.GenerateKey(nil)
	check(t, err)
	return key
}

func FuzzVerify(f *testing.F) {
	k := readKept(f)
	whole, err := k.verify(k.bundle)
	check(f, err)
	f.Add(k.bundle)
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := k.verify(b)
		if err != nil {
			return
		}
		if !bytes.Equal(v.Statement.Predicate, whole.Statement.Predicate) || v.LogIndex != whole.LogIndex || v.TreeSize != whole.TreeSize {
			t.Errorf("%q was verified as %+v", b, v)
		}
	})
}

// FuzzStamp hands bytes to the reader of time stamps, which a fuzzer of whole bundles seldom reaches.
func FuzzStamp(f *testing.F) {
	k := readKept(f)
	trusted, err := parseTrustedRoot(k.root)
	check(f, err)
	v := &verification{raw: k.bundle}
	_, err = v.parse()
	check(f, err)
	stamps := v.bundle.GetVerificationMaterial().GetTimestampVerificationData().GetRfc3161Timestamps()
	f.Add(stamps[0].GetSignedTimestamp())
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, a := range trusted.TimestampingAuthorities() {
			if ts, err := a.Verify(b, []byte("another signature")); err == nil {
				t.Errorf("%x says %s", b, ts.Time)
			}
		}
	})
}
