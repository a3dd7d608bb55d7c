package commands

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/client"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/output"
	"github.com/countersign-escrow/countersign/services/internal/anchormsg"
)

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
			return output.List(a.printer(), "trustAnchors", all, []string{"TRUST ANCHOR", "KIND", "PURPOSE", "PRODUCT", "FROM", "UNTIL", "REVOKED", "DESCRIPTION"}, func(t *pb.TrustAnchor) []string {
				return []string{output.ID(t.GetName()), anchorKind(t), anchorPurpose(t), output.ID(t.GetProduct()),
					output.Time(t.GetValidFrom()), output.Time(t.GetValidUntil()), revoked(t), t.GetDescription()}
			})
		}),
	}
	c.Flags().StringVar(&org, "organization", "", "whose anchors (default the profile's)")
	return c
}

func (a *app) showTrustAnchor() *cobra.Command {
	return &cobra.Command{
		Use:     "show ID",
		Short:   "Show one trust anchor with all that it holds",
		Long:    "Show one trust anchor with all that it holds: keys, certificates, identities.",
		Example: "  escrowctl trust-anchor show 0196…",
		Args:    cobra.ExactArgs(1),
		RunE: a.call(func(cmd *cobra.Command, c *client.Client, args []string) error {
			name, err := child(c, resource.TrustAnchors, args[0])
			if err != nil {
				return err
			}
			all, err := trustAnchors(cmd.Context(), c, name.Organization)
			if err != nil {
				return err
			}
			for _, t := range all {
				if t.GetName() == name.String() {
					return a.printWholeAnchor(t)
				}
			}
			return fault.NoSuch(name.String())
		}),
	}
}

func (a *app) printWholeAnchor(t *pb.TrustAnchor) error {
	if err := a.printAnchor(t); err != nil || a.outputFlag == "json" {
		return err
	}
	m, err := anchormsg.ReadMaterial(t)
	if err != nil {
		return err
	}
	_, err = io.WriteString(a.Out, "\n"+cleanLines(m.Text))
	return err
}

func (a *app) revokeTrustAnchor() *cobra.Command {
	var compromised bool
	c := &cobra.Command{
		Use:   "revoke ID",
		Short: "End a trust anchor's validity at once",
		Long: `End a trust anchor's validity at once: what it signs from now on counts no more, and what it signed before stays good.

With --compromised, somebody else may have the key, and nobody can tell any more who signed what: nothing that it ever
signed counts, in releases deposited before, too. That can be said later of an anchor that is revoked already, and can
not be taken back.`,
		Example: `  escrowctl trust-anchor revoke 0196…
  escrowctl trust-anchor revoke 0196… --compromised`,
		Args: cobra.ExactArgs(1),
		RunE: a.call(func(cmd *cobra.Command, c *client.Client, args []string) error {
			name, err := child(c, resource.TrustAnchors, args[0])
			if err != nil {
				return err
			}
			resp, err := c.Directory.RevokeTrustAnchor(cmd.Context(), &pb.RevokeTrustAnchorRequest{Name: name.String(), Compromised: compromised})
			if err != nil {
				return err
			}
			return a.printAnchor(resp.GetTrustAnchor())
		}),
	}
	c.Flags().BoolVar(&compromised, "compromised", false, "somebody else may have the key: nothing that it ever signed counts")
	return c
}

// cleanLines makes a text from a stranger harmless to a terminal, line by line.
func cleanLines(text string) string {
	var out strings.Builder
	for _, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		fmt.Fprintln(&out, output.Clean(line))
	}
	return out.String()
}
