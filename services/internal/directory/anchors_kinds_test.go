package directory

import (
	"context"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/resource"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/anchorpb/anchortest"
	"github.com/countersign-escrow/countersign/services/internal/rpc/rpcfault"
	"github.com/countersign-escrow/countersign/services/internal/rpc/rpctest"
	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
)

const (
	forSource   = pb.TrustAnchorPurpose_TRUST_ANCHOR_PURPOSE_SOURCE
	forArtifact = pb.TrustAnchorPurpose_TRUST_ANCHOR_PURPOSE_ARTIFACT
	forTime     = pb.TrustAnchorPurpose_TRUST_ANCHOR_PURPOSE_TIME
)

func add(t *testing.T, by pb.DirectoryServiceClient, a *pb.TrustAnchor) (*pb.TrustAnchor, error) {
	t.Helper()
	resp, err := by.AddTrustAnchor(t.Context(), &pb.AddTrustAnchorRequest{Parent: "organizations/acme", TrustAnchor: a})
	return resp.GetTrustAnchor(), err
}

// Anchors of every kind are registered with what they hold, described, and listed as they were sent.
func TestAnchorsOfEveryKind(t *testing.T) {
	h := newHouse(t)
	made := map[string]*pb.TrustAnchor{}
	for kind, a := range anchortest.New(t).Anchors(t) {
		a.Purpose, a.Description = forRelease, "the caller's own words"
		if kind == anchor.OpenPGP {
			a.Purpose, a.Unsafe = forSource, &pb.UnsafeAlgorithms{Sha1Unsafe: true, Md5Unsafe: true}
		}
		got, err := add(t, h.acme, a)
		if err != nil {
			t.Errorf("%s: %v", kind, err)
			continue
		}
		if got.GetDescription() == "" || got.GetDescription() == a.GetDescription() || got.GetCompromised() || got.GetRevokeTime() != nil {
			t.Errorf("%s: %v", kind, got)
		}
		made[got.GetName()] = got
		sent := proto.CloneOf(got)
		sent.Name, sent.CreateTime, sent.ValidFrom, sent.Description = "", nil, nil, a.GetDescription()
		if !proto.Equal(sent, a) {
			t.Errorf("%s: sent %v, got %v", kind, a, got)
		}
	}
	list, err := h.acme.ListTrustAnchors(t.Context(), &pb.ListTrustAnchorsRequest{Parent: "organizations/acme"})
	if err != nil || len(list.GetTrustAnchors()) != len(made) {
		t.Fatalf("%d anchors listed, %d made, %v", len(list.GetTrustAnchors()), len(made), err)
	}
	for _, a := range list.GetTrustAnchors() {
		if !proto.Equal(a, made[a.GetName()]) {
			t.Errorf("listed %v, made %v", a, made[a.GetName()])
		}
	}
}

