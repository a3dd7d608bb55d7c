package cms_test

import (
	"bytes"
	"encoding/asn1"
	"encoding/pem"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"

	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
	"github.com/countersign-escrow/countersign/verifier/signature/cms"
	"github.com/countersign-escrow/countersign/verifier/signature/cms/cmstest"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
	"github.com/countersign-escrow/countersign/verifier/signature/signaturetest"
)

var content = []byte("the file that is signed\n")

func newProver(anchors []anchor.Anchor) (signaturetest.Prover, error) { return cms.New(anchors) }

// prove gives the only proof of a message.
func prove(t *testing.T, message []byte, anchors ...anchor.Anchor) proof.Proof {
	t.Helper()
	list := proveAll(t, message, anchors...)
	if len(list) != 1 {
		t.Fatalf("%d proofs: %+v", len(list), list)
	}
	return list[0]
}

func proveAll(t *testing.T, message []byte, anchors ...anchor.Anchor) []proof.Proof {
	t.Helper()
	v, err := cms.New(anchors)
	if err != nil {
		t.Fatal(err)
	}
	list, err := v.Prove(t.Context(), message, proof.Bytes(proof.Artifact, "file", content))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestConformance(t *testing.T) {
	other := cmstest.Root(t, "Other", cmstest.EC(t)).Issue(t, "other", cmstest.EC(t))
	for name, c := range map[string]struct {
		signer  *cmstest.Holder
		message cmstest.Message
	}{
		"RSA":              {signer: cmstest.Root(t, "CA", cmstest.EC(t)).Issue(t, "signer", cmstest.RSA(t, 2048), cmstest.Mail)},
		"ECDSA":            {signer: cmstest.Root(t, "CA", cmstest.RSA(t, 2048)).Issue(t, "signer", cmstest.EC(t))},
		"attached":         {signer: cmstest.Root(t, "CA", cmstest.EC(t)).Issue(t, "signer", cmstest.EC(t)), message: cmstest.Message{Attached: true}},
		"plain":            {signer: cmstest.Root(t, "CA", cmstest.EC(t)).Issue(t, "signer", cmstest.RSA(t, 2048)), message: cmstest.Message{Plain: true}},
		"SHA-512, by file": {signer: cmstest.Root(t, "CA", cmstest.EC(t)).Issue(t, "signer", cmstest.EC(t)), message: cmstest.Message{Digest: pkcs7.OIDDigestAlgorithmSHA512}},
	} {
		der := c.message.Sign(t, content, c.signer)
		suite := signaturetest.Case{New: newProver, Signer: cmstest.Anchor(t, "ca", "signer", c.signer.Issuer),
			Stranger: cmstest.Anchor(t, "stranger", "other", other.Issuer), Content: der, Signed: content, Bytes: []int{len(der) - 20, len(der) - 5}}
		if c.message.Attached {
			suite.Signed, suite.Bytes = nil, append([]int{bytes.Index(der, content) + 3}, suite.Bytes...)
		}
		suite.ByDigest = !c.message.Plain && c.message.Digest == nil
		t.Run(name, func(t *testing.T) { signaturetest.Run(t, suite) })
	}
}

func TestChains(t *testing.T) {
	root := cmstest.Root(t, "Root", cmstest.RSA(t, 2048))
	middle := root.Authority(t, "Middle", cmstest.EC(t))
	signer := middle.Issue(t, "signer", cmstest.EC(t), func(c *cmstest.Template) { c.EmailAddresses = []string{"release@vendor.example"} })
	message := cmstest.Message{}.Sign(t, content, signer)
	mallory := cmstest.Root(t, "Mallory", cmstest.EC(t))
	for name, c := range map[string]struct {
		message []byte
		anchor  anchor.Anchor
		want    string // "" for good
	}{
		"to the root":           {message, cmstest.Anchor(t, "a", "signer", root), ""},
		"to an intermediate":    {message, cmstest.Anchor(t, "a", "signer", middle), ""},
		"pinned":                {message, cmstest.Anchor(t, "a", "", signer), ""},
		"by mail address":       {message, cmstest.Anchor(t, "a", "release@vendor.example", root), ""},
		"by subject":            {message, cmstest.Anchor(t, "a", "CN=signer,O=Countersign tests", root), ""},
		"another subject":       {message, cmstest.Anchor(t, "a", "somebody", root), "trust anchor"},
		"another root":          {message, cmstest.Anchor(t, "a", "signer", mallory), "trust anchor"},
		"time stamps only":      {message, cmstest.TimeAnchor(t, "a", root), "trust anchor"},
		"signed below no CA":    {cmstest.Message{}.Sign(t, content, signer.Issue(t, "victim", cmstest.EC(t))), cmstest.Anchor(t, "a", "victim", root), "no certificate authority"},
		"for TLS servers":       {cmstest.Message{}.Sign(t, content, root.Issue(t, "signer", cmstest.EC(t), cmstest.TLS)), cmstest.Anchor(t, "a", "signer", root), "extended key usage"},
		"key for no signatures": {cmstest.Message{}.Sign(t, content, root.Issue(t, "signer", cmstest.EC(t), cmstest.Encipher)), cmstest.Anchor(t, "a", "signer", root), "key usage"},
		"names not allowed":     {cmstest.Message{}.Sign(t, content, below(t, root, cmstest.OnlyNames)), cmstest.Anchor(t, "a", "signer", root), "constraint"},
	} {
		p := prove(t, c.message, c.anchor)
		if good := p.Problem == "" && len(p.Anchors) == 1; good != (c.want == "") || !strings.Contains(p.Problem, c.want) {
			t.Errorf("%s: %+v", name, p)
		}
	}
}

// below makes a signer of a.example below an authority below the root.
func below(t *testing.T, root *cmstest.Holder, change cmstest.Change) *cmstest.Holder {
	t.Helper()
	var changes []cmstest.Change
	if change != nil {
		changes = append(changes, change)
	}
	named := func(c *cmstest.Template) { c.DNSNames = []string{"a.example"} }
	return root.Authority(t, "Middle", cmstest.EC(t), changes...).Issue(t, "signer", cmstest.EC(t), named)
}

func TestPathLength(t *testing.T) {
	root := cmstest.Root(t, "Root", cmstest.EC(t), cmstest.NoMore)
	p := prove(t, cmstest.Message{}.Sign(t, content, below(t, root, nil)), cmstest.Anchor(t, "a", "signer", root))
	if len(p.Anchors) > 0 || !strings.Contains(p.Problem, "authorities below it") {
		t.Errorf("%+v", p)
	}
}

// TestExpired: the chain is judged by when its certificates lived, never by now.
func TestExpired(t *testing.T) {
	root := cmstest.Root(t, "Root", cmstest.EC(t), func(c *cmstest.Template) { cmstest.Old(c); c.NotAfter = c.NotAfter.AddDate(20, 0, 0) })
	p := prove(t, cmstest.Message{}.Sign(t, content, root.Issue(t, "signer", cmstest.EC(t), cmstest.Old)), cmstest.Anchor(t, "a", "signer", root))
	if p.Problem != "" || p.Life.From.Year() != 2019 || !p.Life.Until.Equal(time.Date(2020, 1, 1, 0, 0, 1, 0, time.UTC)) {
		t.Errorf("%+v", p)
	}
	dead := cmstest.Root(t, "Root", cmstest.EC(t), cmstest.Old)
	p = prove(t, cmstest.Message{}.Sign(t, content, dead.Issue(t, "signer", cmstest.EC(t))), cmstest.Anchor(t, "a", "signer", dead))
	if p.Problem == "" || !strings.Contains(p.Problem, "never all alive") {
		t.Errorf("%+v", p)
	}
}

func TestWeak(t *testing.T) {
	root := cmstest.Root(t, "Root", cmstest.RSA(t, 2048))
	for name, c := range map[string]struct {
		signer  *cmstest.Holder
		message cmstest.Message
		want    []proof.Weakness
	}{
		"SHA-1 digest":      {root.Issue(t, "signer", cmstest.RSA(t, 2048)), cmstest.Message{Digest: pkcs7.OIDDigestAlgorithmSHA1}, []proof.Weakness{proof.SHA1}},
		"SHA-1 certificate": {root.Issue(t, "signer", cmstest.RSA(t, 2048), cmstest.BySHA1), cmstest.Message{}, []proof.Weakness{proof.SHA1}},
		"short RSA":         {root.Issue(t, "signer", cmstest.RSA(t, 1024)), cmstest.Message{}, []proof.Weakness{proof.ShortRSA}},
		"none":              {root.Issue(t, "signer", cmstest.RSA(t, 2048)), cmstest.Message{}, nil},
	} {
		p := prove(t, c.message.Sign(t, content, c.signer), cmstest.Anchor(t, "a", "signer", root))
		if p.Problem != "" || !slices.Equal(p.Weak, c.want) {
			t.Errorf("%s: %+v", name, p)
		}
	}
}

func TestSeveralSigners(t *testing.T) {
	one, two := cmstest.Root(t, "One", cmstest.EC(t)).Issue(t, "one", cmstest.EC(t)), cmstest.Root(t, "Two", cmstest.EC(t)).Issue(t, "two", cmstest.EC(t))
	list := proveAll(t, cmstest.Message{}.Sign(t, content, one, two), cmstest.Anchor(t, "two", "two", two.Issuer))
	for _, p := range list {
		if good := p.Signer == two.Subject.String(); good != (p.Problem == "") || good != (len(p.Anchors) == 1) {
			t.Errorf("%+v", p)
		}
	}
	if len(list) != 2 {
		t.Errorf("%d proofs, want one for each signer", len(list))
	}
	var many []*cmstest.Holder
	for range 17 {
		many = append(many, one)
	}
	if p := prove(t, cmstest.Message{}.Sign(t, content, many...), cmstest.Anchor(t, "a", "one", one.Issuer)); !strings.Contains(p.Problem, "more than 16") {
		t.Errorf("%+v", p)
	}
}

// TestAttributesAsContent: the signature of a message with signed attributes is none over those attributes as content.
func TestAttributesAsContent(t *testing.T) {
	signer := cmstest.Root(t, "CA", cmstest.EC(t)).Issue(t, "signer", cmstest.EC(t))
	attributes, err := asn1.Marshal([]struct {
		Type   asn1.ObjectIdentifier
		Values []int `asn1:"set"`
	}{{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}, []int{1}}})
	if err != nil {
		t.Fatal(err)
	}
	attributes[0] = 0x31
	long := append([]byte{0x31, 0x83, 0x01, 0x80, 0x00, 0x30, 0x83, 0x01, 0x7f, 0xfb, 0x06, 0x01, 0x29, 0x31, 0x83, 0x01, 0x7f, 0xf3}, make([]byte, 0x17ff3)...)
	for _, attributes := range [][]byte{attributes, long} {
		p := prove(t, cmstest.Message{Plain: true, Attached: true}.Sign(t, attributes, signer), cmstest.Anchor(t, "a", "signer", signer.Issuer))
		if len(p.Anchors) > 0 || !strings.Contains(p.Problem, "forgery") {
			t.Errorf("%d bytes: %+v", len(attributes), p)
		}
	}
}

