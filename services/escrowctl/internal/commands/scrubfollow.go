package commands

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/client"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/output"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/progress"
)

func (a *app) followCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "follow SCRUB",
		Short: "Follow a scrub to its end (the operator)",
		Long: `Follow a scrub to its end, and list what it found, as escrowctl scrub does. Of one that has ended, list what it found.
The exit code is 1 if anything is damaged, missing, unreadable or unprotected.`,
		Example: "  escrowctl scrub follow 0196…",
		Args:    cobra.ExactArgs(1),
		RunE: a.call(func(cmd *cobra.Command, c *client.Client, args []string) error {
			name, err := child(c, resource.Scrubs, args[0])
			if err != nil {
				return err
			}
			return a.followScrub(cmd.Context(), c, name.String())
		}),
	}
}

// followScrub shows a scrub's progress to its end, and then what it found.
func (a *app) followScrub(ctx context.Context, c *client.Client, name string) error {
	a.goOn = "escrowctl scrub follow " + output.ID(name)
	meter := a.meter("SCRUB")
	defer meter.Finish()
	s, err := a.awaitScrub(ctx, c, name, meter)
	if err != nil {
		return err
	}
	meter.Finish()
	return a.tellScrub(ctx, c, s)
}

// scrubPoll is how often a scrub is looked at.
const scrubPoll = 500 * time.Millisecond

// awaitScrub looks at a scrub until it has ended. A service that is away for a while, as for a restart, is waited for.
func (a *app) awaitScrub(ctx context.Context, c *client.Client, name string, meter *progress.Meter) (*pb.Scrub, error) {
	var shown *pb.Scrub
	for seen := time.Now(); ; {
		resp, err := c.Custody.GetScrub(ctx, &pb.GetScrubRequest{Name: name})
		switch {
		case fault.Is(err, fault.Unavailable) && time.Since(seen) < mostAway:
			a.away(err)
		case err != nil:
			return nil, err
		case resp.GetScrub().GetEndTime() != nil:
			return resp.GetScrub(), nil
		default:
			seen = time.Now()
			advance(meter, shown, resp.GetScrub())
			shown = resp.GetScrub()
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(scrubPoll):
		}
	}
}

// advance shows how far a scrub is; shown is what was shown of it before, nil at first.
func advance(meter *progress.Meter, shown, now *pb.Scrub) {
	if shown == nil {
		meter.Plan(int(now.GetPlannedBlobs()), now.GetPlannedBytes())
		meter.Resumed(now.GetScrubbedBytes())
		return
	}
	meter.Sent(now.GetScrubbedBytes() - shown.GetScrubbedBytes())
}

// tellScrub prints what a scrub found that has ended.
func (a *app) tellScrub(ctx context.Context, c *client.Client, s *pb.Scrub) error {
	list, err := pages(func(token string) ([]*pb.ScrubDamage, string, error) {
		resp, err := c.Custody.ListScrubDamages(ctx, &pb.ListScrubDamagesRequest{Parent: s.GetName(), PageToken: token})
		return resp.GetDamages(), resp.GetNextPageToken(), err
	})
	if err != nil {
		return err
	}
	for _, d := range list {
		if err := a.printer().Event(d, strings.Join(damageLines(d), "\n")); err != nil {
			return err
		}
	}
	for _, line := range mendLines(list) {
		fmt.Fprintln(a.Err, line)
	}
	if err := a.printer().Event(s, scrubLine(s)); err != nil {
		return err
	}
	switch {
	case s.GetState() == pb.ScrubState_SCRUB_STATE_CANCELLED:
		return fault.Preconditionf("SCRUB_CANCELLED", s.GetName(), "the scrub was cancelled before its end")
	case len(list) > 0:
		return codeError(exitError)
	}
	return nil
}

// damageLines has a line for each place where a release has the blob; one where none does.
func damageLines(d *pb.ScrubDamage) []string {
	place := output.Clean(d.GetDigest())
	if d.Offset != nil {
		place += fmt.Sprintf(" at byte %d", d.GetOffset())
	}
	kind := output.Enum(d.GetKind(), "SCRUB_DAMAGE_KIND_")
	var lines []string
	for _, u := range d.GetUses() {
		path := u.GetPath()
		if path == "" {
			path = "-"
		}
		lines = append(lines, fmt.Sprintf("%s %s %s %s %s", kind, fullRelease(u.GetRelease()), output.Enum(u.GetRole(), "FILE_ROLE_"), output.Clean(path), place))
	}
	if len(lines) == 0 {
		lines = append(lines, fmt.Sprintf("%s %s - - %s", kind, output.ID(d.GetHolder()), place))
	}
	return lines
}

// mendLines say, for each release concerned, what can be done about files that are damaged or missing.
func mendLines(list []*pb.ScrubDamage) (lines []string) {
	said := map[string]bool{}
	for _, d := range list {
		if d.GetKind() != pb.ScrubDamageKind_SCRUB_DAMAGE_KIND_DAMAGED && d.GetKind() != pb.ScrubDamageKind_SCRUB_DAMAGE_KIND_MISSING {
			continue
		}
		for _, u := range d.GetUses() {
			if name := fullRelease(u.GetRelease()); !said[name] {
				said[name] = true
				lines = append(lines, fmt.Sprintf("MEND %s: the vendor can send the files again: %s", name, mendWith))
			}
		}
	}
	return lines
}

func scrubLine(s *pb.Scrub) string {
	line := fmt.Sprintf("SCRUB blobs=%d bytes=%d damaged=%d missing=%d", s.GetScrubbedBlobs(), s.GetScrubbedBytes(), s.GetDamaged(), s.GetMissing())
	if s.GetUnreadable() > 0 {
		line += fmt.Sprintf(" unreadable=%d", s.GetUnreadable())
	}
	if s.GetUnprotected() > 0 {
		line += fmt.Sprintf(" unprotected=%d", s.GetUnprotected())
	}
	return line
}
