package signeddata_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"strings"
	"testing"

	"github.com/smallstep/pkcs7"

	"github.com/countersign-escrow/countersign/verifier/signature/cms/cmstest"
	"github.com/countersign-escrow/countersign/verifier/signature/cms/signeddata"
)

var content = []byte("content")

func TestMalformed(t *testing.T) {
	bomb := bytes.Repeat([]byte{0x30, 0x80}, 100000)
	deep := []byte{0x05, 0x00}
	for range 60 {
		deep = append([]byte{0x30, byte(len(deep))}, deep...)
	}
	for name, c := range map[string]struct {
		der  []byte
		want string
	}{
		"nothing":           {nil, "cut off"},
		"indefinite length": {bomb, "indefinite length"},
		"too deep":          {deep, "deeper than"},
		"too long":          {make([]byte, signeddata.MaxBytes+1), "at most"},
		"longer than it is": {[]byte{0x30, 0x05, 0x05, 0x00}, "longer than"},
		"long length":       {[]byte{0x30, 0x85, 1, 1, 1, 1, 1}, "more than 4 bytes"},
		"bytes behind":      {[]byte{0x30, 0x02, 0x05, 0x00, 0x00}, "follow the message"},
		"no CMS":            {[]byte{0x30, 0x02, 0x05, 0x00}, "no CMS message"},
		"too many elements": {append([]byte{0x30, 0x83, 0x02, 0x00, 0x00}, bytes.Repeat([]byte{5, 0}, 1<<16)...), "more than 65536 elements"},
	} {
		if _, err := signeddata.Parse(c.der); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// TestAgreesWithLibrary holds the reader against another one.
func TestAgreesWithLibrary(t *testing.T) {
	signer := cmstest.Root(t, "CA", cmstest.EC(t)).Issue(t, "signer", cmstest.EC(t))
	der := cmstest.Message{Attached: true}.Sign(t, content, signer)
	for at := range der {
		changed := bytes.Clone(der)
		changed[at] ^= 0x10
		if ours, theirs := check(changed), library(changed); ours == nil && theirs != nil {
			t.Errorf("byte %d: good here, and by the library: %v", at, theirs)
		}
	}
	if err := check(der); err != nil {
		t.Error(err)
	}
}

func check(der []byte) error {
	m, err := signeddata.Parse(der)
	if err != nil {
		return err
	}
	c := m.Signers[0].Certificate(m.Certificates)
	if c == nil {
		return errors.New("no certificate")
	}
	return m.Signers[0].Check(c, m.ContentType, signeddata.Bytes(m.Content))
}

func library(der []byte) error {
	p, err := pkcs7.Parse(der)
	if err != nil || len(p.Signers) == 0 {
		return nil // it refuses a message for any certificate, and takes one that it cannot read for one without signers
	}
	return p.Verify()
}

type attribute struct {
	Type   asn1.ObjectIdentifier
	Values []asn1.RawValue `asn1:"set"`
}

type signerInfo struct {
	Version   int
	ID        asn1.RawValue
	Digest    pkix.AlgorithmIdentifier
	Signed    asn1.RawValue `asn1:"optional"`
	Algorithm pkix.AlgorithmIdentifier
	Signature []byte
}

var (
	oidContentType   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}
	oidMessageDigest = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}
	oidSHA512        = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 3}
	oidNamed         = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 12}
	oidNamedV2       = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 47}
	oidEd25519       = asn1.ObjectIdentifier{1, 3, 101, 112}
)

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	b, err := asn1.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func value(t *testing.T, oid asn1.ObjectIdentifier, values ...any) attribute {
	t.Helper()
	a := attribute{Type: oid}
	for _, v := range values {
		a.Values = append(a.Values, asn1.RawValue{FullBytes: marshal(t, v)})
	}
	return a
}

