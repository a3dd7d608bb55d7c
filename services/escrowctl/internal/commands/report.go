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

func (a *app) reportCommand() *cobra.Command {
	return noun("report", "What a lab's policy says of releases",
		"A report is an evaluator's word on a release: ACCEPTED, REJECTED, PENDING or INCONCLUSIVE, rule by rule, with the evidence.",
		a.listReports(), a.getReport(), a.watchReports(), a.boardCommand())
}

func decision(d pb.Decision) string { return output.Enum(d, "DECISION_") }

func (a *app) listReports() *cobra.Command {
	var of string
	var superseded bool
	c := &cobra.Command{
		Use:     "list",
		Short:   "List the lab's reports, oldest first (evaluators)",
		Long:    "List the lab's reports, oldest first; those that a later one replaced are left out unless --superseded is given.",
		Example: "  escrowctl report list --release acme/widget/1.2.3 --superseded",
		Args:    cobra.NoArgs,
		RunE: a.call(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			req := &pb.ListReportsRequest{Parent: c.Profile.Organization.String(), ShowSuperseded: superseded}
			if of != "" {
				name, err := release(c, of)
				if err != nil {
					return err
				}
				req.Release = name.String()
			}
			all, err := pages(func(token string) ([]*pb.Report, string, error) {
				req.PageToken = token
				resp, err := c.Evaluation.ListReports(cmd.Context(), req)
				return resp.GetReports(), resp.GetNextPageToken(), err
			})
			if err != nil {
				return err
			}
			return output.List(a.printer(), "reports", all, []string{"REPORT", "RELEASE", "DECISION", "POLICY", "MADE", "SUPERSEDED", "ATTESTATION"}, func(r *pb.Report) []string {
				return []string{fmt.Sprint(r.GetSequence()), output.Release(r.GetRelease()), decision(r.GetDecision()), output.ID(r.GetPolicy()),
					output.Time(r.GetCreateTime()), yes(r.GetSuperseded()), r.GetAttestation()}
			})
		}),
	}
	c.Flags().StringVar(&of, "release", "", "only reports on this release")
	c.Flags().BoolVar(&superseded, "superseded", false, "list replaced reports too")
	return c
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return ""
}

func (a *app) getReport() *cobra.Command {
	return &cobra.Command{
		Use:     "get NUMBER",
		Short:   "Show one report, rule by rule (evaluators)",
		Long:    "Show one report: the word of each rule, why, and the attestations behind it.",
		Example: "  escrowctl report get 3",
		Args:    cobra.ExactArgs(1),
		RunE: a.call(func(cmd *cobra.Command, c *client.Client, args []string) error {
			name, err := child(c, resource.Reports, args[0])
			if err != nil {
				return err
			}
			resp, err := c.Evaluation.GetReport(cmd.Context(), &pb.GetReportRequest{Name: name.String()})
			if err != nil {
				return err
			}
			if err := a.printReport(resp.GetReport()); err != nil || a.outputFlag == "json" {
				return err
			}
			return a.printReportSignatures(cmd.Context(), c, resp.GetReport().GetRelease())
		}),
	}
}

// printReportSignatures shows who signed the release of a report, as long as the lab may see its findings.
func (a *app) printReportSignatures(ctx context.Context, c *client.Client, release string) error {
	all, err := findings(ctx, c, release)
	if err != nil {
		fmt.Fprintf(a.Err, "NOTE the signatures are not shown: %s\n", output.Clean(err.Error()))
		return nil
	}
	fmt.Fprintln(a.Out)
	a.printSignatureFindings(release, all)
	return nil
}

// printSignatureFindings prints the findings about signatures with what each signature is worth.
func (a *app) printSignatureFindings(release string, all []*pb.Finding) {
	for _, f := range all {
		if f.GetCheck() == pb.Check_CHECK_SIGNATURE {
			fmt.Fprintln(a.Out, findingLine(release, f))
		}
	}
}

func (a *app) printReport(r *pb.Report) error {
	return a.printer().Message(r, func(w io.Writer) {
		output.Fields(w, "report", r.GetName(), "release", r.GetRelease(), "decision", decision(r.GetDecision()), "policy", r.GetPolicy(),
			"policy digest", r.GetPolicyDigest(), "attestation", r.GetAttestation(), "made", output.Time(r.GetCreateTime()), "superseded", yes(r.GetSuperseded()))
		fmt.Fprintln(w)
		rows := make([][]string, len(r.GetRules()))
		for i, rule := range r.GetRules() {
			rows[i] = []string{rule.GetRule(), decision(rule.GetDecision()), rule.GetReason(), strings.Join(rule.GetEvidence(), " ")}
		}
		output.Table(w, []string{"RULE", "DECISION", "REASON", "EVIDENCE"}, rows)
	})
}

func (a *app) watchReports() *cobra.Command {
	var after int64
	c := &cobra.Command{
		Use:   "watch",
		Short: "Follow the lab's reports as they are made (evaluators)",
		Long: `Print the lab's reports after number --after, then new ones as they are made, until it is stopped. A connection that
breaks is made again, and nothing is missed or printed twice.`,
		Example: `  escrowctl report watch
  escrowctl report watch --after 17 --output json`,
		Args: cobra.NoArgs,
		RunE: a.call(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			return followReports(cmd.Context(), a.away, c, after, func(r *pb.Report) (bool, error) {
				a.goOn = fmt.Sprintf("escrowctl report watch --after %d", r.GetSequence())
				return false, a.printer().Event(r, reportLine(r, output.ID(r.GetName())+" "))
			})
		}),
	}
	c.Flags().Int64Var(&after, "after", 0, "leave out reports up to and with this number")
	return c
}

// reportLine writes a report for people, with the reasons of the rules that do not accept below it.
func reportLine(r *pb.Report, before string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "REPORT %s%s %s", before, output.Release(r.GetRelease()), decision(r.GetDecision()))
	for _, rule := range r.GetRules() {
		if rule.GetDecision() != pb.Decision_DECISION_ACCEPTED {
			fmt.Fprintf(&b, "\n  %s %s: %s", decision(rule.GetDecision()), output.Clean(rule.GetRule()), output.Clean(rule.GetReason()))
		}
	}
	return b.String()
}

// followReports reads a lab's reports after a number until each has seen enough.
func followReports(ctx context.Context, away func(error), c *client.Client, after int64, each func(*pb.Report) (bool, error)) error {
	open := func(ctx context.Context) (receiver[*pb.WatchReportsResponse], error) {
		return c.Evaluation.WatchReports(ctx, &pb.WatchReportsRequest{Parent: c.Profile.Organization.String(), AfterSequence: after})
	}
	return follow(ctx, away, open, func(m *pb.WatchReportsResponse) (bool, error) {
		r := m.GetReport()
		if r.GetSequence() <= after {
			return false, nil
		}
		after = r.GetSequence()
		return each(r)
	})
}
