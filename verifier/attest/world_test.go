package attest

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/resource"
	"github.com/countersign-escrow/countersign/verifier/finding"
	"github.com/countersign-escrow/countersign/verifier/tlog"
)

const origin = "log.test"

// world is a service's whole signing side: real keys, certificates and log.
type world struct {
	log       *tlog.Log
	authority *TimestampAuthority
	publisher *Publisher
	signer    *Signer
	key       *ecdsa.PrivateKey
	root      []byte
}

func newWorld(t testing.TB) *world {
	t.Helper()
	return newWorldOf(t, newKey(t), newAuthority(t, time.Now()))
}

// elsewhere is a world with the same signer and time-stamp authority and another log of the same name.
func (w *world) elsewhere(t testing.TB) *world {
	t.Helper()
	return newWorldOf(t, w.key, w.authority)
}

func newWorldOf(t testing.TB, key *ecdsa.PrivateKey, authority *TimestampAuthority) *world {
	t.Helper()
	_, logKey, err := ed25519.GenerateKey(nil)
	check(t, err)
	log, err := tlog.Open(t.Context(), tlog.Config{Dir: t.TempDir(), Origin: origin, Key: logKey})
	check(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := log.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	w := &world{log: log, authority: authority, key: key}
	w.signer, err = NewSigner(w.key)
	check(t, err)
	w.publisher = NewPublisher(log, w.authority)
	w.root, err = TrustedRoot(w.trust())
	check(t, err)
	return w
}

func (w *world) trust() Trust {
	return Trust{
		Logs:        []TrustedLog{{Origin: w.log.Origin(), Key: w.log.PublicKey(), From: time.Now().Add(-time.Hour)}},
		Authorities: []TrustedAuthority{{Chain: w.authority.Chain()}},
	}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	return key
}

func newAuthority(t testing.TB, now time.Time) *TimestampAuthority {
	t.Helper()
	key := newKey(t)
	chain, err := MakeTimestampCertificates("Escrow of Tests", key.Public(), now)
	check(t, err)
	a, err := NewTimestampAuthority(key, chain)
	check(t, err)
	return a
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// publish signs and publishes a statement.
func (w *world) publish(t testing.TB, s Statement) []byte {
	t.Helper()
	e, err := w.signer.Sign(t.Context(), s)
	check(t, err)
	return w.publishEnvelope(t, e, w.signer.PublicKeyPEM())
}

func (w *world) publishEnvelope(t testing.TB, e *Envelope, pem string) []byte {
	t.Helper()
	st, err := w.publisher.Stamp(t.Context(), e)
	check(t, err)
	p, err := w.publisher.Publish(t.Context(), e, pem, st)
	check(t, err)
	return p.Bundle
}

func (w *world) verify(bundle []byte, p Policy) (*Verified, error) {
	return Verify(bundle, w.root, w.key.Public(), p)
}

// pair publishes two statements, so that the second one's inclusion proof has a hash, and returns the second bundle.
func (w *world) pair(t testing.TB, s Statement) []byte {
	t.Helper()
	w.publish(t, s)
	return w.publish(t, s)
}

var (
	vendor      = resource.Organization{ID: "vendor"}
	release     = resource.Release{Product: resource.Product{Vendor: vendor, ID: "router"}, Version: "1.2.3"}
	shipped     = []byte("the shipped file\n")
	theManifest = []byte("the manifest\n")
	artifact    = Subject{Name: "bin/router", Digest: digest.Of(shipped)}
	sealed      = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
)

func receipt() Statement {
	return NewReceipt(Receipt{Release: release, Manifest: digest.Of(theManifest), Files: []Subject{artifact}, Sealed: sealed})
}

func findingContext() FindingContext {
	return FindingContext{
		Release: release, Manifest: digest.Of(theManifest), Rebuilder: resource.Organization{ID: "operator"}, Country: "CH",
		Time: sealed, Artifacts: []Subject{{Name: "bin/other", Digest: digest.Of([]byte("other"))}, artifact},
	}
}

func comparison() Statement {
	return NewFinding(findingContext(), finding.Finding{
		Check: finding.Comparison, Outcome: finding.Failed, Verdict: finding.DiffersStable, Artifact: artifact.Name,
		Summary: "1 byte differs", Causes: []finding.Cause{{Type: finding.Content, Place: "byte 7 <&>", Offset: 7, Length: 1}},
		Evidence: finding.Evidence{Comparison: &finding.ComparisonEvidence{Shipped: artifact.Digest, Rebuilt: []digest.Digest{}, DifferingBytes: 1, DifferingRanges: 1}},
	})
}

func report() Statement {
	return NewSummary(Summary{
		Evaluator: resource.Organization{ID: "lab"}, Country: "SE", Release: release, Manifest: digest.Of(theManifest),
		Artifacts: []Subject{artifact}, Policy: Subject{Name: "organizations/lab/policies/1", Digest: digest.Of([]byte("policy"))},
		Decision: "PENDING", Rules: []map[string]string{{"name": "signed", "decision": "PENDING"}},
		Inputs: []Subject{{Name: "attestations/1", Digest: digest.Of([]byte("input"))}}, Time: sealed,
	})
}

// edit changes a bundle's JSON.
func edit(t testing.TB, bundle []byte, change func(map[string]any)) []byte {
	t.Helper()
	var m map[string]any
	check(t, json.Unmarshal(bundle, &m))
	change(m)
	b, err := json.Marshal(m)
	check(t, err)
	return b
}

// at walks into decoded JSON: strings are keys, numbers are indexes.
func at[T any](v any, path ...any) T {
	for _, p := range path {
		switch p := p.(type) {
		case string:
			v = v.(map[string]any)[p]
		case int:
			v = v.([]any)[p]
		}
	}
	out, ok := v.(T)
	if !ok {
		panic(fmt.Sprintf("%v is a %T", path, v))
	}
	return out
}

func publicPEM(t testing.TB, key crypto.Signer) string {
	t.Helper()
	s, err := NewSigner(key)
	check(t, err)
	return s.PublicKeyPEM()
}
