package cms_test

import (
	"encoding/asn1"
	"strings"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"

	"github.com/countersign-escrow/countersign/verifier/signature/cms/cmstest"
)

var oidCounter = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 6}

// counter makes a counter-signature (PKCS #9) over a signature: the only SignerInfo of a message about it.
func counter(t *testing.T, signature []byte, by *cmstest.Holder, plain bool) []byte {
	t.Helper()
	var message struct {
		Type asn1.ObjectIdentifier
		Data struct {
			Version          int
			Digests, Content asn1.RawValue
			Certificates     asn1.RawValue `asn1:"optional,tag:0"`
			Signers          asn1.RawValue
		} `asn1:"explicit,tag:0"`
	}
	if _, err := asn1.Unmarshal(cmstest.Message{Plain: plain}.Sign(t, signature, by), &message); err != nil {
		t.Fatal(err)
	}
	return message.Data.Signers.Bytes
}

func TestCounterSignature(t *testing.T) {
	signer := cmstest.Root(t, "CA", cmstest.EC(t)).Issue(t, "signer", cmstest.EC(t))
	root := cmstest.Root(t, "TSA root", cmstest.EC(t))
	tsa, other := root.Issue(t, "TSA", cmstest.EC(t), cmstest.Stamp), root.Issue(t, "TSA", cmstest.EC(t), cmstest.Code)
	for name, c := range map[string]struct {
		by    *cmstest.Holder
		over  []byte // the signature if nil
		plain bool
		note  string
	}{
		"good":              {by: tsa},
		"another signature": {by: tsa, over: []byte("other"), note: "over other content"},
		"not for stamps":    {by: other, note: "no trust anchor for time stamps"},
		"without a time":    {by: tsa, plain: true, note: "states no time"},
	} {
		message := cmstest.Message{Stamps: func(signature []byte) []pkcs7.Attribute {
			if c.over != nil {
				signature = c.over
			}
			return []pkcs7.Attribute{{Type: oidCounter, Value: asn1.RawValue{FullBytes: counter(t, signature, c.by, c.plain)}}}
		}}.Sign(t, content, signer)
		// Its certificate is among those of the message in the wild; here that of the anchor does.
		p := prove(t, message, cmstest.Anchor(t, "a", "signer", signer.Issuer), cmstest.TimeAnchor(t, "clock", c.by, root))
		if p.Problem != "" || (c.note == "") != (len(p.Times) == 1) || !strings.Contains(strings.Join(p.Notes, "|"), c.note) {
			t.Errorf("%s: %+v", name, p)
		}
		if c.note == "" && time.Since(p.Times[0].At) > time.Minute {
			t.Errorf("%s: %v", name, p.Times[0].At)
		}
	}
}
