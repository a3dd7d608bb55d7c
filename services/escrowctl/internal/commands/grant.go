package commands

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/countersign-escrow/countersign/escrow/resource"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/client"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/output"
)

func (a *app) grantCommand() *cobra.Command {
	return noun("grant", "Who may see what, from when until when",
		"A grant lets an evaluator or an auditor see a product's releases for a time. A lab without a live grant sees nothing.",
		a.createGrant(), a.listGrants(), a.revokeGrant())
}

func (a *app) createGrant() *cobra.Command {
	var grantee, of, from, until string
	c := &cobra.Command{
		Use:   "create --grantee ORGANIZATION --product PRODUCT --until TIME",
		Short: "Let another organization see a product (vendors)",
		Long:  "Let an evaluator or an auditor see a product's releases, reports' evidence and files from --from (now) until --until.",
		Example: `  escrowctl grant create --grantee lab-fi --product widget --until 90d
  escrowctl grant create --grantee lab-fi --product widget --from 2030-01-01 --until 2030-04-01T00:00:00Z`,
		Args: cobra.NoArgs,
		RunE: a.call(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			to, err := organization(grantee)
			if err != nil {
				return err
			}
			p, err := product(c, of)
			if err != nil {
				return err
			}
			g := &pb.Grant{Grantee: to.String(), Product: p.String()}
			if g.ValidFrom, err = timestamp(from); err != nil {
				return err
			}
			if g.ValidUntil, err = timestamp(until); err != nil {
				return err
			}
			resp, err := c.Grant.CreateGrant(cmd.Context(), &pb.CreateGrantRequest{Parent: p.Vendor.String(), Grant: g, RequestId: requestID()})
			if err != nil {
				return err
			}
			return a.showGrant(resp.GetGrant())
		}),
	}
	c.Flags().StringVar(&grantee, "grantee", "", "who may see")
	c.Flags().StringVar(&of, "product", "", "what they may see")
	c.Flags().StringVar(&from, "from", "", "from when: a date or RFC 3339 (default now)")
	c.Flags().StringVar(&until, "until", "", "until when: a span such as 90d, a date or RFC 3339")
	require(c, "grantee", "product", "until")
	return c
}

func (a *app) showGrant(g *pb.Grant) error {
	return a.printer().Message(g, func(w io.Writer) {
		output.Fields(w, "grant", g.GetName(), "grantee", g.GetGrantee(), "product", g.GetProduct(), "from", output.Time(g.GetValidFrom()),
			"until", output.Time(g.GetValidUntil()), "revoked", output.Time(g.GetRevokeTime()))
	})
}

func (a *app) listGrants() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List grants given and received",
		Long:    "List the grants that the profile's organization gave or was given, oldest first, revoked and ended ones included.",
		Example: "  escrowctl grant list",
		Args:    cobra.NoArgs,
		RunE: a.call(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			all, err := pages(func(token string) ([]*pb.Grant, string, error) {
				resp, err := c.Grant.ListGrants(cmd.Context(), &pb.ListGrantsRequest{Parent: c.Profile.Organization.String(), PageToken: token})
				return resp.GetGrants(), resp.GetNextPageToken(), err
			})
			if err != nil {
				return err
			}
			return output.List(a.printer(), "grants", all, []string{"GRANT", "GRANTEE", "PRODUCT", "FROM", "UNTIL", "REVOKED"}, func(g *pb.Grant) []string {
				return []string{g.GetName(), output.ID(g.GetGrantee()), output.ID(g.GetProduct()), output.Time(g.GetValidFrom()), output.Time(g.GetValidUntil()), output.Time(g.GetRevokeTime())}
			})
		}),
	}
}

func (a *app) revokeGrant() *cobra.Command {
	return &cobra.Command{
		Use:     "revoke GRANT",
		Short:   "End a grant at once (vendors)",
		Long:    "End a grant at once. Reads that are under way end too.",
		Example: "  escrowctl grant revoke organizations/acme/grants/0196…",
		Args:    cobra.ExactArgs(1),
		RunE: a.call(func(cmd *cobra.Command, c *client.Client, args []string) error {
			name, err := child(c, resource.Grants, args[0])
			if err != nil {
				return err
			}
			resp, err := c.Grant.RevokeGrant(cmd.Context(), &pb.RevokeGrantRequest{Name: name.String()})
			if err != nil {
				return err
			}
			return a.showGrant(resp.GetGrant())
		}),
	}
}
