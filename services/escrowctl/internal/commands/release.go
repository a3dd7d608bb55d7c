package commands

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/client"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/output"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/releasefile"
)

func (a *app) releaseCommand() *cobra.Command {
	return noun("release", "Deposit releases and follow what becomes of them",
		"A release is one immutable version of a product: OPEN while its files arrive, SEALED for ever after.",
		a.submitCommand(), a.signaturesCommand(), a.mendCommand(), a.fetchCommand(), a.manifestCommand(), a.listReleases(), a.getRelease(), a.watchRelease(), a.releaseFindings(), a.releaseVerdicts())
}

func (a *app) manifestCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "manifest RELEASE.YAML",
		Short: "Print a release's manifest exactly as it is signed",
		Long: `Read a release file and every file that it names, and print the manifest byte for byte as it is signed, so that other
tools can sign it. The manifest is JSON in either output form.`,
		Example: `  escrowctl release manifest release.yaml > manifest.json
  cosign sign-blob --key cosign.key --use-signing-config=false --tlog-upload=false --bundle release.sigstore.json manifest.json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			file, err := releasefile.Read(args[0])
			if err != nil {
				return err
			}
			deposit, err := file.Prepare(cmd.Context())
			if err != nil {
				return err
			}
			defer deposit.Close()
			_, err = a.Out.Write(deposit.Bytes)
			return err
		},
	}
}

func (a *app) listReleases() *cobra.Command {
	return &cobra.Command{
		Use:   "list PRODUCT",
		Short: "List a product's releases",
		Long:  "List a product's releases, by version.",
		Example: `  escrowctl release list widget
  escrowctl release list acme/widget --profile lab-fi`,
		Args: cobra.ExactArgs(1),
		RunE: a.call(func(cmd *cobra.Command, c *client.Client, args []string) error {
			p, err := product(c, args[0])
			if err != nil {
				return err
			}
			all, err := pages(func(token string) ([]*pb.Release, string, error) {
				resp, err := c.Deposit.ListReleases(cmd.Context(), &pb.ListReleasesRequest{Parent: p.String(), PageToken: token})
				return resp.GetReleases(), resp.GetNextPageToken(), err
			})
			if err != nil {
				return err
			}
			return output.List(a.printer(), "releases", all, []string{"RELEASE", "STATE", "SEALED", "CHECKS", "MANIFEST"}, func(r *pb.Release) []string {
				return []string{output.Release(r.GetName()), output.Enum(r.GetState(), "RELEASE_STATE_"), output.Time(r.GetSealTime()), checks(r), r.GetManifestDigest()}
			})
		}),
	}
}

func checks(r *pb.Release) string {
	switch {
	case r.GetChecksComplete():
		return "complete"
	case r.GetState() == pb.ReleaseState_RELEASE_STATE_SEALED:
		return "under way"
	default:
		return ""
	}
}

func (a *app) getRelease() *cobra.Command {
	return &cobra.Command{
		Use:     "get RELEASE",
		Short:   "Show one release",
		Long:    "Show one release: its state, its manifest's digest, its receipt, and which of its files are damaged, if any are.",
		Example: "  escrowctl release get widget/1.2.3",
		Args:    cobra.ExactArgs(1),
		RunE: a.call(func(cmd *cobra.Command, c *client.Client, args []string) error {
			name, err := release(c, args[0])
			if err != nil {
				return err
			}
			resp, err := c.Deposit.GetRelease(cmd.Context(), &pb.GetReleaseRequest{Name: name.String()})
			if err != nil {
				return err
			}
			r := resp.GetRelease()
			return a.printer().Message(r, func(w io.Writer) {
				fields := []string{"release", r.GetName(), "state", output.Enum(r.GetState(), "RELEASE_STATE_"), "manifest", r.GetManifestDigest(),
					"receipt", r.GetReceipt(), "opened", output.Time(r.GetCreateTime()), "sealed", output.Time(r.GetSealTime()), "checks", checks(r)}
				for _, f := range r.GetDamagedFiles() {
					fields = append(fields, "damaged", damagedFile(f))
				}
				output.Fields(w, fields...)
				a.tellDamaged(r)
			})
		}),
	}
}

func (a *app) watchRelease() *cobra.Command {
	return &cobra.Command{
		Use:   "watch RELEASE",
		Short: "Follow a release until its checks are complete (vendors)",
		Long: `Print the findings about a release, those that are there and those that come, until every check has ended. A connection
