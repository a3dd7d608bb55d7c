package directory

import (
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/countersign-escrow/countersign/escrow/resource"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
)

func members(t *testing.T, by pb.DirectoryServiceClient, org string) map[string]*pb.Member {
	t.Helper()
	got := map[string]*pb.Member{}
	for r := (&pb.ListMembersRequest{Parent: org, PageSize: 1}); ; {
		resp, err := by.ListMembers(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range resp.GetMembers() {
			got[m.GetName()] = m
		}
		if r.PageToken = resp.GetNextPageToken(); r.PageToken == "" {
			return got
		}
	}
}

// Whoever enrols in an organization's name is seen by that organization: as a token first, as a certificate then.
func TestNobodyIsEnrolledUnseen(t *testing.T) {
	h := newHouse(t)
	if got := members(t, h.acme, "organizations/acme"); len(got) != 1 {
		t.Errorf("members %v, want one", got)
	}
	token := h.token(t, h.operator, "organizations/acme")
	const ann = "organizations/acme/members/ann"
	if m := members(t, h.acme, "organizations/acme")[ann]; m.GetOpenTokens() != 1 || len(m.GetCertificates()) != 0 {
		t.Errorf("before: %v", m)
	}
	_, csr := newRequest(t)
	if _, err := h.stranger.Enrol(t.Context(), &pb.EnrolRequest{Token: token, CsrPem: csr}); err != nil {
		t.Fatal(err)
	}
	for _, by := range []pb.DirectoryServiceClient{h.acme, h.operator} {
		got := members(t, by, "organizations/acme")
		if m := got[ann]; len(got) != 2 || m.GetOpenTokens() != 0 || len(m.GetCertificates()) != 1 || !m.GetCertificates()[0].GetExpireTime().IsValid() {
			t.Errorf("afterwards: %v", got)
		}
	}
	_, err := h.lab.ListMembers(t.Context(), &pb.ListMembersRequest{Parent: "organizations/acme"})
	wantCode(t, "another's members", err, codes.PermissionDenied, "NOT_YOURS")
}

func TestAMemberIsRevoked(t *testing.T) {
	h := newHouse(t)
	acme := resource.Organization{ID: "acme"}
	first, second, other := h.Enrol(t, acme, "ann"), h.Enrol(t, acme, "ann"), h.Enrol(t, acme, "bob")
	token := h.token(t, h.acme, "organizations/acme") // ann's
	h.clock = h.clock.Add(time.Second)
	ask := func(c pb.DirectoryServiceClient) error {
		_, err := c.ListMembers(t.Context(), &pb.ListMembersRequest{Parent: "organizations/acme"})
		return err
	}
	one, two := pb.NewDirectoryServiceClient(h.Dial(t, first)), pb.NewDirectoryServiceClient(h.Dial(t, second))
	three := pb.NewDirectoryServiceClient(h.Dial(t, other))
	ann := &pb.RevokeMemberRequest{Name: "organizations/acme/members/ann"}

	_, err := h.lab.RevokeMember(t.Context(), ann)
	wantCode(t, "by another organization", err, codes.PermissionDenied, "NOT_YOURS")
	_, err = h.acme.RevokeMember(t.Context(), &pb.RevokeMemberRequest{Name: ann.Name, Serial: other.Serial})
	wantCode(t, "another's certificate", err, codes.InvalidArgument, "INVALID_ARGUMENT")
	_, err = h.lab.RevokeMember(t.Context(), &pb.RevokeMemberRequest{Name: "organizations/lab/members/member", Serial: first.Serial})
	wantCode(t, "another organization's certificate", err, codes.InvalidArgument, "INVALID_ARGUMENT")
	_, err = h.acme.RevokeMember(t.Context(), &pb.RevokeMemberRequest{Name: "organizations/acme/members/eve"})
	wantCode(t, "nobody", err, codes.NotFound, "NOT_FOUND")
	_, err = h.acme.RevokeMember(t.Context(), &pb.RevokeMemberRequest{Name: "organizations/acme/members/A"})
	wantCode(t, "malformed", err, codes.InvalidArgument, "INVALID_ARGUMENT")
	wantCode(t, "so far", ask(one), codes.OK, "")

	ann.Serial = first.Serial
	resp, err := h.acme.RevokeMember(t.Context(), ann)
	if err != nil || resp.GetMember().GetOpenTokens() != 1 {
		t.Errorf("one certificate: %v (%v)", resp, err)
	}
	wantCode(t, "the one", ask(one), codes.Unauthenticated, "CERTIFICATE_REVOKED")
	wantCode(t, "the other", ask(two), codes.OK, "")

	ann.Serial = ""
	resp, err = h.operator.RevokeMember(t.Context(), ann)
	if err != nil || resp.GetMember().GetOpenTokens() != 0 || len(resp.GetMember().GetCertificates()) != 2 {
		t.Errorf("all: %v (%v)", resp, err)
	}
	for _, c := range resp.GetMember().GetCertificates() {
		if !c.GetRevokeTime().IsValid() {
			t.Errorf("not revoked: %v", c)
		}
	}
	wantCode(t, "the other", ask(two), codes.Unauthenticated, "CERTIFICATE_REVOKED")
	_, csr := newRequest(t)
	_, err = h.stranger.Enrol(t.Context(), &pb.EnrolRequest{Token: token, CsrPem: csr})
	wantCode(t, "a token from before", err, codes.PermissionDenied, "TOKEN_REFUSED")
	wantCode(t, "somebody else", ask(three), codes.OK, "")
}
