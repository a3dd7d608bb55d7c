package directory

import (
	"context"
	"slices"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/rpc"
)

// ListMembers lists everybody who speaks for an organization, for itself and for the operator.
func (s *Server) ListMembers(ctx context.Context, r *pb.ListMembersRequest) (*pb.ListMembersResponse, error) {
	org, err := rpc.Name("parent", r.GetParent(), resource.ParseOrganization)
	if err != nil {
		return nil, err
	}
	if err := selfOrOperator(ctx, org); err != nil {
		return nil, err
	}
	list, next, err := rpc.List(ctx, s.Catalog, r, rpc.Listing[catalog.Member, *pb.Member]{
		Read: func(tx *catalog.Tx, after string, limit int) ([]catalog.Member, error) {
			return tx.Members(org, s.now(), after, limit)
		},
		Key:     func(m *catalog.Member) string { return m.Name.ID },
		Message: memberToProto,
	})
	if err != nil {
		return nil, err
	}
	return &pb.ListMembersResponse{Members: list, NextPageToken: next}, nil
}

// RevokeMember makes a member's certificates, or one of them, count no more.
func (s *Server) RevokeMember(ctx context.Context, r *pb.RevokeMemberRequest) (*pb.RevokeMemberResponse, error) {
	name, err := rpc.Name("name", r.GetName(), resource.ParseMember)
	if err != nil {
		return nil, err
	}
	if err := selfOrOperator(ctx, name.Organization); err != nil {
		return nil, err
	}
	var member *catalog.Member
	err = s.Catalog.Update(ctx, func(tx *catalog.Tx) error {
		if err := s.revoke(tx, name, r.GetSerial()); err != nil {
			return err
		}
		member, err = tx.Member(name, s.now())
		if fault.Is(err, fault.NotFound) { // it had nothing but tokens
			member, err = &catalog.Member{Name: name}, nil
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return &pb.RevokeMemberResponse{Member: memberToProto(member)}, nil
}

// revoke revokes one certificate of a member, or all that it has. A serial number counts only with its own member: the
// catalog would find it whosever it is.
func (s *Server) revoke(tx *catalog.Tx, name resource.Child, serial string) error {
	member, err := tx.Member(name, s.now())
	if err != nil {
		return err
	}
	if serial == "" {
		return tx.RevokeMember(name, s.now())
	}
	if !slices.ContainsFunc(member.Certificates, func(c catalog.Certificate) bool { return c.Serial == serial }) {
		return fault.Invalidf("serial", "%.80q is the serial number of no certificate of %s", serial, name)
	}
	return tx.RevokeCertificate(serial, s.now())
}

func memberToProto(m *catalog.Member) *pb.Member {
	out := &pb.Member{Name: m.Name.String(), OpenTokens: int32(m.OpenTokens)}
	for _, c := range m.Certificates {
		out.Certificates = append(out.Certificates, &pb.MemberCertificate{
			Serial: c.Serial, ExpireTime: rpc.Timestamp(c.NotAfter), RevokeTime: rpc.Timestamp(c.Revoked),
		})
	}
	return out
}
