package commands

import (
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/countersign-escrow/countersign/escrow/digest"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/client"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/output"
)

func (a *app) artifactCommand() *cobra.Command {
	lookup := &cobra.Command{
		Use:   "lookup FILE|sha256:…",
		Short: "Tell which releases ship a file",
		Long: `Tell which releases, of those that the profile's organization may see, ship a file, and what its newest report says of
them. Only the file's digest is sent.`,
		Example: `  escrowctl artifact lookup ./found-in-the-field.bin
  escrowctl artifact lookup sha256:198a3d0a83314900388906b849ef9f6238cc8112fc8230fd4be466d90cc4e0e5`,
		Args: cobra.ExactArgs(1),
		RunE: a.call(func(cmd *cobra.Command, c *client.Client, args []string) error {
			d, err := digestOf(args[0])
			if err != nil {
				return err
			}
			resp, err := c.Evaluation.LookupArtifact(cmd.Context(), &pb.LookupArtifactRequest{Digest: d.String()})
			if err != nil {
				return err
			}
			return output.List(a.printer(), "matches", resp.GetMatches(), []string{"RELEASE", "ARTIFACT", "DECISION", "ATTESTATION"}, func(m *pb.ArtifactMatch) []string {
				return []string{m.GetRelease(), m.GetArtifact(), decision(m.GetReport().GetDecision()), m.GetReport().GetAttestation()}
			})
		}),
	}
	return noun("artifact", "Files that vendors ship", "An artifact is a file that a vendor ships, known by its digest.", lookup)
}

// digestOf reads a digest, or the digest of a file.
func digestOf(s string) (digest.Digest, error) {
	if strings.HasPrefix(s, digest.Prefix) {
		return named(digest.Parse(s))
	}
	f, err := os.Open(s)
	if err != nil {
		return digest.Digest{}, err
	}
	defer f.Close()
	d, _, err := digest.FromReader(f)
	return d, err
}
