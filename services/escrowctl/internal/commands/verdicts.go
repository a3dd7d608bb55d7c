package commands

import (
	"fmt"

	"github.com/spf13/cobra"

	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/client"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/output"
)

func (a *app) releaseVerdicts() *cobra.Command {
	return &cobra.Command{
		Use:   "verdicts RELEASE",
		Short: "List the verdicts on a release's artifacts",
		Long: `Print one line for each artifact and rebuilder so far,

    VERDICT <product>/<version> <artifact> <verdict> by <rebuilder>

with the first place in which the files differ, where they do. For the vendor and for whoever has a live grant.`,
		Example: "  escrowctl release verdicts widget/1.2.3",
		Args:    cobra.ExactArgs(1),
		RunE: a.call(func(cmd *cobra.Command, c *client.Client, args []string) error {
			name, err := release(c, args[0])
			if err != nil {
				return err
			}
			all, err := findings(cmd.Context(), c, name.String())
			if err != nil {
				return err
			}
			_, err = a.printVerdicts(name.String(), all)
			return err
		}),
	}
}

// printVerdicts prints the verdicts among the findings about a release and says whether any is another than MATCH.
func (a *app) printVerdicts(release string, all []*pb.Finding) (differs bool, err error) {
	for _, f := range all {
		if f.GetCheck() != pb.Check_CHECK_COMPARISON {
			continue
		}
		differs = differs || f.GetVerdict() != pb.Verdict_VERDICT_MATCH
		verdict := output.Enum(f.GetVerdict(), "VERDICT_")
		line := fmt.Sprintf("VERDICT %s %s %s by %s", output.Release(release), output.Clean(f.GetArtifact()), verdict, output.ID(f.GetRebuilder()))
		view := map[string]any{"release": release, "artifact": f.GetArtifact(), "verdict": verdict, "rebuilder": f.GetRebuilder(), "attestation": f.GetAttestation()}
		if causes := f.GetCauses(); len(causes) > 0 {
			line += ", first at " + output.Clean(causes[0].GetPlace())
			view["place"] = causes[0].GetPlace()
		}
		if err := a.printer().Event(view, line); err != nil {
			return differs, err
		}
	}
	return differs, nil
}
