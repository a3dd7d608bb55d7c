package anchorpb_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/resource"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/anchormsg"
	"github.com/countersign-escrow/countersign/services/internal/anchorpb"
	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// ofEveryKind is one message for each kind of anchor.
func ofEveryKind() map[anchor.Kind]*pb.TrustAnchor {
	exact, pattern := &pb.NameMatch{Exact: "CN=Acme"}, &pb.NameMatch{Pattern: "https://.*"}
	return map[anchor.Kind]*pb.TrustAnchor{
		anchor.PublicKey:    {PublicKeyPem: "key"},
		anchor.OpenPGP:      {OpenpgpKeyring: "ring"},
		anchor.SSH:          {SshAllowedSigners: "signers"},
		anchor.X509:         {X509Certificates: &pb.X509Certificates{Pem: "certificates", Subject: exact}},
		anchor.SigstoreRoot: {SigstoreTrustedRoot: "root"},
		anchor.Minisign:     {MinisignPublicKey: "minisign"},
		anchor.SigstoreIdentity: {SigstoreIdentity: &pb.SigstoreIdentity{Issuer: exact, Subject: pattern,
			TrustedRoot: "organizations/acme/trustAnchors/r"}},
	}
}

// From message to catalog and back to a message, and from both to what signatures are judged by.
func TestEveryKindIsKept(t *testing.T) {
	for kind, in := range ofEveryKind() {
		t.Run(string(kind), func(t *testing.T) {
			in.Purpose, in.Unsafe = pb.TrustAnchorPurpose_TRUST_ANCHOR_PURPOSE_SOURCE, &pb.UnsafeAlgorithms{Sha1Unsafe: true}
			m, err := anchormsg.ReadMaterial(in)
			if err != nil || m.Kind != kind {
				t.Fatalf("read %v: %v", m, err)
			}
			row := &catalog.TrustAnchor{ID: "a", Organization: resource.Organization{ID: "acme"}, Purpose: catalog.PurposeSource,
				Kind: catalog.AnchorKind(m.Kind), Material: m.Text, Unsafe: catalog.UnsafeAlgorithms{SHA1: true},
				Description: "d", From: now, Until: now.Add(time.Hour), Revoked: now, Compromised: true, Created: now}
			out := anchorpb.Message(row)
			fromMessage, err := anchormsg.FromMessage(out)
			if err != nil {
				t.Fatal(err)
			}
			if fromRow := anchorpb.Anchor(row); fromRow != fromMessage || fromRow.Material == "" {
				t.Errorf("of the catalog %+v, of the message %+v", fromRow, fromMessage)
			}
			if out.GetDescription() != "d" || !out.GetCreateTime().AsTime().Equal(now) || out.GetName() != "organizations/acme/trustAnchors/a" {
				t.Errorf("message %v", out)
			}
			onlyMaterial := &pb.TrustAnchor{Purpose: in.Purpose, Unsafe: in.Unsafe, PublicKeyPem: out.PublicKeyPem, OpenpgpKeyring: out.OpenpgpKeyring,
				SshAllowedSigners: out.SshAllowedSigners, X509Certificates: out.X509Certificates, SigstoreIdentity: out.SigstoreIdentity,
				SigstoreTrustedRoot: out.SigstoreTrustedRoot, MinisignPublicKey: out.MinisignPublicKey}
			if !proto.Equal(onlyMaterial, in) {
				t.Errorf("came back as %v, was %v", onlyMaterial, in)
			}
		})
	}
}

func TestOneMaterialOnly(t *testing.T) {
	for name, c := range map[string]struct {
		in   *pb.TrustAnchor
		want []string
	}{
		"none": {&pb.TrustAnchor{}, []string{"holds nothing", "openpgp_keyring", "sigstore_identity"}},
		"two":  {&pb.TrustAnchor{PublicKeyPem: "k", SigstoreIdentity: &pb.SigstoreIdentity{}}, []string{"public_key_pem and sigstore_identity", "one trust anchor for each"}},
	} {
		_, err := anchormsg.FromMessage(c.in)
		if err == nil {
			t.Errorf("%s: taken", name)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, wants %q", name, err, want)
			}
		}
	}
}

func TestEveryPurposeHasItsEnum(t *testing.T) {
	for v := range pb.TrustAnchorPurpose_name {
		p := pb.TrustAnchorPurpose(v)
		c := anchorpb.Purpose(p)
		if unspecified := p == pb.TrustAnchorPurpose_TRUST_ANCHOR_PURPOSE_UNSPECIFIED; (c == "") != unspecified {
			t.Errorf("%s is %q", p, c)
		}
		if got := anchorpb.Message(&catalog.TrustAnchor{Purpose: c}).GetPurpose(); got != p {
			t.Errorf("%s came back as %s", p, got)
		}
	}
}
