package commands

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/countersign-escrow/countersign/escrow/resource"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/client"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/output"
)

func (a *app) memberCommand() *cobra.Command {
	return noun("member", "Who speaks for an organization",
		"Every certificate that speaks for an organization belongs to a member. New members enrol: see escrowctl enrol --help.",
		a.listMembers(), a.revokeMember())
}

func (a *app) listMembers() *cobra.Command {
	var org string
	c := &cobra.Command{
		Use:   "list",
		Short: "List every certificate that speaks for an organization",
		Long: `List every certificate that was made for an organization's members, revoked and expired ones included, and the
members for whom an enrolment token waits. Look at it now and then: the operator can make tokens for your organization,
and whoever enrols with one stands here.`,
		Example: "  escrowctl member list",
		Args:    cobra.NoArgs,
		RunE: a.call(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			o, err := ownOrganization(c, org)
			if err != nil {
				return err
			}
			all, err := pages(func(token string) ([]*pb.Member, string, error) {
				resp, err := c.Directory.ListMembers(cmd.Context(), &pb.ListMembersRequest{Parent: o.String(), PageToken: token})
				return resp.GetMembers(), resp.GetNextPageToken(), err
			})
			if err != nil {
				return err
			}
			return a.showMembers(all)
		}),
	}
	c.Flags().StringVar(&org, "organization", "", "whose members (default the profile's)")
	return c
}

func (a *app) showMembers(all []*pb.Member) error {
	if a.printer().JSON {
		return output.List(a.printer(), "members", all, nil, nil)
	}
	var rows [][]string
	for _, m := range all {
		rows = append(rows, memberRows(m, time.Now())...)
	}
	output.Table(a.Out, []string{"MEMBER", "CERTIFICATE", "STATE", "EXPIRES"}, rows)
	return nil
}

// memberRows has a row for each certificate, and one for the tokens.
func memberRows(m *pb.Member, now time.Time) (rows [][]string) {
	id := output.ID(m.GetName())
	for _, c := range m.GetCertificates() {
		rows = append(rows, []string{id, c.GetSerial(), certificateState(c, now), output.Time(c.GetExpireTime())})
	}
	if n := m.GetOpenTokens(); n > 0 {
		rows = append(rows, []string{id, "", "tokens that wait: " + strconv.Itoa(int(n)), ""})
	}
	return rows
}

func certificateState(c *pb.MemberCertificate, now time.Time) string {
	switch {
	case c.GetRevokeTime() != nil:
		return "revoked " + output.Time(c.GetRevokeTime())
	case !c.GetExpireTime().AsTime().After(now):
		return "expired"
	}
	return "counts"
}

func (a *app) revokeMember() *cobra.Command {
	var org, serial string
	c := &cobra.Command{
		Use:   "revoke MEMBER",
		Short: "Make a member's certificates count no more",
		Long: `Make all certificates of a member count no more, from its next call on, and its enrolment tokens work no more. With
--serial, one certificate only. It cannot be undone: the member enrols anew with a new token.`,
		Example: `  escrowctl member revoke anna
  escrowctl member revoke anna --serial 5f0c…`,
		Args: cobra.ExactArgs(1),
		RunE: a.call(func(cmd *cobra.Command, c *client.Client, args []string) error {
			name, err := memberName(c, org, args[0])
			if err != nil {
				return err
			}
			resp, err := c.Directory.RevokeMember(cmd.Context(), &pb.RevokeMemberRequest{Name: name.String(), Serial: serial})
			if err != nil {
				return err
			}
			m := resp.GetMember()
			return a.printer().Message(m, func(w io.Writer) {
				fmt.Fprintf(w, "REVOKED %s\n", output.Clean(m.GetName()))
				output.Table(w, []string{"MEMBER", "CERTIFICATE", "STATE", "EXPIRES"}, memberRows(m, time.Now()))
			})
		}),
	}
	c.Flags().StringVar(&org, "organization", "", "whose member (default the profile's)")
	c.Flags().StringVar(&serial, "serial", "", "the one certificate to revoke, by its serial number (default all)")
	return c
}

// memberName reads organizations/{o}/members/{m}, or {m} of the flag's or the profile's organization.
func memberName(c *client.Client, org, s string) (resource.Child, error) {
	if !strings.Contains(s, "/") {
		o, err := ownOrganization(c, org)
		if err != nil {
			return resource.Child{}, err
		}
		s = o.String() + "/" + string(resource.Members) + "/" + s
	}
	return named(resource.ParseMember(s))
}
