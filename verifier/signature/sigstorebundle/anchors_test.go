package sigstorebundle

import (
	"strings"
	"testing"

	prototrustroot "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"

	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
)

func TestDescribe(t *testing.T) {
	for want, a := range map[string]anchor.Anchor{
		"ECDSA P-256, SHA-256 of the key ":                                         keyAnchor(t, "k", newKey(t).Public()),
		"issuer https://accounts.example.com, subject x@y":                         identityAnchor(t, "i", issuer, "x@y"),
		"CA fulcio.sigstore.dev; log rekor.sigstore.dev; CT log ctfe.sigstore.d":   rootAnchor("r", realRoot(t, "public-good.json")),
		"TSA virtual.tsa.sigstore.dev":                                             rootAnchor("r", realRoot(t, "public-key-validity.json")),
		"issuer https://accounts.example.com, subject " + strings.Repeat("x", 100): identityAnchor(t, "i", issuer, strings.Repeat("x", 1000)),
	} {
		if got, err := Describe(a); err != nil || !strings.HasPrefix(got, want) || len(got) > 200 {
			t.Errorf("%q, %v, want %q", got, err, want)
		}
	}
	for _, a := range []anchor.Anchor{named("k", anchor.PublicKey, "x"), named("i", anchor.SigstoreIdentity, "{}"), rootAnchor("r", "{}"), named("s", anchor.SSH, "x")} {
		if got, err := Describe(a); err == nil {
			t.Errorf("%s: %q", a.Kind, got)
		}
	}
}

func TestBadRoots(t *testing.T) {
	good := realRoot(t, "public-good.json")
	type Root = prototrustroot.TrustedRoot
	for name, material := range map[string]string{
		"nothing": "",
		"holds nothing": editRoot(t, good, func(r *Root) {
			r.Tlogs, r.Ctlogs, r.CertificateAuthorities, r.TimestampAuthorities = nil, nil, nil, nil
		}),
		"another media type": editRoot(t, good, func(r *Root) { r.MediaType = "application/json" }),
		"unknown field":      strings.Replace(good, "{", `{"more":1,`, 1),
		"too long":           good + strings.Repeat(" ", anchor.MaxMaterial),
		"a flood of logs":    editRoot(t, good, func(r *Root) { r.Tlogs = flood(r.Tlogs[0], maxAuthorities+1) }),
		"a long chain": editRoot(t, good, func(r *Root) {
			c := r.CertificateAuthorities[0].CertChain
			c.Certificates = flood(c.Certificates[0], maxCertificates+1)
		}),
		"a broken certificate":    editRoot(t, good, func(r *Root) { r.CertificateAuthorities[0].CertChain.Certificates[0].RawBytes = []byte("x") }),
		"a log without a key":     editRoot(t, good, func(r *Root) { r.Tlogs[0].PublicKey = nil }),
		"an authority without CA": editRoot(t, good, func(r *Root) { r.CertificateAuthorities[0].CertChain = nil }),
	} {
		v, err := New([]anchor.Anchor{rootAnchor("bad", material), rootAnchor("good", good)})
		if err == nil || !strings.Contains(err.Error(), "trustAnchors/bad: the trusted root cannot be read") || len(v.roots) != 1 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func flood[T any](one T, n int) (out []T) {
	for range n {
		out = append(out, one)
	}
	return out
}

func TestDetect(t *testing.T) {
	for content, want := range map[string]string{
		`{"mediaType":"` + MediaTypeV01 + `"}`:       MediaTypeV01,
		` {"x":1,"mediaType":"` + MediaType + `"} `:  MediaType,
		`{"mediaType":"application/json"}`:           "",
		`{"mediaType":1}`:                            "",
		`"` + MediaType + `"`:                        "",
		`-----BEGIN PGP SIGNATURE-----`:              "",
		`{"mediaType":"` + MediaType + `"} and more`: "",
	} {
		if got := MediaTypeOf([]byte(content)); got != want {
			t.Errorf("%s: %q", content, got)
		}
	}
}
