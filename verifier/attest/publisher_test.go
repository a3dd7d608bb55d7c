package attest

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/verifier/tlog"
)

// A crash between the log's append and the catalog's commit: the entry is found, and not logged again.
func TestAssembleAfterCrash(t *testing.T) {
	w := newWorld(t)
	w.publish(t, receipt())
	e, err := w.signer.Sign(t.Context(), comparison())
	check(t, err)
	st, err := w.publisher.Stamp(t.Context(), e)
	check(t, err)
	lost, err := w.publisher.Publish(t.Context(), e, w.signer.PublicKeyPEM(), st)
	check(t, err)

	stored, err := ParseEnvelope(e.JSON()) // as it comes back from the catalog
	check(t, err)
	_, leaf, err := w.publisher.Entry(stored, w.signer.PublicKeyPEM())
	check(t, err)
	index, found, err := w.log.Find(t.Context(), leaf, 1)
	check(t, err)
	if !found || int64(index) != lost.LogIndex {
		t.Fatalf("found %v at %d, want %d", found, index, lost.LogIndex)
	}
	p, err := w.publisher.Assemble(t.Context(), stored, w.signer.PublicKeyPEM(), st, int64(index))
	check(t, err)
	if _, err := w.verify(p.Bundle, Policy{Artifact: artifact.Digest}); err != nil {
		t.Error(err)
	}
	for _, wrong := range []int64{0, 2, -1} {
		if _, err := w.publisher.Assemble(t.Context(), stored, w.signer.PublicKeyPEM(), st, wrong); err == nil {
			t.Errorf("a bundle for the entry at %d, which is another or none", wrong)
		}
	}
}

func TestEntryIsAlwaysTheSame(t *testing.T) {
	w := newWorld(t)
	e, err := w.signer.Sign(t.Context(), receipt())
	check(t, err)
	one, leaf, err := w.publisher.Entry(e, w.signer.PublicKeyPEM())
	check(t, err)
	for range 20 { // protojson alone varies
		again, leafAgain, err := w.publisher.Entry(e, w.signer.PublicKeyPEM())
		check(t, err)
		if !bytes.Equal(one, again) || leaf != leafAgain {
			t.Fatalf("%s and %s", one, again)
		}
	}
	if leaf != tlog.LeafHash(one) {
		t.Errorf("leaf %s", leaf)
	}
	for _, told := range []string{"vendor", "router", "1.2.3", artifact.Digest.Hex()} {
		if bytes.Contains(one, []byte(told)) {
			t.Errorf("the log entry tells %q: %s", told, one)
		}
	}
}

func TestStampsEndWithTheirCertificate(t *testing.T) {
	w := newWorld(t)
	e, err := w.signer.Sign(t.Context(), receipt())
	check(t, err)
	a := newAuthority(t, time.Now())
	for _, now := range []time.Time{time.Now().AddDate(timestampYears, 0, 1), time.Now().AddDate(0, 0, -1)} {
		a.now = func() time.Time { return now }
		if _, err := NewPublisher(w.log, a).Stamp(t.Context(), e); !fault.Is(err, fault.Precondition) {
			t.Errorf("stamped at %s: %v", now, err)
		}
	}
}

// A bundle outlives the certificate of its stamp: what counts is the time of the stamp, not the verifier's clock.
func TestVerifyAtAnyTime(t *testing.T) {
	w := newWorld(t)
	bundle := w.publish(t, receipt())
	want, err := w.verify(bundle, Policy{})
	check(t, err)
	synctest.Test(t, func(t *testing.T) { // its clock begins in the year 2000
		for range 4 {
			time.Sleep(20 * 365 * 24 * time.Hour)
			got, err := w.verify(bundle, Policy{})
			if err != nil || !got.Time.Equal(want.Time) {
				t.Errorf("in %d: %v, %v", time.Now().Year(), got, err)
			}
		}
	})
}

func TestTimestampAuthorityRefuses(t *testing.T) {
	key := newKey(t)
	chain, err := MakeTimestampCertificates("Escrow of Tests", key.Public(), time.Now())
	check(t, err)
	other := newAuthority(t, time.Now()).Chain()
	for name, c := range map[string]struct {
		key   crypto.Signer
		chain []*x509.Certificate
	}{
		"no key":               {nil, chain},
		"another key":          {newKey(t), chain},
		"no root":              {key, chain[:1]},
		"nothing":              {key, nil},
		"another root":         {key, []*x509.Certificate{chain[0], other[1]}},
		"the root for a leaf":  {key, []*x509.Certificate{chain[1], chain[1]}},
		"the wrong way around": {key, []*x509.Certificate{chain[1], chain[0]}},
		"more than a chain":    {key, append(chain[:2:2], make([]*x509.Certificate, 10)...)},
	} {
		if _, err := NewTimestampAuthority(c.key, c.chain); err == nil {
			t.Errorf("took %s", name)
		}
		if c.key == key {
			if _, err := TrustedRoot(Trust{Authorities: []TrustedAuthority{{Chain: c.chain}}}); err == nil {
				t.Errorf("a trusted root with %s", name)
			}
		}
	}
}

func TestTrustedRootRefusesOddLogs(t *testing.T) {
	if b, err := TrustedRoot(Trust{Logs: []TrustedLog{{Origin: origin}}}); err == nil {
		t.Errorf("a log without a key: %s", b)
	}
}

// damaged is a log whose files are not what they were.
type damaged struct{ *tlog.Log }

func (d damaged) Proof(ctx context.Context, index uint64) (tlog.Proof, error) {
	p, err := d.Log.Proof(ctx, index)
	p.RootHash = digest.Of(nil).Bytes()
	return p, err
}

func TestDamagedLogIsNoticed(t *testing.T) {
	w := newWorld(t)
	w.publisher = NewPublisher(damaged{w.log}, w.authority)
	e, err := w.signer.Sign(t.Context(), receipt())
	check(t, err)
	st, err := w.publisher.Stamp(t.Context(), e)
	check(t, err)
	_, err = w.publisher.Publish(t.Context(), e, w.signer.PublicKeyPEM(), st)
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind != fault.Corrupt {
		t.Errorf("%v", err)
	}
}

func TestCosignCommand(t *testing.T) {
	got := CosignCommand("b.json", "r.json", "it's.pub", TypeReceipt, "a file")
	want := `cosign verify-blob-attestation --key 'it'\''s.pub' --bundle b.json --trusted-root r.json --use-signed-timestamps --type ` +
		TypeReceipt + ` 'a file'`
	if got != want || strings.Contains(got, "insecure") {
		t.Errorf("%s", got)
	}
}
