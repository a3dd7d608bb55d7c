package commands

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/countersign-escrow/countersign/escrow/resource"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/client"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/output"
)

// everybody stands for all vendors.
const everybody = "organizations/-"

func (a *app) retentionCommand() *cobra.Command {
	return noun("retention", "Until when releases are kept",
		`A sealed release is kept for its period, five calendar years unless it was lengthened, from the latest of: its deposit, its
last report, the last time that somebody read a file of it. Retention is only ever lengthened; a legal hold stands beside it.`,
		a.showRetention(), a.listRetentions(), a.extendRetention())
}

func (a *app) showRetention() *cobra.Command {
	return &cobra.Command{
		Use:   "show RELEASE",
		Short: "Show until when a release is kept, and why",
		Long: `Show until when a release is kept, the events that this follows from, whether a legal hold stands, and until when the store
itself keeps anybody from deleting its files. For its vendor and the operator.`,
		Example: `  escrowctl retention show widget/1.0.0
  escrowctl retention show acme/widget/1.0.0 --output json`,
		Args: cobra.ExactArgs(1),
		RunE: a.call(func(cmd *cobra.Command, c *client.Client, args []string) error {
			r, err := release(c, args[0])
			if err != nil {
				return err
			}
			resp, err := c.Custody.GetRetention(cmd.Context(), &pb.GetRetentionRequest{Name: resource.Retention{Release: r}.String()})
			if err != nil {
				return err
			}
			return a.printRetention(resp.GetRetention())
		}),
	}
}

func (a *app) printRetention(r *pb.Retention) error {
	return a.printer().Message(r, func(w io.Writer) {
		output.Fields(w, "release", retained(r), "kept until", output.Time(r.GetRetainUntil()), "period", years(r),
			"sealed", output.Time(r.GetSealTime()), "last report", output.Time(r.GetLastReportTime()), "last read", output.Time(r.GetLastReadTime()),
			"legal hold", standing(r.GetHeld()), "store locked until", output.Time(r.GetLockedUntil()))
	})
}

// retained is the release that a retention is of: vendor/product/version.
func retained(r *pb.Retention) string {
	return fullRelease(strings.TrimSuffix(r.GetName(), "/retention"))
}

// fullRelease writes a release's resource name as vendor/product/version, for those who see several vendors'.
func fullRelease(name string) string {
	parts := strings.Split(name, "/")
	if len(parts) != 6 {
		return output.Clean(name)
	}
	return output.Clean(parts[1] + "/" + parts[3] + "/" + parts[5])
}

func years(r *pb.Retention) string { return fmt.Sprintf("%d years", r.GetYears()) }

func standing(b bool) string {
	if b {
		return "yes"
	}
	return ""
}

func (a *app) listRetentions() *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use:   "list [PRODUCT]",
		Short: "List until when releases are kept",
		Long: `List until when the sealed releases of a product are kept, or those of the profile's organization where none is named.
The operator names a vendor's product, or lists everybody's with --all.`,
		Example: `  escrowctl retention list
  escrowctl retention list widget
  escrowctl retention list --all --output json`,
		Args: cobra.MaximumNArgs(1),
		RunE: a.call(func(cmd *cobra.Command, c *client.Client, args []string) error {
			parent, err := retentionParent(c, args, all)
			if err != nil {
				return err
			}
			list, err := pages(func(token string) ([]*pb.Retention, string, error) {
				resp, err := c.Custody.ListRetentions(cmd.Context(), &pb.ListRetentionsRequest{Parent: parent, PageToken: token})
				return resp.GetRetentions(), resp.GetNextPageToken(), err
			})
			if err != nil {
				return err
			}
			return output.List(a.printer(), "retentions", list, []string{"RELEASE", "KEPT UNTIL", "PERIOD", "HOLD", "STORE LOCKED UNTIL"}, func(r *pb.Retention) []string {
				return []string{retained(r), output.Time(r.GetRetainUntil()), years(r), standing(r.GetHeld()), output.Time(r.GetLockedUntil())}
			})
		}),
	}
	c.Flags().BoolVar(&all, "all", false, "those of all vendors (the operator)")
	return c
}

func retentionParent(c *client.Client, args []string, all bool) (string, error) {
	switch {
	case all && len(args) > 0:
		return "", usagef("--all and a product exclude each other")
	case all:
		return everybody, nil
	case len(args) == 0:
		return c.Profile.Organization.String(), nil
	}
	p, err := product(c, args[0])
	return p.String(), err
}

func (a *app) extendRetention() *cobra.Command {
	var until string
	var period int32
	c := &cobra.Command{
		Use:   "extend RELEASE (--years N | --until TIME)",
		Short: "Lengthen how long a release is kept",
		Long: `Lengthen how long a release is kept: --years gives it a longer period after each event, --until keeps it at least until
then. Retention is never shortened. For its vendor and the operator.`,
		Example: `  escrowctl retention extend widget/1.0.0 --years 10
  escrowctl retention extend widget/1.0.0 --until 2040-12-31`,
		Args: cobra.ExactArgs(1),
		RunE: a.call(func(cmd *cobra.Command, c *client.Client, args []string) error {
			if (until == "") == (period == 0) {
				return usagef("either --years or --until is needed")
			}
			return a.extend(cmd.Context(), c, args[0], period, until)
		}),
	}
	c.Flags().Int32Var(&period, "years", 0, "the period in calendar years")
	c.Flags().StringVar(&until, "until", "", "until when at least: a date, RFC 3339 or a span such as 3650d")
	return c
}

func (a *app) extend(ctx context.Context, c *client.Client, name string, period int32, until string) error {
	r, err := release(c, name)
	if err != nil {
		return err
	}
	req := &pb.ExtendRetentionRequest{Name: resource.Retention{Release: r}.String(), Extension: &pb.ExtendRetentionRequest_Years{Years: period}}
	if until != "" {
		at, err := timestamp(until)
		if err != nil {
			return err
		}
		req.Extension = &pb.ExtendRetentionRequest_RetainUntil{RetainUntil: at}
	}
	resp, err := c.Custody.ExtendRetention(ctx, req)
	if err != nil {
		return err
	}
	return a.printRetention(resp.GetRetention())
}