that breaks is made again, and nothing is missed or printed twice.`,
		Example: "  escrowctl release watch widget/1.2.3",
		Args:    cobra.ExactArgs(1),
		RunE: a.call(func(cmd *cobra.Command, c *client.Client, args []string) error {
			name, err := release(c, args[0])
			if err != nil {
				return err
			}
			_, err = a.watch(cmd.Context(), c, name.String())
			return err
		}),
	}
}

// watch prints the findings about a release until its checks are complete, and returns all of them.
func (a *app) watch(ctx context.Context, c *client.Client, name string) ([]*pb.Finding, error) {
	a.goOn = "escrowctl release watch " + name
	var after int64
	printed := make(map[string]bool)
	open := func(ctx context.Context) (receiver[*pb.WatchReleaseResponse], error) {
		return c.Deposit.WatchRelease(ctx, &pb.WatchReleaseRequest{Name: name, AfterSequence: after})
	}
	err := follow(ctx, a.away, open, func(e *pb.WatchReleaseResponse) (bool, error) {
		after = max(after, e.GetSequence())
		f := e.GetFinding()
		if f == nil { // the release itself changed; an event about a finding carries its state too, but more may follow
			a.tellDamaged(e.GetRelease())
			return e.GetRelease().GetChecksComplete(), nil
		}
		printed[f.GetName()] = true
		return false, a.printer().Event(f, findingLine(name, f))
	})
	if err != nil {
		return nil, err
	}
	all, err := findings(ctx, c, name)
	if err != nil {
		return nil, err
	}
	for _, f := range all { // what was asked for after the checks had once been complete
		if !printed[f.GetName()] {
			if err := a.printer().Event(f, findingLine(name, f)); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// findings returns all findings about a release.
func findings(ctx context.Context, c *client.Client, name string) ([]*pb.Finding, error) {
	return pages(func(token string) ([]*pb.Finding, string, error) {
		resp, err := c.Evaluation.ListFindings(ctx, &pb.ListFindingsRequest{Parent: name, PageToken: token})
		return resp.GetFindings(), resp.GetNextPageToken(), err
	})
}

// findingLine writes a finding for people, with its signatures, or the first places where files differ, below it.
func findingLine(release string, f *pb.Finding) string {
	var b strings.Builder
	fmt.Fprintf(&b, "FINDING %s %s %s", output.Release(release), output.Enum(f.GetCheck(), "CHECK_"), output.Enum(f.GetOutcome(), "OUTCOME_"))
	if f.GetArtifact() != "" {
		fmt.Fprintf(&b, " %s %s", output.Clean(f.GetArtifact()), output.Enum(f.GetVerdict(), "VERDICT_"))
	}
	fmt.Fprintf(&b, " by %s: %s", output.ID(f.GetRebuilder()), output.Clean(f.GetSummary()))
	const most = 3
	for i, cause := range f.GetCauses() {
		if i == most {
			fmt.Fprintf(&b, "\n  … and %d more places", len(f.GetCauses())-most)
			break
		}
		fmt.Fprintf(&b, "\n  %s at %s (byte %d, %d long): shipped %s, rebuilt %s", output.Clean(cause.GetType()), output.Clean(cause.GetPlace()),
			cause.GetOffset(), cause.GetLength(), excerpt(cause.GetShippedExcerpt()), excerpt(cause.GetRebuiltExcerpt()))
	}
	writeSignatures(&b, signatureEvidence(f))
	return b.String()
}

func excerpt(s string) string {
	const most = 32
	switch {
	case s == "":
		return "nothing"
	case len(s) > most:
		return output.Clean(s[:most]) + "…"
	default:
		return output.Clean(s)
	}
}

func (a *app) releaseFindings() *cobra.Command {
	return &cobra.Command{
		Use:   "findings RELEASE",
		Short: "List the findings about a release",
		Long:  "List the findings about a release, oldest first: for its vendor and for whoever has a live grant.",
		Example: `  escrowctl release findings widget/1.2.3
  escrowctl release findings acme/widget/1.2.3 --profile lab-fi --output json`,
		Args: cobra.ExactArgs(1),
		RunE: a.call(func(cmd *cobra.Command, c *client.Client, args []string) error {
			name, err := release(c, args[0])
			if err != nil {
				return err
			}
			all, err := findings(cmd.Context(), c, name.String())
			if err != nil {
				return err
			}
			return output.List(a.printer(), "findings", all, []string{"CHECK", "OUTCOME", "ARTIFACT", "VERDICT", "BY", "ATTESTATION", "SUMMARY"}, func(f *pb.Finding) []string {
				return []string{output.Enum(f.GetCheck(), "CHECK_"), output.Enum(f.GetOutcome(), "OUTCOME_"), f.GetArtifact(), output.Enum(f.GetVerdict(), "VERDICT_"),
					output.ID(f.GetRebuilder()), f.GetAttestation(), f.GetSummary()}
			})
		}),
	}
}
