package cms_test

import (
	"crypto/x509"
	"encoding/asn1"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"

	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
	"github.com/countersign-escrow/countersign/verifier/signature/cms"
	"github.com/countersign-escrow/countersign/verifier/signature/cms/cmstest"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

var (
	oidToken     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 14}
	oidMicrosoft = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 3, 3, 1}
	when         = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
)

// early is a certificate that was alive when the stamps of these tests were made.
func early(c *cmstest.Template) { c.NotBefore = when.AddDate(-1, 0, 0) }

// stamped signs content with a time stamp in an attribute.
func stamped(t testing.TB, signer *cmstest.Holder, oid asn1.ObjectIdentifier, token func(signature []byte) []byte) []byte {
	t.Helper()
	return cmstest.Message{Stamps: func(signature []byte) []pkcs7.Attribute {
		return []pkcs7.Attribute{{Type: oid, Value: asn1.RawValue{FullBytes: token(signature)}}}
	}}.Sign(t, content, signer)
}

func TestTimeStamps(t *testing.T) {
	signer := cmstest.Root(t, "CA", cmstest.EC(t)).Issue(t, "signer", cmstest.EC(t))
	a := cmstest.Anchor(t, "a", "signer", signer.Issuer)
	root := cmstest.Root(t, "TSA root", cmstest.RSA(t, 2048), early)
	tsa := root.Issue(t, "TSA", cmstest.RSA(t, 2048), cmstest.Stamp, early)
	noTSA := root.Issue(t, "No TSA", cmstest.EC(t), early, cmstest.Code)
	vendor := root.Issue(t, "Vendor", cmstest.EC(t), early, cmstest.Code, func(c *cmstest.Template) { c.ExtKeyUsage = append(c.ExtKeyUsage, x509.ExtKeyUsageTimeStamping) })
	late := root.Issue(t, "Late TSA", cmstest.EC(t), cmstest.Stamp)
	clocks, elsewhere := cmstest.TimeAnchor(t, "clock", root), cmstest.TimeAnchor(t, "elsewhere", cmstest.Root(t, "Other", cmstest.EC(t)))
	by := func(h *cmstest.Holder) func([]byte) []byte {
		return func(signature []byte) []byte { return h.Token(t, signature, when) }
	}
	ordinary := a
	ordinary.Name = "ordinary"
	for name, c := range map[string]struct {
		oid   asn1.ObjectIdentifier
		token func([]byte) []byte
		time  anchor.Anchor
		note  string // "" where it gives a time
	}{
		"good":              {oidToken, by(tsa), clocks, ""},
		"Microsoft's":       {oidMicrosoft, by(tsa), clocks, ""},
		"pinned authority":  {oidToken, by(tsa), cmstest.TimeAnchor(t, "clock", tsa), ""},
		"stranger":          {oidToken, by(tsa), elsewhere, "no trust anchor for time stamps"},
		"not for stamps":    {oidToken, by(noTSA), clocks, "no trust anchor for time stamps"},
		"for stamps, too":   {oidToken, by(vendor), clocks, "no trust anchor for time stamps"},
		"not alive then":    {oidToken, by(late), clocks, "no trust anchor for time stamps"},
		"anchor of signers": {oidToken, by(tsa), cmstest.Anchor(t, "clock", "TSA", root), "no trust anchor for time stamps"},
		"another signature": {oidToken, func([]byte) []byte { return tsa.Token(t, []byte("other"), when) }, clocks, "another signature"},
		"nonsense":          {oidToken, func([]byte) []byte { return []byte{0x30, 0x03, 0x02, 0x01, 0x05} }, clocks, "proves nothing"},
		"damaged": {oidToken, func(s []byte) []byte {
			b := tsa.Token(t, s, when)
			b[len(b)-9] ^= 1
			return b
		}, clocks, "its own signature"},
	} {
		p := prove(t, stamped(t, signer, c.oid, c.token), a, c.time)
		if p.Problem != "" || len(p.Anchors) != 1 {
			t.Errorf("%s: %+v", name, p)
			continue
		}
		if c.note != "" {
			if len(p.Times) > 0 || !strings.Contains(strings.Join(p.Notes, "|"), c.note) {
				t.Errorf("%s: %+v", name, p)
			}
		} else if len(p.Times) != 1 || !p.Times[0].At.Equal(when) || p.Times[0].Root.Name != "clock" || !strings.Contains(p.Times[0].By, "CN=TSA") {
			t.Errorf("%s: %+v", name, p)
		}
	}
}