// sign makes a SignerInfo by Ed25519 (RFC 8419), which stock tools do not make yet.
func sign(t *testing.T, by *cmstest.Holder, attributes ...attribute) *signeddata.Signer {
	t.Helper()
	info := signerInfo{Version: 3, ID: asn1.RawValue{Class: asn1.ClassContextSpecific, Bytes: by.SubjectKeyId},
		Digest: pkix.AlgorithmIdentifier{Algorithm: oidSHA512}, Algorithm: pkix.AlgorithmIdentifier{Algorithm: oidEd25519}}
	over := content
	if len(attributes) > 0 {
		over = marshal(t, attributes)
		over[0] = 0x31
		info.Signed = asn1.RawValue{FullBytes: append([]byte{0xa0}, over[1:]...)}
	}
	info.Signature = ed25519.Sign(by.Key.(ed25519.PrivateKey), over)
	s, err := signeddata.ParseSigner(marshal(t, info))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// named is the attribute by which a signer names its certificate.
func named(sum []byte) any {
	return struct{ Certificates []struct{ Digest []byte } }{[]struct{ Digest []byte }{{sum}}}
}

func oldSum(der []byte) []byte { s := sha1.Sum(der); return s[:] }
func newSum(der []byte) []byte { s := sha256.Sum256(der); return s[:] }

func TestSignedAttributes(t *testing.T) {
	by := cmstest.Root(t, "CA", cmstest.EC(t)).Issue(t, "signer", cmstest.Ed25519(t))
	sum, other := sha512.Sum512(content), sha512.Sum512([]byte("other"))
	data, about := value(t, oidContentType, signeddata.OIDData), value(t, oidMessageDigest, sum[:])
	for name, c := range map[string]struct {
		attributes []attribute
		want       string
	}{
		"good":           {[]attribute{data, about}, ""},
		"none":           {nil, ""},
		"no digest":      {[]attribute{data}, "message digest"},
		"no type":        {[]attribute{about}, "content type"},
		"another type":   {[]attribute{value(t, oidContentType, oidMessageDigest), about}, "another type"},
		"another digest": {[]attribute{data, value(t, oidMessageDigest, other[:])}, "other content"},
		"two digests":    {[]attribute{data, about, value(t, oidMessageDigest, other[:])}, "exactly once"},
		"by other hash":  {[]attribute{data, about, value(t, oidNamedV2, named(oldSum(by.Raw)))}, "another certificate"},
		"named":          {[]attribute{data, about, value(t, oidNamedV2, named(newSum(by.Raw)))}, ""},
		"named by SHA-1": {[]attribute{data, about, value(t, oidNamed, named(oldSum(by.Raw)))}, ""},
		"another named":  {[]attribute{data, about, value(t, oidNamedV2, named(newSum(by.Issuer.Raw)))}, "another certificate"},
		"one of each":    {[]attribute{data, about, value(t, oidNamed, named(oldSum(by.Raw))), value(t, oidNamedV2, named(newSum(nil)))}, "another certificate"},
		"named twice":    {[]attribute{data, about, value(t, oidNamedV2, named(newSum(by.Raw)), named(newSum(nil)))}, "exactly once"},
		"named badly":    {[]attribute{data, about, value(t, oidNamedV2, 5)}, "cannot be read"},
		"two values":     {[]attribute{data, value(t, oidMessageDigest, sum[:], other[:])}, "exactly once"},
	} {
		s := sign(t, by, c.attributes...)
		if !by.Equal(s.Certificate([]*cmstest.Template{by.Issuer.Certificate, by.Certificate})) {
			t.Fatal("not found by its key id")
		}
		err := s.Check(by.Certificate, signeddata.OIDData, signeddata.Bytes(content))
		if (c.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := sign(t, by).Check(by.Certificate, oidMessageDigest, signeddata.Bytes(content)); err == nil {
		t.Error("no attributes over content that is not plain: good")
	}
}

func FuzzDER(f *testing.F) {
	f.Add(cmstest.Message{}.Sign(f, content, cmstest.Root(f, "CA", cmstest.EC(f)).Issue(f, "signer", cmstest.EC(f))))
	f.Add(bytes.Repeat([]byte{0x30, 0x80}, 100))
	f.Fuzz(func(_ *testing.T, b []byte) { _ = check(b) })
}
