package directory

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"time"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/ca"
	"github.com/countersign-escrow/countersign/services/internal/rpc"
)

const (
	tokenLife    = 24 * time.Hour
	tokenPrefix  = "countersign-enrol-" // so that a token that strays into a file is known for what it is
	tokenSecret  = 32                   // random bytes
	longestToken = 200
)

// CreateEnrolmentToken makes a single-use token for a new member: the operator for every organization, others for
// their own.
func (s *Server) CreateEnrolmentToken(ctx context.Context, r *pb.CreateEnrolmentTokenRequest) (*pb.CreateEnrolmentTokenResponse, error) {
	org, err := rpc.Name("organization", r.GetOrganization(), resource.ParseOrganization)
	if err != nil {
		return nil, err
	}
	if err := selfOrOperator(ctx, org); err != nil {
		return nil, err
	}
	if err := resource.CheckMember(r.GetMemberId()); err != nil {
		return nil, fault.Invalidf("member_id", "%v", err)
	}
	secret := make([]byte, tokenSecret)
	if _, err := rand.Read(secret); err != nil {
		return nil, err
	}
	token := tokenPrefix + base64.RawURLEncoding.EncodeToString(secret)
	expires := s.now().Add(tokenLife)
	err = s.Catalog.Update(ctx, func(tx *catalog.Tx) error {
		if _, err := tx.Organization(org); err != nil {
			return err
		}
		return tx.InsertToken(catalog.EnrolmentToken{
			Hash: digest.Of([]byte(token)), Organization: org, Member: r.GetMemberId(), Expires: expires,
		})
	})
	if err != nil {
		return nil, err
	}
	return &pb.CreateEnrolmentTokenResponse{Token: token, ExpireTime: rpc.Timestamp(expires)}, nil
}

func selfOrOperator(ctx context.Context, org resource.Organization) error {
	if rpc.MustCaller(ctx).Kind == catalog.Operator {
		return nil
	}
	return rpc.RequireSelf(ctx, org)
}

// Enrol turns a token and a certificate request into a client certificate. A request that cannot be used leaves the
// token good.
func (s *Server) Enrol(ctx context.Context, r *pb.EnrolRequest) (*pb.EnrolResponse, error) {
	if r.GetToken() == "" || len(r.GetToken()) > longestToken {
		return nil, fault.Invalidf("token", "is not an enrolment token")
	}
	resp := &pb.EnrolResponse{CaPem: string(s.CA.CertificatePEM())}
	err := s.Catalog.Update(ctx, func(tx *catalog.Tx) error {
		token, err := tx.UseToken(digest.Of([]byte(r.GetToken())), s.now())
		if err != nil {
			return err
		}
		org, err := tx.Organization(token.Organization)
		if err != nil {
			return err
		}
		issued, err := Issue(tx, s.CA, []byte(r.GetCsrPem()), token.Organization, token.Member, s.now())
		if err != nil {
			return err
		}
		resp.CertificatePem, resp.Organization, resp.MemberId = string(issued.PEM), toProto(*org), token.Member
		return nil
	})
	if err != nil {
		return nil, err
	}
	return resp, nil
}

// Issue makes a client certificate and writes it into the catalog, without which it would not count.
func Issue(tx *catalog.Tx, authority *ca.Authority, csrPEM []byte, org resource.Organization, member string, now time.Time) (*ca.Issued, error) {
	issued, err := authority.IssueClient(csrPEM, org, member, now)
	if err != nil {
		return nil, err
	}
	return issued, tx.InsertCertificate(catalog.Certificate{
		Serial: issued.Serial, Organization: org, Member: member, NotAfter: issued.NotAfter,
	})
}
