package commands

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/client"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/output"
)

func (a *app) policyCommand() *cobra.Command {
	return noun("policy", "A lab's validation model", "A policy says in rules when a release is accepted or rejected; see docs/policy.md. Every version is kept.",
		a.setPolicy(), a.testPolicy(), a.listPolicies(), a.getPolicy())
}

// maxPolicy bounds a policy file, as the service does.
const maxPolicy = 64 << 10

func readPolicy(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if info.Size() > maxPolicy {
		return "", fault.Exhaustedf(path, "has %d bytes, %d at most", info.Size(), maxPolicy)
	}
	b, err := os.ReadFile(path)
	return string(b), err
}

func (a *app) setPolicy() *cobra.Command {
	return &cobra.Command{
		Use:     "set FILE",
		Short:   "Make a new version of the lab's policy (evaluators)",
		Long:    "Make a new version of the lab's policy. Every release that the lab may see is evaluated anew under it.",
		Example: "  escrowctl policy set policy.yaml",
		Args:    cobra.ExactArgs(1),
		RunE: a.call(func(cmd *cobra.Command, c *client.Client, args []string) error {
			source, err := readPolicy(args[0])
			if err != nil {
				return err
			}
			resp, err := c.Evaluation.SetPolicy(cmd.Context(), &pb.SetPolicyRequest{Parent: c.Profile.Organization.String(), Source: source, RequestId: requestID()})
			if err != nil {
				return err
			}
			p := resp.GetPolicy()
			return a.printer().Message(p, func(w io.Writer) {
				output.Fields(w, "policy", p.GetName(), "version", fmt.Sprint(p.GetVersion()), "digest", p.GetDigest(), "set", output.Time(p.GetCreateTime()))
			})
		}),
	}
}

func (a *app) testPolicy() *cobra.Command {
	var of string
	c := &cobra.Command{
		Use:     "test FILE --release RELEASE",
		Short:   "Try a policy on a release and keep nothing (evaluators)",
		Long:    "Evaluate a policy over one release that the lab may see, and print what the report would say. Nothing is kept.",
		Example: "  escrowctl policy test policy.yaml --release acme/widget/1.2.3",
		Args:    cobra.ExactArgs(1),
		RunE: a.call(func(cmd *cobra.Command, c *client.Client, args []string) error {
			name, err := release(c, of)
			if err != nil {
				return err
			}
			source, err := readPolicy(args[0])
			if err != nil {
				return err
			}
			resp, err := c.Evaluation.TestPolicy(cmd.Context(), &pb.TestPolicyRequest{Parent: c.Profile.Organization.String(), Source: source, Release: name.String()})
			if err != nil {
				return err
			}
			return a.printReport(resp.GetReport())
		}),
	}
	c.Flags().StringVar(&of, "release", "", "the release to try it on")
	require(c, "release")
	return c
}

func (a *app) listPolicies() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the versions of the lab's policy, newest first (evaluators)",
		Long:    "List the versions of the lab's policy, newest first.",
		Example: "  escrowctl policy list",
		Args:    cobra.NoArgs,
		RunE: a.call(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			all, err := pages(func(token string) ([]*pb.Policy, string, error) {
				resp, err := c.Evaluation.ListPolicies(cmd.Context(), &pb.ListPoliciesRequest{Parent: c.Profile.Organization.String(), PageToken: token})
				return resp.GetPolicies(), resp.GetNextPageToken(), err
			})
			if err != nil {
				return err
			}
			return output.List(a.printer(), "policies", all, []string{"VERSION", "SET", "DIGEST"}, func(p *pb.Policy) []string {
				return []string{fmt.Sprint(p.GetVersion()), output.Time(p.GetCreateTime()), p.GetDigest()}
			})
		}),
	}
}

func (a *app) getPolicy() *cobra.Command {
	return &cobra.Command{
		Use:     "get VERSION",
		Short:   "Print one version of the lab's policy (evaluators)",
		Long:    "Print one version of the lab's policy as it was set.",
		Example: "  escrowctl policy get 2 > policy.yaml",
		Args:    cobra.ExactArgs(1),
		RunE: a.call(func(cmd *cobra.Command, c *client.Client, args []string) error {
			name, err := child(c, resource.Policies, args[0])
			if err != nil {
				return err
			}
			resp, err := c.Evaluation.GetPolicy(cmd.Context(), &pb.GetPolicyRequest{Name: name.String()})
			if err != nil {
				return err
			}
			return a.printer().Message(resp.GetPolicy(), func(w io.Writer) {
				fmt.Fprint(w, ensureNewline(resp.GetPolicy().GetSource()))
			})
		}),
	}
}

func ensureNewline(s string) string {
	if strings.HasSuffix(s, "\n") {
		return s
	}
	return s + "\n"
}