func TestAuthorityWithoutSubject(t *testing.T) {
	root := cmstest.Root(t, "Root", cmstest.EC(t))
	if _, err := cms.New([]anchor.Anchor{cmstest.Anchor(t, "anchors/a", "", root)}); err == nil || !strings.Contains(err.Error(), "anchors/a: subject: is missing") {
		t.Errorf("%v", err)
	}
	if _, err := cms.New([]anchor.Anchor{cmstest.TimeAnchor(t, "anchors/a", root)}); err != nil {
		t.Error(err)
	}
}

func TestForms(t *testing.T) {
	signer := cmstest.Root(t, "CA", cmstest.EC(t)).Issue(t, "signer", cmstest.EC(t))
	der := cmstest.Message{}.Sign(t, content, signer)
	a := cmstest.Anchor(t, "a", "signer", signer.Issuer)
	for _, label := range []string{"PKCS7", "CMS", "SIGNED MESSAGE"} {
		text := pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der})
		if p := prove(t, text, a); p.Problem != "" || !cms.Detect(text) {
			t.Errorf("%s: %+v", label, p)
		}
		if p := prove(t, append(text, "more"...), a); p.Problem == "" {
			t.Errorf("%s: good with more behind it", label)
		}
	}
	if !cms.Detect(der) || cms.Detect(content) || cms.Detect(nil) || cms.Detect([]byte("-----BEGIN CERTIFICATE-----")) {
		t.Error("Detect is wrong")
	}
	if p := prove(t, append(der, 0), a); p.Problem == "" {
		t.Error("good with a byte behind it")
	}
}

