package commands

import (
	"context"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/countersign-escrow/countersign/escrow/resource"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/client"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/output"
	"github.com/countersign-escrow/countersign/services/internal/anchormsg"
	"github.com/countersign-escrow/countersign/verifier/publickey"
)

func (a *app) trustAnchorCommand() *cobra.Command {
	return noun("trust-anchor", "The keys, certificates and identities whose signatures count",
		"A vendor's trust anchors are whose signatures over a release count; a rebuilder's are the keys of its findings.",
		a.addTrustAnchor(), a.listTrustAnchors(), a.showTrustAnchor(), a.revokeTrustAnchor())
}

// trustAnchors returns all trust anchors of an organization.
func trustAnchors(ctx context.Context, c *client.Client, o resource.Organization) ([]*pb.TrustAnchor, error) {
	return pages(func(token string) ([]*pb.TrustAnchor, string, error) {
		resp, err := c.Directory.ListTrustAnchors(ctx, &pb.ListTrustAnchorsRequest{Parent: o.String(), PageToken: token})
		return resp.GetTrustAnchors(), resp.GetNextPageToken(), err
	})
}

func (a *app) printAnchor(t *pb.TrustAnchor) error {
	return a.printer().Message(t, func(w io.Writer) {
		output.Fields(w, "trust anchor", t.GetName(), "kind", anchorKind(t), "holds", t.GetDescription(), "purpose", anchorPurpose(t), "product", t.GetProduct(),
			"allows", allowed(t.GetUnsafe()), "from", output.Time(t.GetValidFrom()), "until", output.Time(t.GetValidUntil()), "revoked", revoked(t))
	})
}

func anchorPurpose(t *pb.TrustAnchor) string {
	return output.Enum(t.GetPurpose(), "TRUST_ANCHOR_PURPOSE_")
}

// anchorKind names what an anchor holds, "" if this program does not know it.
func anchorKind(t *pb.TrustAnchor) string {
	m, err := anchormsg.ReadMaterial(t)
	if err != nil {
		return ""
	}
	return string(m.Kind)
}

func revoked(t *pb.TrustAnchor) string {
	if t.GetCompromised() {
		return output.Time(t.GetRevokeTime()) + " COMPROMISED"
	}
	return output.Time(t.GetRevokeTime())
}

// allowed lists the weak algorithms that an anchor's signatures may use.
func allowed(u *pb.UnsafeAlgorithms) string {
	var weak []string
	for _, one := range []struct {
		is   bool
		name string
	}{{u.GetMd5Unsafe(), "MD5"}, {u.GetSha1Unsafe(), "SHA-1"}, {u.GetShortRsaUnsafe(), "short RSA keys"}} {
		if one.is {
			weak = append(weak, one.name)
		}
	}
	return strings.Join(weak, ", ")
}

// keyID names a key, "" if it cannot be read.
func keyID(pem string) string {
	key, err := publickey.Parse(pem)
	if err != nil {
		return ""
	}
	id, _ := publickey.ID(key)
	return id
}

// short cuts a long identifier for a table.
func short(s string) string {
	const most = 16
	if len(s) > most {
		return s[:most]
	}
	return s
}
