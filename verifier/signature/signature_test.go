package signature

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/verifier/finding"
	"github.com/countersign-escrow/countersign/verifier/publickey"
	"github.com/countersign-escrow/countersign/verifier/signature/sigstorebundle"
)

var theManifest = []byte("the manifest\n")

func newSigned(t *testing.T) (Signature, Anchor) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	content, err := sigstorebundle.Sign(key, theManifest)
	if err != nil {
		t.Fatal(err)
	}
	id, err := publickey.ID(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return Signature{sigstorebundle.MediaType, content}, Anchor{Name: "organizations/vendor/trustAnchors/1", KeyID: id, PublicKey: key.Public()}
}

func TestCheck(t *testing.T) {
	good, a := newSigned(t)
	stranger, _ := newSigned(t)
	odd := Signature{MediaType: "application/pgp-signature", Content: []byte("x")}
	revoked := a
	revoked.Revoked = time.Unix(1, 0)
	for name, c := range map[string]struct {
		sigs    []Signature
		anchors []Anchor
		outcome finding.Outcome
		summary string
		listed  int
	}{
		"one good":            {[]Signature{good}, []Anchor{a}, finding.Passed, "1 of 1 signatures count; by " + a.Name, 1},
		"one good among bad":  {[]Signature{odd, stranger, good}, []Anchor{a}, finding.Passed, "1 of 3", 3},
		"a stranger":          {[]Signature{stranger}, []Anchor{a}, finding.Failed, "not made by any trust anchor of organizations/vendor", 1},
		"a revoked anchor":    {[]Signature{good}, []Anchor{revoked}, finding.Failed, "was revoked", 1},
		"no anchor":           {[]Signature{good}, nil, finding.Failed, "there is none", 1},
		"an unknown kind":     {[]Signature{odd}, []Anchor{a}, finding.Failed, "application/pgp-signature", 1},
		"none":                {nil, []Anchor{a}, finding.Failed, "no signature", 0},
		"more than is judged": {make([]Signature, MaxSignatures+1), []Anchor{a}, finding.Failed, "at most", 0},
	} {
		f := Check(t.Context(), theManifest, c.sigs, c.anchors, time.Now())
		if f.Check != finding.Signature || f.Outcome != c.outcome || !strings.Contains(f.Summary, c.summary) || len(f.Evidence.Signatures) != c.listed {
			t.Errorf("%s: %+v", name, f)
		}
	}
}
