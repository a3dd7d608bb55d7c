package signature

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha512"
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/resource"
	"github.com/countersign-escrow/countersign/verifier/finding"
	"github.com/countersign-escrow/countersign/verifier/publickey"
	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
	"github.com/countersign-escrow/countersign/verifier/signature/openpgp"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
	"github.com/countersign-escrow/countersign/verifier/signature/sigstorebundle"
	"github.com/countersign-escrow/countersign/verifier/signature/sshsig"
)

// signer signs manifests with a plain key and files with an SSH key.
type signer struct {
	t     *testing.T
	plain *ecdsa.PrivateKey
	ssh   ssh.Signer
}

func newSigner(t *testing.T) *signer {
	t.Helper()
	plain, err1 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	_, key, err2 := ed25519.GenerateKey(rand.Reader)
	s, err3 := ssh.NewSignerFromKey(key)
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	return &signer{t, plain, s}
}

func (s *signer) must(b []byte, err error) []byte {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

func (s *signer) bundle(content []byte) Signature {
	return Signature{Name: "m.sigstore.json", MediaType: sigstorebundle.MediaType, Content: s.must(sigstorebundle.Sign(s.plain, content))}
}

func (s *signer) file(content []byte) Signature {
	return Signature{Name: "f.sig", MediaType: sshsig.MediaType, Content: s.must(sshsig.Sign(s.ssh, strings.NewReader(string(content)))), Subject: digest.Of(content)}
}

func (s *signer) list(list string) Signature {
	sig := s.file([]byte(list))
	sig.Subject, sig.List, sig.ListName = digest.Digest{}, []byte(list), "SUMS"
	return sig
}

func (s *signer) anchors(purpose anchor.Purpose) []anchor.Anchor {
	pem, err := publickey.PEM(s.plain.Public())
	return []anchor.Anchor{
		{Name: "plain", Kind: anchor.PublicKey, Purpose: purpose, Material: string(s.must([]byte(pem), err))},
		{Name: "ssh", Kind: anchor.SSH, Purpose: purpose, Material: "vendor " + string(ssh.MarshalAuthorizedKey(s.ssh.PublicKey()))},
	}
}

var (
	theManifest = []byte("the manifest\n")
	theSource   = []byte("the source")
	theBinary   = []byte("the binary")
)

func newRelease(t *testing.T, sigs ...Signature) Release {
	t.Helper()
	name, err := resource.ParseRelease("organizations/vendor/products/widget/releases/1.0")
	if err != nil {
		t.Fatal(err)
	}
	return Release{Name: name, Manifest: theManifest, Signatures: sigs, Deposited: deposited, Files: []proof.File{
		proof.Bytes(proof.Source, "widget-1.0.tar.gz", theSource), proof.Bytes(proof.Artifact, "bin/widget", theBinary),
	}}
}

func check1(t *testing.T, anchors []anchor.Anchor, r Release) finding.Finding {
	t.Helper()
	trust := NewTrust(anchors)
	f, err := trust.Check(t.Context(), r)
	if err := errors.Join(err, trust.Unreadable()); err != nil {
		t.Fatal(err)
	}
	if f.Check != finding.Signature {
		t.Fatalf("%+v", f)
	}
	return f
}

func TestCheck(t *testing.T) {
	s, stranger := newSigner(t), newSigner(t)
	sum := func(b []byte, name string) string { return digest.Of(b).Hex() + "  " + name + "\n" }
	unknown := Signature{MediaType: "application/x-other", Content: []byte("x")}
	elsewhere := s.file([]byte("a file of another release"))
	large := s.bundle(theManifest)
	large.Content = append(large.Content, make([]byte, MaxSignatureBytes)...)
	for name, c := range map[string]struct {
		sigs    []Signature
		outcome finding.Outcome
		listed  int
		says    string // of the last piece of evidence: what it covers by name, or its problem
	}{
		"the manifest":                {[]Signature{s.bundle(theManifest)}, finding.Passed, 1, "manifest"},
		"the manifest, by SSH":        {[]Signature{func() Signature { x := s.file(theManifest); x.Subject = digest.Digest{}; return x }()}, finding.Passed, 1, "manifest"},
		"other bytes":                 {[]Signature{s.bundle(theSource)}, finding.Failed, 1, "!over other bytes"},
		"good among bad":              {[]Signature{unknown, stranger.bundle(theManifest), s.bundle(theManifest)}, finding.Passed, 3, "manifest"},
		"bad among good":              {[]Signature{s.bundle(theManifest), stranger.file(theSource)}, finding.Passed, 2, "!trust anchor"},
		"a source":                    {[]Signature{s.bundle(theManifest), s.file(theSource)}, finding.Passed, 2, "widget-1.0.tar.gz"},
		"a source alone":              {[]Signature{s.file(theSource)}, finding.Failed, 1, "widget-1.0.tar.gz"},
		"no file of the release":      {[]Signature{elsewhere}, finding.Failed, 1, "!no file of the release"},
		"a list":                      {[]Signature{s.list(sum(theBinary, "widget") + sum(theSource, "widget-1.0.tar.gz"))}, finding.Failed, 1, "widget-1.0.tar.gz bin/widget"},
		"a list of SHA-512":           {[]Signature{s.list(fmt.Sprintf("%x  widget\n", sha512.Sum512(theBinary)))}, finding.Failed, 1, "bin/widget"},
		"a list with the manifest":    {[]Signature{s.list(sum(theManifest, "manifest.json"))}, finding.Passed, 1, "manifest"},
		"a list of another version":   {[]Signature{s.list(sum(theSource, "widget-0.9.tar.gz"))}, finding.Failed, 1, "!names no file"},
		"a list of other bytes":       {[]Signature{s.list(sum(nil, "widget"))}, finding.Failed, 1, "!names no file"},
		"a list that is none":         {[]Signature{s.list("hello\n")}, finding.Failed, 1, "!no list of checksums"},
		"a stranger's list":           {[]Signature{stranger.list(sum(theBinary, "widget"))}, finding.Failed, 1, "!trust anchor"},
		"an unknown kind":             {[]Signature{unknown}, finding.Failed, 1, `!no kind of signature has the media type "application/x-other"`},
		"larger than is read":         {[]Signature{large}, finding.Failed, 1, "!bytes, 262144 at most"},
		"none":                        {nil, finding.Failed, 0, ""},
		"more than are judged":        {make([]Signature, MaxSignatures+1), finding.Failed, 0, ""},
		"the media type with a blank": {[]Signature{{MediaType: "application/vnd.dev.sigstore.bundle+json; version=0.3", Content: []byte("{}")}}, finding.Failed, 1, "!media type is"},
	} {
		t.Run(name, func(t *testing.T) {
			f := check1(t, s.anchors(anchor.Release), newRelease(t, c.sigs...))
			if f.Outcome != c.outcome || len(f.Evidence.Signatures) != c.listed || f.Summary == "" {
				t.Fatalf("%+v", f)
			}
			if c.listed > 0 {
				says(t, f.Evidence.Signatures[c.listed-1], c.says)
			}
		})
	}
}

// says compares a piece of evidence with the names that it covers, or with a part of its problem after "!".
func says(t *testing.T, e finding.SignatureEvidence, want string) {
	t.Helper()
	if problem, bad := strings.CutPrefix(want, "!"); bad {
		if e.Valid || !strings.Contains(e.Problem, problem) {
			t.Errorf("%+v, want the problem %q", e, problem)
		}
		return
	}
	var names []string
	for _, f := range e.Files {
		names = append(names, f.Name)
	}
	if got := strings.Join(names, " "); !e.Valid || got != want || e.Anchor == "" || e.Time == "" || e.TimeBy == "" {
		t.Errorf("%+v, want it to cover %s", e, want)
	}
}

func TestListsCoverWhatThePurposeAllows(t *testing.T) {
	s := newSigner(t)
	sums := digest.Of(theBinary).Hex() + "  widget\n" + digest.Of(theSource).Hex() + "  widget-1.0.tar.gz\n"
	f := check1(t, s.anchors(anchor.Source), newRelease(t, s.list(sums)))
	says(t, f.Evidence.Signatures[0], "widget-1.0.tar.gz")
}

func TestFilesWithTheSameBytes(t *testing.T) {
	s := newSigner(t)
	r := newRelease(t, s.file(theBinary))
	r.Files = append(r.Files, proof.Bytes(proof.Artifact, "bin/copy", theBinary))
	says(t, check1(t, s.anchors(anchor.Release), r).Evidence.Signatures[0], "bin/widget bin/copy")
}

func TestFailureToReadIsNoFinding(t *testing.T) {
	s, broken := newSigner(t), errors.New("the disk is broken")
	r := newRelease(t, s.file(theSource))
	r.Files[0].Open = func(context.Context) (proof.Content, error) { return nil, broken }
	if f, err := NewTrust(s.anchors(anchor.Release)).Check(t.Context(), r); !errors.Is(err, broken) {
		t.Errorf("%+v, %v", f, err)
	}
}

func TestUnreadableAnchors(t *testing.T) {
	s := newSigner(t)
	anchors := s.anchors(anchor.Release)
	for _, k := range []anchor.Kind{anchor.PublicKey, anchor.OpenPGP, anchor.SSH, anchor.X509, anchor.SigstoreIdentity, anchor.SigstoreRoot, anchor.Minisign} {
		bad := anchor.Anchor{Name: "bad-" + string(k), Kind: k, Purpose: anchor.Release, Material: "nonsense"}
		anchors = append(anchors, bad)
		if err := CheckAnchor(bad); err == nil || len(err.Error()) > 1000 {
			t.Errorf("%s: %v", k, err)
		}
		if got := Describe(bad); got != "" {
			t.Errorf("%s: described as %q", k, got)
		}
	}
	if err := CheckAnchor(anchor.Anchor{Kind: "OTHER"}); err == nil {
		t.Error("an unknown kind of anchor is taken")
	}
	trust := NewTrust(anchors)
	for _, a := range anchors[2:] {
		if err := trust.Unreadable(); err == nil || !strings.Contains(err.Error(), a.Name+":") {
			t.Errorf("%s is not named: %v", a.Name, err)
		}
	}
	if f, err := trust.Check(t.Context(), newRelease(t, s.bundle(theManifest))); err != nil || f.Outcome != finding.Passed {
		t.Errorf("%+v, %v", f, err)
	}
}

func TestDescribeAndDetect(t *testing.T) {
	s := newSigner(t)
	for _, a := range s.anchors(anchor.Release) {
		if err := CheckAnchor(a); err != nil {
			t.Errorf("%s: %v", a.Name, err)
		}
		if got := Describe(a); got == "" || len(got) > 210 {
			t.Errorf("%s: %q", a.Name, got)
		}
	}
	for _, sig := range []Signature{s.bundle(theManifest), s.file(theSource)} {
		if got := Detect(sig.Content); got != sig.MediaType {
			t.Errorf("%s is taken for %q", sig.MediaType, got)
		}
	}
	if got := Detect([]byte("hello\n")); got != "" {
		t.Errorf("a text is taken for %q", got)
	}
}

// TestOneSignatureInSeveralWays makes sure that a signature is listed once, whichever way it is good in.
func TestOneSignatureInSeveralWays(t *testing.T) {
	s := newSigner(t)
	a := s.anchors(anchor.Release)[1]
	key := strings.TrimPrefix(a.Material, "vendor ")
	for _, lines := range []string{
		"old valid-before=\"20200101\" " + key + "new " + key,
		"new " + key + "old valid-before=\"20200101\" " + key,
	} {
		a.Material = lines
		f := check1(t, []anchor.Anchor{a}, newRelease(t, s.file(theSource)))
		if n := len(f.Evidence.Signatures); n != 1 || f.Evidence.Signatures[0].Signer != "new" {
			t.Errorf("%q: %+v", lines, f.Evidence.Signatures)
		}
	}
}

func TestBadTextCoversWhatItCarries(t *testing.T) {
	for _, content := range []string{
		"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nhello\n",
		"-----BEGIN PGP SIGNATURE-----\n\niHUEABYIAB0WIQ==\n-----END PGP SIGNATURE-----\n", // of another form than its media type says
	} {
		text := Signature{Name: "SUMS.asc", MediaType: openpgp.MediaTypeClearsigned, Content: []byte(content)}
		e := check1(t, nil, newRelease(t, text)).Evidence.Signatures[0]
		if e.Valid || e.Problem == "" || e.Covers != "what it carries" {
			t.Errorf("%+v", e)
		}
	}
}
