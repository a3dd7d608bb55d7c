package commands

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/countersign-escrow/countersign/escrow/resource"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/client"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/output"
)

func (a *app) scrubCommand() *cobra.Command {
	var speed string
	var detach bool
	c := &cobra.Command{
		Use:   "scrub",
		Short: "Read back everything that is held and check it (the operator)",
		Long: `Start a scrub and follow it: the service reads back every blob of every vendor, compares it with the digest under which it
was deposited, and looks whether the store protects it as promised. One scrub runs at a time, in the service: it goes on
when this program, or the service, is stopped in the middle.

At the end there is a line for each place where a release has a blob that is not as it ought to be, and one with the sums:

    DAMAGED <vendor>/<product>/<version> <role> <path> <digest> at byte <n>
    MISSING <vendor>/<product>/<version> <role> <path> <digest>
    SCRUB blobs=<n> bytes=<n> damaged=<n> missing=<n>

UNREADABLE is what could not be read, also when that was tried again, and UNPROTECTED what is whole and could be deleted
too early. The exit code is 1 if there is anything of these. What is damaged or missing, its vendor can send again:
escrowctl release mend.`,
		Example: `  escrowctl scrub
  escrowctl scrub --rate 50MiB
  escrowctl scrub --rate 10MiB --detach
  escrowctl scrub follow 0196…`,
		Args: cobra.NoArgs,
		RunE: a.call(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			perSecond, err := rate(speed)
			if err != nil {
				return err
			}
			resp, err := c.Custody.StartScrub(cmd.Context(), &pb.StartScrubRequest{Parent: c.Profile.Organization.String(), BytesPerSecond: perSecond, RequestId: requestID()})
			if err != nil {
				return err
			}
			if detach {
				return a.printScrub(resp.GetScrub())
			}
			return a.followScrub(cmd.Context(), c, resp.GetScrub().GetName())
		}),
	}
	c.Flags().StringVar(&speed, "rate", "", "bytes to read per second at most, such as 50MiB (default as fast as the store answers)")
	c.Flags().BoolVar(&detach, "detach", false, "do not follow it")
	c.AddCommand(a.listScrubs(), a.showScrub(), a.followCommand(), a.cancelScrub())
	return c
}

// rate reads a size with a unit; "" is 0.
func rate(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	units := map[string]int64{"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
	size := strings.TrimSuffix(s, "/s")
	unit := strings.TrimLeft(size, "0123456789")
	n, err := strconv.ParseInt(strings.TrimSuffix(size, unit), 10, 64)
	if err != nil || units[unit] == 0 || n < 1 || n > math.MaxInt64/units[unit] {
		return 0, usagef("--rate %q: must be a number of bytes per second such as 50MiB", s)
	}
	return n * units[unit], nil
}

func (a *app) printScrub(s *pb.Scrub) error {
	return a.printer().Message(s, func(w io.Writer) {
		output.Fields(w, "scrub", s.GetName(), "state", output.Enum(s.GetState(), "SCRUB_STATE_"), "started", output.Time(s.GetCreateTime()),
			"by", startedBy(s), "rate", speedOf(s), "blobs", fmt.Sprintf("%d of %d", s.GetScrubbedBlobs(), s.GetPlannedBlobs()),
			"bytes", fmt.Sprintf("%s of %s", output.Bytes(s.GetScrubbedBytes()), output.Bytes(s.GetPlannedBytes())),
			"damaged", some(s.GetDamaged()), "missing", some(s.GetMissing()), "unreadable", some(s.GetUnreadable()),
			"unprotected", some(s.GetUnprotected()), "ended", output.Time(s.GetEndTime()))
	})
}

func startedBy(s *pb.Scrub) string {
	if s.GetCreator() == "" {
		return "the service"
	}
	return output.ID(s.GetCreator())
}

func speedOf(s *pb.Scrub) string {
	if s.GetBytesPerSecond() == 0 {
		return ""
	}
	return output.Bytes(s.GetBytesPerSecond()) + "/s"
}

// some writes a number, "" for none.
func some(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

func (a *app) listScrubs() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List scrubs, newest first (the operator)",
		Long:    "List the scrubs that were started, newest first, those that the service started by itself included.",
		Example: "  escrowctl scrub list",
		Args:    cobra.NoArgs,
		RunE: a.call(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			list, err := pages(func(token string) ([]*pb.Scrub, string, error) {
				resp, err := c.Custody.ListScrubs(cmd.Context(), &pb.ListScrubsRequest{Parent: c.Profile.Organization.String(), PageToken: token})
				return resp.GetScrubs(), resp.GetNextPageToken(), err
			})
			if err != nil {
				return err
			}
			header := []string{"SCRUB", "STATE", "STARTED", "BY", "BLOBS", "BYTES", "DAMAGED", "MISSING", "UNREADABLE", "UNPROTECTED", "ENDED"}
			return output.List(a.printer(), "scrubs", list, header, func(s *pb.Scrub) []string {
				return []string{output.ID(s.GetName()), output.Enum(s.GetState(), "SCRUB_STATE_"), output.Time(s.GetCreateTime()), startedBy(s),
					strconv.FormatInt(s.GetScrubbedBlobs(), 10), output.Bytes(s.GetScrubbedBytes()), some(s.GetDamaged()), some(s.GetMissing()),
					some(s.GetUnreadable()), some(s.GetUnprotected()), output.Time(s.GetEndTime())}
			})
		}),
	}
}

func (a *app) showScrub() *cobra.Command {
	return &cobra.Command{
		Use:     "show SCRUB",
		Short:   "Show how far a scrub is (the operator)",
		Long:    "Show how far a scrub is and how much it found. What it found is listed by escrowctl scrub follow.",
		Example: "  escrowctl scrub show 0196…",
		Args:    cobra.ExactArgs(1),
		RunE: a.call(func(cmd *cobra.Command, c *client.Client, args []string) error {
			name, err := child(c, resource.Scrubs, args[0])
			if err != nil {
				return err
			}
			resp, err := c.Custody.GetScrub(cmd.Context(), &pb.GetScrubRequest{Name: name.String()})
			if err != nil {
				return err
			}
			return a.printScrub(resp.GetScrub())
		}),
	}
}

func (a *app) cancelScrub() *cobra.Command {
	return &cobra.Command{
		Use:     "cancel SCRUB",
		Short:   "End a scrub that runs (the operator)",
		Long:    "End a scrub that runs. What it found until then stays on record.",
		Example: "  escrowctl scrub cancel 0196…",
		Args:    cobra.ExactArgs(1),
		RunE: a.call(func(cmd *cobra.Command, c *client.Client, args []string) error {
			name, err := child(c, resource.Scrubs, args[0])
			if err != nil {
				return err
			}
			resp, err := c.Custody.CancelScrub(cmd.Context(), &pb.CancelScrubRequest{Name: name.String()})
			if err != nil {
				return err
			}
			return a.printScrub(resp.GetScrub())
		}),
	}
}
