package commands

import (
	"io"
	"strings"

	"github.com/spf13/cobra"

	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/client"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/output"
)

func (a *app) organizationCommand() *cobra.Command {
	return noun("organization", "The parties to the service",
		"Vendors, evaluators, auditors, agencies and the operator. Only the operator registers them.",
		a.createOrganization(), a.listOrganizations(), a.getOrganization())
}

func (a *app) createOrganization() *cobra.Command {
	var kind, country, display string
	c := &cobra.Command{
		Use:   "create ID",
		Short: "Register an organization (operators)",
		Long: `Register an organization. Its members then enrol with tokens: see escrowctl enrol token.

ID has 2 to 63 of a-z, 0-9 and '-', and starts with a letter. The kind says what it does: vendors deposit, evaluators
set policies and receive reports, auditors check attestations, agencies approve grants.`,
		Example: `  escrowctl organization create acme --kind vendor --country SE --display-name "Acme Networks"
  escrowctl organization create lab-fi --kind evaluator --country FI`,
		Args: cobra.ExactArgs(1),
		RunE: a.call(func(cmd *cobra.Command, c *client.Client, args []string) error {
			k, ok := pb.OrganizationKind_value["ORGANIZATION_KIND_"+strings.ToUpper(kind)]
			if !ok || k == 0 {
				return usagef("--kind %q: must be vendor, evaluator, auditor, agency or operator", kind)
			}
			resp, err := c.Directory.CreateOrganization(cmd.Context(), &pb.CreateOrganizationRequest{
				OrganizationId: strings.TrimPrefix(args[0], "organizations/"), RequestId: requestID(),
				Organization: &pb.Organization{Kind: pb.OrganizationKind(k), Country: country, DisplayName: display},
			})
			if err != nil {
				return err
			}
			return a.showOrganization(resp.GetOrganization())
		}),
	}
	c.Flags().StringVar(&kind, "kind", "", "vendor, evaluator, auditor, agency or operator")
	c.Flags().StringVar(&country, "country", "", "two upper-case letters of ISO 3166-1")
	c.Flags().StringVar(&display, "display-name", "", "its name for people")
	require(c, "kind", "country")
	return c
}

// require makes flags required.
func require(c *cobra.Command, names ...string) {
	for _, n := range names {
		if err := c.MarkFlagRequired(n); err != nil {
			panic(err) // a flag of that name was never defined
		}
	}
}

func (a *app) showOrganization(o *pb.Organization) error {
	return a.printer().Message(o, func(w io.Writer) {
		output.Fields(w, "organization", o.GetName(), "kind", output.Enum(o.GetKind(), "ORGANIZATION_KIND_"), "country", o.GetCountry(),
			"name", o.GetDisplayName(), "registered", output.Time(o.GetCreateTime()))
	})
}

func (a *app) listOrganizations() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List organizations",
		Long:    "List the organizations that the service knows, by id.",
		Example: "  escrowctl organization list",
		Args:    cobra.NoArgs,
		RunE: a.call(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			all, err := pages(func(token string) ([]*pb.Organization, string, error) {
				resp, err := c.Directory.ListOrganizations(cmd.Context(), &pb.ListOrganizationsRequest{PageToken: token})
				return resp.GetOrganizations(), resp.GetNextPageToken(), err
			})
			if err != nil {
				return err
			}
			return output.List(a.printer(), "organizations", all, []string{"ORGANIZATION", "KIND", "COUNTRY", "NAME"}, func(o *pb.Organization) []string {
				return []string{output.ID(o.GetName()), output.Enum(o.GetKind(), "ORGANIZATION_KIND_"), o.GetCountry(), o.GetDisplayName()}
			})
		}),
	}
}

func (a *app) getOrganization() *cobra.Command {
	return &cobra.Command{
		Use:     "get ID",
		Short:   "Show one organization",
		Long:    "Show one organization: its kind, country and name.",
		Example: "  escrowctl organization get lab-fi",
		Args:    cobra.ExactArgs(1),
		RunE: a.call(func(cmd *cobra.Command, c *client.Client, args []string) error {
			name, err := organization(args[0])
			if err != nil {
				return err
			}
			resp, err := c.Directory.GetOrganization(cmd.Context(), &pb.GetOrganizationRequest{Name: name.String()})
			if err != nil {
				return err
			}
			return a.showOrganization(resp.GetOrganization())
		}),
	}
}
