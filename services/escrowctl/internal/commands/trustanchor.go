package commands

import (
	"context"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/client"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/output"
	"github.com/countersign-escrow/countersign/verifier/publickey"
)

func (a *app) trustAnchorCommand() *cobra.Command {
	return noun("trust-anchor", "The keys whose signatures count",
		"A vendor's trust anchors are the keys whose signatures over a release count; a rebuilder's are those over its findings.",
		a.addTrustAnchor(), a.listTrustAnchors(), a.revokeTrustAnchor())
}

type anchorFlags struct{ key, org, purpose, product, from, until string }

func (a *app) addTrustAnchor() *cobra.Command {
	var f anchorFlags
	c := &cobra.Command{
		Use:   "add --key FILE.pub",
		Short: "Register a public key",
		Long:  "Register a public key whose signatures count from now on, or from --from until --until.",
		Example: `  escrowctl trust-anchor add --key release.key.pub
  escrowctl trust-anchor add --key rebuild.key.pub --purpose rebuild --until 365d`,
		Args: cobra.NoArgs,
		RunE: a.call(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			org, err := ownOrganization(c, f.org)
			if err != nil {
				return err
			}
			anchor, err := f.anchor(c)
			if err != nil {
				return err
			}
			resp, err := c.Directory.AddTrustAnchor(cmd.Context(), &pb.AddTrustAnchorRequest{Parent: org.String(), TrustAnchor: anchor, RequestId: requestID()})
			if err != nil {
				return err
			}
			return a.showAnchor(resp.GetTrustAnchor())
		}),
	}
	c.Flags().StringVar(&f.key, "key", "", "file with the public key, PEM")
	c.Flags().StringVar(&f.org, "organization", "", "whose anchor it is (default the profile's)")
	c.Flags().StringVar(&f.purpose, "purpose", "release", "release: over manifests; rebuild: over a rebuilder's findings")
	c.Flags().StringVar(&f.product, "product", "", "the only product that it counts for (default all)")
	c.Flags().StringVar(&f.from, "from", "", "signatures count from then on: a date or RFC 3339 (default now)")
	c.Flags().StringVar(&f.until, "until", "", "signatures count until then: a span such as 365d, a date or RFC 3339 (default no end)")
	require(c, "key")
	return c
}

func (f *anchorFlags) anchor(c *client.Client) (*pb.TrustAnchor, error) {
	purpose, ok := pb.TrustAnchorPurpose_value["TRUST_ANCHOR_PURPOSE_"+strings.ToUpper(f.purpose)]
	if !ok || purpose == 0 {
		return nil, usagef("--purpose %q: must be release or rebuild", f.purpose)
	}
	key, err := readPublicKey(f.key)
	if err != nil {
		return nil, err
	}
	anchor := &pb.TrustAnchor{Purpose: pb.TrustAnchorPurpose(purpose), PublicKeyPem: key}
	if f.product != "" {
		p, err := product(c, f.product)
		if err != nil {
			return nil, err
		}
		anchor.Product = p.String()
	}
	if anchor.ValidFrom, err = timestamp(f.from); err != nil {
		return nil, err
	}
	anchor.ValidUntil, err = timestamp(f.until)
	return anchor, err
}

// readPublicKey reads a PEM file and makes sure that it is no private key before anything is sent.
func readPublicKey(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	if strings.Contains(string(b), "PRIVATE KEY") {
		return "", fault.Invalidf(path, "holds a private key, which goes to nobody").WithAdvice("give the public one, usually %s.pub", path)
	}
	key, err := publickey.Parse(string(b))
	if err != nil {
		return "", fault.Invalidf(path, "%v", err)
	}
	return publickey.PEM(key)
}

// timestamp reads a time, none for "".
func timestamp(s string) (*timestamppb.Timestamp, error) {
	if s == "" {
		return nil, nil
	}
	t, err := when(s, time.Now())
	return timestamppb.New(t), err
}

func (a *app) showAnchor(t *pb.TrustAnchor) error {
	return a.printer().Message(t, func(w io.Writer) {
		output.Fields(w, "trust anchor", t.GetName(), "purpose", output.Enum(t.GetPurpose(), "TRUST_ANCHOR_PURPOSE_"), "product", t.GetProduct(),
			"key id", keyID(t.GetPublicKeyPem()), "from", output.Time(t.GetValidFrom()), "until", output.Time(t.GetValidUntil()), "revoked", output.Time(t.GetRevokeTime()))
	})
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

func (a *app) listTrustAnchors() *cobra.Command {
	var org string
	c := &cobra.Command{
		Use:     "list",
		Short:   "List trust anchors",
		Long:    "List an organization's trust anchors, revoked ones included.",
		Example: "  escrowctl trust-anchor list",
		Args:    cobra.NoArgs,
		RunE: a.call(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			o, err := ownOrganization(c, org)
			if err != nil {
				return err
			}
			all, err := trustAnchors(cmd.Context(), c, o)
			if err != nil {
				return err
			}
			return output.List(a.printer(), "trustAnchors", all, []string{"TRUST ANCHOR", "PURPOSE", "PRODUCT", "KEY ID", "FROM", "UNTIL", "REVOKED"}, func(t *pb.TrustAnchor) []string {
				return []string{output.ID(t.GetName()), output.Enum(t.GetPurpose(), "TRUST_ANCHOR_PURPOSE_"), output.ID(t.GetProduct()), short(keyID(t.GetPublicKeyPem())),
					output.Time(t.GetValidFrom()), output.Time(t.GetValidUntil()), output.Time(t.GetRevokeTime())}
			})
		}),
	}
	c.Flags().StringVar(&org, "organization", "", "whose anchors (default the profile's)")
	return c
}

// trustAnchors returns all trust anchors of an organization.
func trustAnchors(ctx context.Context, c *client.Client, o resource.Organization) ([]*pb.TrustAnchor, error) {
	return pages(func(token string) ([]*pb.TrustAnchor, string, error) {
		resp, err := c.Directory.ListTrustAnchors(ctx, &pb.ListTrustAnchorsRequest{Parent: o.String(), PageToken: token})
		return resp.GetTrustAnchors(), resp.GetNextPageToken(), err
	})
}

// short cuts a long identifier for a table.
func short(s string) string {
	const most = 16
	if len(s) > most {
		return s[:most]
	}
	return s
}

func (a *app) revokeTrustAnchor() *cobra.Command {
	return &cobra.Command{
		Use:     "revoke ID",
		Short:   "End a trust anchor's validity at once",
		Long:    "End a trust anchor's validity at once. Signatures that were judged before keep their findings.",
		Example: "  escrowctl trust-anchor revoke 0196…",
		Args:    cobra.ExactArgs(1),
		RunE: a.call(func(cmd *cobra.Command, c *client.Client, args []string) error {
			name, err := child(c, resource.TrustAnchors, args[0])
			if err != nil {
				return err
			}
			resp, err := c.Directory.RevokeTrustAnchor(cmd.Context(), &pb.RevokeTrustAnchorRequest{Name: name.String()})
			if err != nil {
				return err
			}
			return a.showAnchor(resp.GetTrustAnchor())
		}),
	}
}