func TestAnchorsThatAreRefused(t *testing.T) {
	h := newHouse(t)
	keys := anchortest.New(t)
	good := keys.Anchors(t)
	short := publicKey(t, rpctest.Must[*rsa.PrivateKey](t)(rsa.GenerateKey(rand.Reader, 1024)))
	authority := good[anchor.X509].GetX509Certificates().GetPem()
	with := func(kind anchor.Kind, purpose pb.TrustAnchorPurpose) *pb.TrustAnchor {
		a := proto.CloneOf(good[kind])
		a.Purpose = purpose
		return a
	}
	both := with(anchor.OpenPGP, forRelease)
	both.SshAllowedSigners = keys.AllowedSigners()
	for name, c := range map[string]struct {
		anchor *pb.TrustAnchor
		code   codes.Code
		says   []string
	}{
		"nothing":                    {&pb.TrustAnchor{Purpose: forRelease}, codes.InvalidArgument, []string{"trust_anchor", "holds nothing"}},
		"two things":                 {both, codes.InvalidArgument, []string{"openpgp_keyring and ssh_allowed_signers"}},
		"time by OpenPGP":            {with(anchor.OpenPGP, forTime), codes.InvalidArgument, []string{"trust_anchor.purpose", "x509_certificates only"}},
		"a trusted root for sources": {with(anchor.SigstoreRoot, forSource), codes.InvalidArgument, []string{"trust_anchor.purpose", "must be RELEASE"}},
		"short RSA":                  {&pb.TrustAnchor{Purpose: forRelease, PublicKeyPem: short}, codes.InvalidArgument, []string{"1024 bits", "short_rsa_unsafe"}},
		"a secret key ring":          {&pb.TrustAnchor{Purpose: forRelease, OpenpgpKeyring: keys.SecretKeyRing(t)}, codes.InvalidArgument, []string{"trust_anchor.openpgp_keyring", "private key", "public key only"}},
		"a private key":              {&pb.TrustAnchor{Purpose: forRelease, PublicKeyPem: "-----BEGIN PRIVATE KEY-----\n"}, codes.InvalidArgument, []string{"private key"}},
		"a secret minisign key":      {&pb.TrustAnchor{Purpose: forRelease, MinisignPublicKey: "untrusted comment: minisign encrypted secret key\nRW"}, codes.InvalidArgument, []string{"private key"}},
		"no text":                    {&pb.TrustAnchor{Purpose: forRelease, SshAllowedSigners: "a\x00b"}, codes.InvalidArgument, []string{"trust_anchor.ssh_allowed_signers", "zero byte"}},
		"too much":                   {&pb.TrustAnchor{Purpose: forRelease, OpenpgpKeyring: strings.Repeat("x", 1<<20+1)}, codes.ResourceExhausted, []string{"trust_anchor.openpgp_keyring"}},
		"no key ring":                {&pb.TrustAnchor{Purpose: forRelease, OpenpgpKeyring: "hello"}, codes.InvalidArgument, []string{"trust_anchor.openpgp_keyring", "gpg --armor --export"}},
		"no allowed signers":         {&pb.TrustAnchor{Purpose: forRelease, SshAllowedSigners: "hello"}, codes.InvalidArgument, []string{"trust_anchor.ssh_allowed_signers", "principals"}},
		"no certificates":            {&pb.TrustAnchor{Purpose: forRelease, X509Certificates: &pb.X509Certificates{Pem: "hello"}}, codes.InvalidArgument, []string{"trust_anchor.x509_certificates", "CERTIFICATE"}},
		"an authority for anybody":   {&pb.TrustAnchor{Purpose: forRelease, X509Certificates: &pb.X509Certificates{Pem: authority}}, codes.InvalidArgument, []string{"trust_anchor.x509_certificates", "subject"}},
		"no trusted root":            {&pb.TrustAnchor{Purpose: forRelease, SigstoreTrustedRoot: "{}x"}, codes.InvalidArgument, []string{"trust_anchor.sigstore_trusted_root", "trusted_root.json"}},
		"no minisign key":            {&pb.TrustAnchor{Purpose: forRelease, MinisignPublicKey: "hello"}, codes.InvalidArgument, []string{"trust_anchor.minisign_public_key", ".pub file"}},
		"an identity of nobody":      {&pb.TrustAnchor{Purpose: forRelease, SigstoreIdentity: &pb.SigstoreIdentity{}}, codes.InvalidArgument, []string{"trust_anchor.sigstore_identity", "issuer"}},
		"a pattern that is none": {&pb.TrustAnchor{Purpose: forRelease, SigstoreIdentity: &pb.SigstoreIdentity{
			Issuer: &pb.NameMatch{Pattern: "("}, Subject: &pb.NameMatch{Exact: "x"}}}, codes.InvalidArgument, []string{"trust_anchor.sigstore_identity", "issuer"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := add(t, h.acme, c.anchor)
			wantCode(t, "add", err, c.code, "")
			for _, want := range c.says {
				if err != nil && !strings.Contains(rpcfault.FromStatus(err).Error(), want) {
					t.Errorf("%v does not say %q", rpcfault.FromStatus(err), want)
				}
			}
		})
	}
	for name, a := range map[string]*pb.TrustAnchor{
		"short RSA, allowed":    {Purpose: forArtifact, PublicKeyPem: short, Unsafe: &pb.UnsafeAlgorithms{ShortRsaUnsafe: true}},
		"an authority for time": {Purpose: forTime, X509Certificates: &pb.X509Certificates{Pem: anchortest.TimestampAuthority(t)}},
	} {
		if _, err := add(t, h.acme, a); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// For rebuilders nothing changes: one P-256 key, and nothing weak.
func TestRebuildersHaveKeysOnly(t *testing.T) {
	h := newHouse(t)
	for kind, a := range anchortest.New(t).Anchors(t) {
		a.Purpose = forRebuild
		_, err := h.lab.AddTrustAnchor(t.Context(), &pb.AddTrustAnchorRequest{Parent: "organizations/lab", TrustAnchor: a})
		wantCode(t, string(kind), err, codes.InvalidArgument, "")
	}
	a := &pb.TrustAnchor{Purpose: forRebuild, PublicKeyPem: publicKey(t, ecKey(t, elliptic.P256())), Unsafe: &pb.UnsafeAlgorithms{Sha1Unsafe: true}}
	_, err := h.lab.AddTrustAnchor(t.Context(), &pb.AddTrustAnchorRequest{Parent: "organizations/lab", TrustAnchor: a})
	wantCode(t, "unsafe", err, codes.InvalidArgument, "")
}

func TestTheRootOfAnIdentity(t *testing.T) {
	h := newHouse(t)
	addProduct(t, h.House, resource.Organization{ID: "acme"}, "widget")
	identity := func(root, product string) *pb.TrustAnchor {
		a := anchortest.New(t).Anchors(t)[anchor.SigstoreIdentity]
		a.SigstoreIdentity.TrustedRoot, a.Purpose, a.Product = root, forRelease, product
		return a
	}
	root := func(product string) *pb.TrustAnchor {
		made, err := add(t, h.acme, &pb.TrustAnchor{Purpose: forRelease, SigstoreTrustedRoot: anchortest.TrustedRoot(t), Product: product})
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	const widget = "organizations/acme/products/widget"
	good, limited, revoked := root(""), root(widget), root("")
	key, err := add(t, h.acme, &pb.TrustAnchor{Purpose: forRelease, PublicKeyPem: publicKey(t, edKey(t))})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.acme.RevokeTrustAnchor(t.Context(), &pb.RevokeTrustAnchorRequest{Name: revoked.GetName()}); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		anchor *pb.TrustAnchor
		code   codes.Code
	}{
		"any root":                {identity("", ""), codes.OK},
		"one root":                {identity(good.GetName(), ""), codes.OK},
		"for its product":         {identity(limited.GetName(), widget), codes.OK},
		"for other products too":  {identity(limited.GetName(), ""), codes.InvalidArgument},
		"no name":                 {identity("the root", ""), codes.InvalidArgument},
		"no such":                 {identity("organizations/acme/trustAnchors/none", ""), codes.InvalidArgument},
		"another organization's":  {identity(strings.Replace(good.GetName(), "acme", "lab", 1), ""), codes.InvalidArgument},
		"something else":          {identity(key.GetName(), ""), codes.InvalidArgument},
		"one that counts no more": {identity(revoked.GetName(), ""), codes.InvalidArgument},
	} {
		_, err := add(t, h.acme, c.anchor)
		wantCode(t, name, err, c.code, "")
		if err != nil && !strings.Contains(rpcfault.FromStatus(err).Error(), "trust_anchor.sigstore_identity.trusted_root") {
			t.Errorf("%s: %v names no field", name, rpcfault.FromStatus(err))
		}
	}
}

// judge notes of what it was told.
type judge struct{ told []string }

func (j *judge) AnchorCompromised(_ context.Context, _ *catalog.Tx, a *catalog.TrustAnchor) error {
	j.told = append(j.told, a.Name())
	return nil
}

// That a key is compromised may be said at once or later, is never taken back, and leaves the time of the first revocation.
func TestCompromisedAnchors(t *testing.T) {
	h := newHouse(t)
	a, err := add(t, h.acme, &pb.TrustAnchor{Purpose: forRelease, PublicKeyPem: publicKey(t, edKey(t))})
	if err != nil {
		t.Fatal(err)
	}
	revoked := h.clock
	for i, step := range []struct{ say, want bool }{{false, false}, {true, true}, {false, true}, {true, true}} {
		resp, err := h.acme.RevokeTrustAnchor(t.Context(), &pb.RevokeTrustAnchorRequest{Name: a.GetName(), Compromised: step.say})
		got := resp.GetTrustAnchor()
		if err != nil || got.GetCompromised() != step.want || !got.GetRevokeTime().AsTime().Equal(revoked.Truncate(time.Microsecond)) {
			t.Errorf("call %d: %v, %v", i, got, err)
		}
		h.clock = h.clock.Add(time.Hour)
	}
	if want := fmt.Sprint([]string{a.GetName(), a.GetName()}); fmt.Sprint(h.judge.told) != want {
		t.Errorf("the judge was told %v, want %s", h.judge.told, want)
	}
	_, err = h.lab.RevokeTrustAnchor(t.Context(), &pb.RevokeTrustAnchorRequest{Name: a.GetName(), Compromised: true})
	wantCode(t, "by another", err, codes.PermissionDenied, "NOT_YOURS")
}

// What an organization's anchors hold is bounded, and every page of them is a message that can be sent.
func TestMuchMaterial(t *testing.T) {
	h := newHouse(t)
	large := strings.Repeat("# pads\n", anchor.MaxMaterial/7+1)[:anchor.MaxMaterial]
	err := h.Catalog.Update(t.Context(), func(tx *catalog.Tx) error {
		for i := range 16 {
			a := catalog.TrustAnchor{ID: fmt.Sprintf("a%02d", i), Organization: resource.Organization{ID: "acme"}, Purpose: catalog.PurposeRelease,
				Kind: catalog.AnchorKind(anchor.SSH), Material: large, Created: h.clock}
			if err := tx.InsertTrustAnchor(a); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	seen, pages := 0, 0
	for token := ""; pages == 0 || token != ""; pages++ {
		resp, err := h.acme.ListTrustAnchors(t.Context(), &pb.ListTrustAnchorsRequest{Parent: "organizations/acme", PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		seen += len(resp.GetTrustAnchors())
		token = resp.GetNextPageToken()
	}
	if seen != 16 || pages < 4 {
		t.Errorf("%d anchors on %d pages", seen, pages)
	}
	a := &pb.TrustAnchor{Purpose: forRelease, SshAllowedSigners: anchortest.New(t).AllowedSigners()}
	_, err = add(t, h.acme, a)
	wantCode(t, "one more", err, codes.ResourceExhausted, "")
}
