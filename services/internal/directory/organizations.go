package directory

import (
	"context"
	"regexp"
	"unicode"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/rpc"
)

var kinds = map[pb.OrganizationKind]catalog.Kind{
	pb.OrganizationKind_ORGANIZATION_KIND_VENDOR:    catalog.Vendor,
	pb.OrganizationKind_ORGANIZATION_KIND_EVALUATOR: catalog.Evaluator,
	pb.OrganizationKind_ORGANIZATION_KIND_AUDITOR:   catalog.Auditor,
	pb.OrganizationKind_ORGANIZATION_KIND_AGENCY:    catalog.Agency,
	pb.OrganizationKind_ORGANIZATION_KIND_OPERATOR:  catalog.Operator,
}

var country = regexp.MustCompile(`^[A-Z]{2}$`)

// CheckCountry says whether s has the form of a country of ISO 3166-1 alpha-2.
func CheckCountry(field, s string) error {
	if !country.MatchString(s) {
		return fault.Invalidf(field, "must be a country of ISO 3166-1, two upper-case letters, is %.20q", s)
	}
	return nil
}

// CreateOrganization registers an organization.
func (s *Server) CreateOrganization(ctx context.Context, r *pb.CreateOrganizationRequest) (*pb.CreateOrganizationResponse, error) {
	org, err := s.readOrganization(r)
	if err != nil {
		return nil, err
	}
	request, err := rpc.Request(ctx, r)
	if err != nil {
		return nil, err
	}
	err = s.Catalog.Update(ctx, func(tx *catalog.Tx) error {
		made, seen, err := tx.Request(request)
		if err != nil {
			return err
		}
		if seen {
			return reread(tx, made, &org)
		}
		if err := tx.InsertOrganization(org); err != nil {
			return err
		}
		return tx.RememberRequest(request, org.Name.String(), s.now())
	})
	if err != nil {
		return nil, err
	}
	return &pb.CreateOrganizationResponse{Organization: toProto(org)}, nil
}

func reread(tx *catalog.Tx, name string, into *catalog.Organization) error {
	parsed, err := resource.ParseOrganization(name)
	if err != nil {
		return err
	}
	org, err := tx.Organization(parsed)
	if err != nil {
		return err
	}
	*into = *org
	return nil
}

func (s *Server) readOrganization(r *pb.CreateOrganizationRequest) (catalog.Organization, error) {
	name, err := rpc.Name("organization_id", r.GetOrganizationId(), resource.NewOrganization)
	if err != nil {
		return catalog.Organization{}, err
	}
	o := r.GetOrganization()
	kind, ok := kinds[o.GetKind()]
	if !ok || kind == catalog.Operator {
		return catalog.Organization{}, fault.Invalidf("organization.kind", "must be VENDOR, EVALUATOR, AUDITOR or AGENCY")
	}
	if err := CheckCountry("organization.country", o.GetCountry()); err != nil {
		return catalog.Organization{}, err
	}
	if err := checkText("organization.display_name", o.GetDisplayName()); err != nil {
		return catalog.Organization{}, err
	}
	return catalog.Organization{
		Name: name, Kind: kind, Country: o.GetCountry(), DisplayName: o.GetDisplayName(), Created: s.now(),
	}, nil
}

// checkText bounds a text for people: it will be shown on terminals.
func checkText(field, text string) error {
	const most = 200
	if len(text) > most {
		return fault.Exhaustedf(field, "has %d bytes, %d at most", len(text), most)
	}
	for _, r := range text {
		if !unicode.IsPrint(r) {
			return fault.Invalidf(field, "holds %U, which cannot be printed", r)
		}
	}
	return nil
}

// GetOrganization returns one organization.
func (s *Server) GetOrganization(ctx context.Context, r *pb.GetOrganizationRequest) (*pb.GetOrganizationResponse, error) {
	name, err := rpc.Name("name", r.GetName(), resource.ParseOrganization)
	if err != nil {
		return nil, err
	}
	var org *catalog.Organization
	err = s.Catalog.View(ctx, func(tx *catalog.Tx) error {
		org, err = tx.Organization(name)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &pb.GetOrganizationResponse{Organization: toProto(*org)}, nil
}

// ListOrganizations lists the organizations, by id.
func (s *Server) ListOrganizations(ctx context.Context, r *pb.ListOrganizationsRequest) (*pb.ListOrganizationsResponse, error) {
	list, next, err := rpc.List(ctx, s.Catalog, r, rpc.Listing[catalog.Organization, *pb.Organization]{
		Read: func(tx *catalog.Tx, after string, limit int) ([]catalog.Organization, error) {
			return tx.Organizations(after, limit)
		},
		Key:     func(o *catalog.Organization) string { return o.Name.String() },
		Message: func(o *catalog.Organization) *pb.Organization { return toProto(*o) },
	})
	if err != nil {
		return nil, err
	}
	return &pb.ListOrganizationsResponse{Organizations: list, NextPageToken: next}, nil
}

func toProto(o catalog.Organization) *pb.Organization {
	out := &pb.Organization{
		Name: o.Name.String(), Country: o.Country, DisplayName: o.DisplayName, CreateTime: rpc.Timestamp(o.Created),
	}
	for p, k := range kinds {
		if k == o.Kind {
			out.Kind = p
		}
	}
	return out
}