func TestManyTimeStamps(t *testing.T) {
	signer := cmstest.Root(t, "CA", cmstest.EC(t)).Issue(t, "signer", cmstest.EC(t))
	tsa := cmstest.Root(t, "TSA root", cmstest.EC(t), early).Issue(t, "TSA", cmstest.EC(t), cmstest.Stamp, early)
	message := cmstest.Message{Stamps: func(signature []byte) (list []pkcs7.Attribute) {
		for range 10 {
			list = append(list, pkcs7.Attribute{Type: oidToken, Value: asn1.RawValue{FullBytes: tsa.Token(t, signature, when)}})
		}
		return list
	}}.Sign(t, content, signer)
	p := prove(t, message, cmstest.Anchor(t, "a", "signer", signer.Issuer), cmstest.TimeAnchor(t, "clock", tsa.Issuer))
	if len(p.Times) != 8 || len(p.Notes) != 1 {
		t.Errorf("%d times, %q", len(p.Times), p.Notes)
	}
}

// TestCostOfTimeStamps gives every signer of a message as many time stamps as are looked at, all by a stranger in a maze of authorities of one name
// and key: what they cost together is capped.
func TestCostOfTimeStamps(t *testing.T) {
	signer := cmstest.Root(t, "CA", cmstest.EC(t)).Issue(t, "signer", cmstest.EC(t))
	key := cmstest.RSA(t, 4096)
	maze := cmstest.Root(t, "Maze", key, early)
	for range 30 {
		maze = maze.Authority(t, "Maze", key, early)
	}
	tsa := maze.Issue(t, "TSA", cmstest.EC(t), cmstest.Stamp, early)
	signers := slices.Repeat([]*cmstest.Holder{signer}, 16)
	signers[0] = &cmstest.Holder{Certificate: signer.Certificate, Key: signer.Key, Issuer: maze} // whose certificates come along
	message := cmstest.Message{Stamps: func(signature []byte) []pkcs7.Attribute {
		one := pkcs7.Attribute{Type: oidToken, Value: asn1.RawValue{FullBytes: tsa.Token(t, signature, when)}}
		return slices.Repeat([]pkcs7.Attribute{one}, 8)
	}}.Sign(t, content, signers...)
	v, err := cms.New([]anchor.Anchor{cmstest.Anchor(t, "a", "signer", signer.Issuer, signer), cmstest.TimeAnchor(t, "clock", cmstest.Root(t, "Maze", cmstest.EC(t)))})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	list, err := v.Prove(t.Context(), message, proof.Bytes(proof.Artifact, "file", content))
	if err != nil || len(list) != 16 || list[15].Problem != "" || len(list[15].Times) > 0 {
		t.Errorf("%+v, %v", list, err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("took %v for %d bytes", took, len(message))
	}
}

func FuzzStamp(f *testing.F) {
	signer := cmstest.Root(f, "CA", cmstest.EC(f)).Issue(f, "signer", cmstest.EC(f))
	tsa := cmstest.Root(f, "TSA root", cmstest.EC(f), early).Issue(f, "TSA", cmstest.EC(f), cmstest.Stamp, early)
	v, err := cms.New([]anchor.Anchor{cmstest.Anchor(f, "a", "signer", signer.Issuer),
		cmstest.TimeAnchor(f, "clock", cmstest.Root(f, "Another", cmstest.EC(f)))})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(tsa.Token(f, []byte("signature"), when))
	f.Add([]byte{0x30, 0x80, 0x30, 0x80})
	f.Fuzz(func(t *testing.T, token []byte) {
		var whole asn1.RawValue
		if rest, err := asn1.Unmarshal(token, &whole); err != nil || len(rest) > 0 {
			t.Skip("is not even one element")
		}
		message := stamped(t, signer, oidToken, func([]byte) []byte { return token })
		list, err := v.Prove(t.Context(), message, proof.Bytes(proof.Artifact, "file", content))
		if err != nil || len(list) != 1 || len(list[0].Times) > 0 {
			t.Fatalf("%+v, %v", list, err)
		}
	})
}