func TestDescribe(t *testing.T) {
	root := cmstest.Root(t, strings.Repeat("long ", 12), cmstest.EC(t))
	text, err := cms.Describe(cmstest.Anchor(t, "a", "signer", root, root))
	if err != nil || len(text) >= 200 || !strings.Contains(text, "signer") || !strings.Contains(text, "1 more") {
		t.Errorf("%q, %v", text, err)
	}
}

func BenchmarkVerify(b *testing.B) {
	for name, key := range map[string]func() *cmstest.Holder{
		"RSA": func() *cmstest.Holder {
			return cmstest.Root(b, "CA", cmstest.RSA(b, 2048)).Issue(b, "signer", cmstest.RSA(b, 2048))
		},
		"ECDSA": func() *cmstest.Holder { return cmstest.Root(b, "CA", cmstest.EC(b)).Issue(b, "signer", cmstest.EC(b)) },
	} {
		signer := key()
		v, err := cms.New([]anchor.Anchor{cmstest.Anchor(b, "a", "signer", signer.Issuer)})
		if err != nil {
			b.Fatal(err)
		}
		der, file := cmstest.Message{}.Sign(b, content, signer), proof.Bytes(proof.Artifact, "file", content)
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if list, err := v.Prove(b.Context(), der, file); err != nil || list[0].Problem != "" {
					b.Fatal(list, err)
				}
			}
		})
	}
}

func FuzzCMS(f *testing.F) {
	signer := cmstest.Root(f, "CA", cmstest.EC(f)).Issue(f, "signer", cmstest.EC(f))
	f.Add(cmstest.Message{}.Sign(f, content, signer))
	f.Add(cmstest.Message{Attached: true}.Sign(f, content, signer))
	stranger := cmstest.Root(f, "Other", cmstest.EC(f))
	v, err := cms.New([]anchor.Anchor{cmstest.Anchor(f, "a", "nobody", stranger)})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		cms.Detect(b)
		list, err := v.Prove(t.Context(), b, proof.Bytes(proof.Artifact, "file", content))
		if err != nil || len(list) == 0 {
			t.Fatalf("%+v, %v", list, err)
		}
		for _, p := range list {
			if p.Problem == "" || len(p.Problem) > 500 || len(p.Anchors) > 0 {
				t.Errorf("%+v", p)
			}
		}
	})
}
