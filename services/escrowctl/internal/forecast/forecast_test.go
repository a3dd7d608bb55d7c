package forecast

import (
	"crypto/ecdsa"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/manifest"
	"github.com/countersign-escrow/countersign/escrow/resource"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/keyfile"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/releasefile"
	"github.com/countersign-escrow/countersign/verifier/publickey"
	"github.com/countersign-escrow/countersign/verifier/signature"
	"github.com/countersign-escrow/countersign/verifier/signature/sigstorebundle"
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	key, _, err := keyfile.New()
	check(t, err)
	return key
}

func message(t testing.TB, key *ecdsa.PrivateKey, change func(*pb.TrustAnchor)) *pb.TrustAnchor {
	text, err := publickey.PEM(key.Public())
	check(t, err)
	m := &pb.TrustAnchor{Name: "organizations/acme/trustAnchors/a", Purpose: pb.TrustAnchorPurpose_TRUST_ANCHOR_PURPOSE_RELEASE, PublicKeyPem: text}
	if change != nil {
		change(m)
	}
	return m
}

// deposit is a release with one source, which is signed by key beside the manifest.
func deposit(t testing.TB, key *ecdsa.PrivateKey, source manifest.Source) Request {
	path := filepath.Join(t.TempDir(), "src")
	check(t, os.WriteFile(path, []byte("source"), 0o600))
	source.Name, source.Digest, source.Size = "src", digest.Of([]byte("source")), 6
	name, err := resource.ParseRelease("organizations/acme/products/widget/releases/1")
	check(t, err)
	d := &releasefile.Deposit{Release: name, Bytes: []byte("the manifest"), Manifest: &manifest.Manifest{Sources: []manifest.Source{source}},
		Files: []releasefile.LocalFile{{Path: path, Digest: source.Digest, Size: 6}}}
	sign := func(over string, subject digest.Digest) releasefile.Signature {
		b, err := sigstorebundle.Sign(key, []byte(over))
		check(t, err)
		return releasefile.Signature{Signature: signature.Signature{Name: over, MediaType: sigstorebundle.MediaType, Content: b, Subject: subject}}
	}
	return Request{Deposit: d, Now: time.Now(), Signatures: []releasefile.Signature{sign("the manifest", digest.Digest{}), sign("source", source.Digest)}}
}

func TestJudge(t *testing.T) {
	key := newKey(t)
	for name, c := range map[string]struct {
		anchors []*pb.TrustAnchor
		passes  bool
		counts  int
		note    string
	}{
		"registered":      {[]*pb.TrustAnchor{message(t, key, nil)}, true, 2, ""},
		"nobody":          {nil, false, 0, ""},
		"another":         {[]*pb.TrustAnchor{message(t, newKey(t), nil)}, false, 0, ""},
		"sources alone":   {[]*pb.TrustAnchor{message(t, key, func(m *pb.TrustAnchor) { m.Purpose = pb.TrustAnchorPurpose_TRUST_ANCHOR_PURPOSE_SOURCE })}, false, 1, ""},
		"rebuilds":        {[]*pb.TrustAnchor{message(t, key, func(m *pb.TrustAnchor) { m.Purpose = pb.TrustAnchorPurpose_TRUST_ANCHOR_PURPOSE_REBUILD })}, false, 0, ""},
		"another product": {[]*pb.TrustAnchor{message(t, key, func(m *pb.TrustAnchor) { m.Product = "organizations/acme/products/gadget" })}, false, 0, ""},
		"this product":    {[]*pb.TrustAnchor{message(t, key, func(m *pb.TrustAnchor) { m.Product = "organizations/acme/products/widget" })}, true, 2, ""},
		"compromised":     {[]*pb.TrustAnchor{message(t, key, func(m *pb.TrustAnchor) { m.Compromised = true })}, false, 0, ""},
		"of the future":   {[]*pb.TrustAnchor{message(t, key, nil), {Name: "new"}}, true, 2, "new is of a kind that this program does not know"},
		"unreadable":      {[]*pb.TrustAnchor{message(t, key, func(m *pb.TrustAnchor) { m.PublicKeyPem = "nonsense" })}, false, 0, "cannot read"},
	} {
		r := deposit(t, key, manifest.Source{Kind: manifest.Archive})
		r.Anchors = c.anchors
		f, err := Judge(t.Context(), r)
		check(t, err)
		counts := 0
		for _, e := range f.Finding.Evidence.Signatures {
			if e.Valid {
				counts++
			}
		}
		if f.Passes() != c.passes || counts != c.counts || len(f.Finding.Evidence.Signatures) != 2 || !strings.Contains(strings.Join(f.Notes, "\n"), c.note) || (c.note == "") != (len(f.Notes) == 0) {
			t.Errorf("%s: %d count: %+v, %v", name, counts, f.Finding, f.Notes)
		}
	}
}

// What cannot be looked at here is told, and hinders nothing.
func TestGitSourcesThatCannotBeOpened(t *testing.T) {
	key := newKey(t)
	for want, s := range map[string]manifest.Source{
		"src are not looked at here: ": {Kind: manifest.GitBundle, Tag: "v1"},
		"held by the service alone":    {Kind: manifest.GitBundle, Tag: "v1", Bases: []manifest.File{{Digest: digest.Of([]byte("elsewhere")), Size: 9}}},
	} {
		r := deposit(t, key, s)
		r.Anchors = []*pb.TrustAnchor{message(t, key, nil)}
		f, err := Judge(t.Context(), r)
		if err != nil || !f.Passes() || len(f.Notes) != 1 || !strings.Contains(f.Notes[0], want) {
			t.Errorf("%+v, %v", f, err)
		}
	}
}

func TestFileThatChanged(t *testing.T) {
	r := deposit(t, newKey(t), manifest.Source{Kind: manifest.Archive})
	local := r.Deposit.Files[0]
	check(t, os.WriteFile(local.Path, []byte("another"), 0o600))
	if _, err := openSame(local); err == nil || !strings.Contains(err.Error(), "has changed since it was read") {
		t.Errorf("%v", err)
	}
}
