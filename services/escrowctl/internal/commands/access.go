package commands

import (
	"github.com/spf13/cobra"

	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/client"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/output"
)

func (a *app) accessCommand() *cobra.Command {
	var most int
	list := &cobra.Command{
		Use:     "list",
		Short:   "List who read what of yours, newest first (vendors)",
		Long:    "List the reads of the profile's organization's releases: who, what, how much, under which grant, newest first.",
		Example: "  escrowctl access list --limit 20",
		Args:    cobra.NoArgs,
		RunE: a.call(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			count := 0
			all, err := pages(func(token string) ([]*pb.AccessRecord, string, error) {
				resp, err := c.Deposit.ListAccessRecords(cmd.Context(), &pb.ListAccessRecordsRequest{Parent: c.Profile.Organization.String(),
					PageSize: int32(min(most-count, 1000)), PageToken: token})
				if count += len(resp.GetAccessRecords()); count >= most {
					return resp.GetAccessRecords(), "", err
				}
				return resp.GetAccessRecords(), resp.GetNextPageToken(), err
			})
			if err != nil {
				return err
			}
			return output.List(a.printer(), "accessRecords", all, []string{"TIME", "READER", "MEMBER", "RESOURCE", "BYTES", "GRANT"}, func(r *pb.AccessRecord) []string {
				return []string{output.Time(r.GetTime()), output.ID(r.GetReader()), r.GetMember(), r.GetResource(), output.Bytes(r.GetBytes()), output.ID(r.GetGrant())}
			})
		}),
	}
	list.Flags().IntVar(&most, "limit", 1000, "at most this many")
	return noun("access", "The trail of who read what", "Every read of a vendor's files is recorded; the vendor can see the trail.", list)
}
