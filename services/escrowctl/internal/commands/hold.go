package commands

import (
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/countersign-escrow/countersign/escrow/resource"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/client"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/output"
)

func (a *app) holdCommand() *cobra.Command {
	return noun("hold", "Legal holds on releases",
		`While a legal hold stands on a release, nothing of it is deleted, whatever its retention. The operator places and lifts
holds; the vendor sees them, and who did it when and why. A hold that was lifted stays on record.`,
		a.placeHold(), a.liftHold(), a.listHolds())
}

func (a *app) placeHold() *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use:     "place RELEASE --reason TEXT",
		Short:   "Place a legal hold on a release (the operator)",
		Long:    "Place a legal hold on a sealed release. A release may have several; each is lifted by itself. The vendor reads the reason.",
		Example: `  escrowctl hold place acme/widget/1.0.0 --reason "court order 4711/26"`,
		Args:    cobra.ExactArgs(1),
		RunE: a.call(func(cmd *cobra.Command, c *client.Client, args []string) error {
			r, err := release(c, args[0])
			if err != nil {
				return err
			}
			resp, err := c.Custody.PlaceHold(cmd.Context(), &pb.PlaceHoldRequest{Parent: r.String(), Reason: reason, RequestId: requestID()})
			if err != nil {
				return err
			}
			return a.printHold(resp.GetHold())
		}),
	}
	c.Flags().StringVar(&reason, "reason", "", "why")
	require(c, "reason")
	return c
}

func (a *app) liftHold() *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use:     "lift HOLD --reason TEXT",
		Short:   "Lift a legal hold (the operator)",
		Long:    "Lift a legal hold. The release is then kept until its retention ends, as before. The vendor reads the reason.",
		Example: `  escrowctl hold lift organizations/acme/products/widget/releases/1.0.0/holds/0196… --reason "order withdrawn"`,
		Args:    cobra.ExactArgs(1),
		RunE: a.call(func(cmd *cobra.Command, c *client.Client, args []string) error {
			name, err := named(resource.ParseHold(args[0]))
			if err != nil {
				return err
			}
			resp, err := c.Custody.LiftHold(cmd.Context(), &pb.LiftHoldRequest{Name: name.String(), Reason: reason})
			if err != nil {
				return err
			}
			return a.printHold(resp.GetHold())
		}),
	}
	c.Flags().StringVar(&reason, "reason", "", "why")
	require(c, "reason")
	return c
}

func (a *app) printHold(h *pb.Hold) error {
	return a.printer().Message(h, func(w io.Writer) {
		output.Fields(w, "hold", h.GetName(), "reason", h.GetReason(), "placed", output.Time(h.GetCreateTime()), "by", output.ID(h.GetCreator()),
			"lifted", output.Time(h.GetLiftTime()), "lifted by", output.ID(h.GetLifter()), "why lifted", h.GetLiftReason())
	})
}

func (a *app) listHolds() *cobra.Command {
	var all, lifted bool
	c := &cobra.Command{
		Use:   "list [RELEASE]",
		Short: "List legal holds, oldest first",
		Long: `List the legal holds that stand on a release, or on those of the profile's organization where none is named; with --lifted
those that were lifted, too. The operator names a vendor's release, or lists everybody's with --all.`,
		Example: `  escrowctl hold list
  escrowctl hold list widget/1.0.0 --lifted
  escrowctl hold list --all`,
		Args: cobra.MaximumNArgs(1),
		RunE: a.call(func(cmd *cobra.Command, c *client.Client, args []string) error {
			parent, err := holdParent(c, args, all)
			if err != nil {
				return err
			}
			list, err := pages(func(token string) ([]*pb.Hold, string, error) {
				resp, err := c.Custody.ListHolds(cmd.Context(), &pb.ListHoldsRequest{Parent: parent, ShowLifted: lifted, PageToken: token})
				return resp.GetHolds(), resp.GetNextPageToken(), err
			})
			if err != nil {
				return err
			}
			return output.List(a.printer(), "holds", list, []string{"HOLD", "RELEASE", "PLACED", "BY", "REASON", "LIFTED", "WHY LIFTED"}, func(h *pb.Hold) []string {
				on, _, _ := strings.Cut(h.GetName(), "/holds/")
				return []string{h.GetName(), fullRelease(on), output.Time(h.GetCreateTime()), output.ID(h.GetCreator()), h.GetReason(), output.Time(h.GetLiftTime()), h.GetLiftReason()}
			})
		}),
	}
	c.Flags().BoolVar(&all, "all", false, "those of all vendors (the operator)")
	c.Flags().BoolVar(&lifted, "lifted", false, "those that were lifted, too")
	return c
}

func holdParent(c *client.Client, args []string, all bool) (string, error) {
	switch {
	case all && len(args) > 0:
		return "", usagef("--all and a release exclude each other")
	case all:
		return everybody, nil
	case len(args) == 0:
		return c.Profile.Organization.String(), nil
	}
	r, err := release(c, args[0])
	return r.String(), err
}
