package directory

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/ca"
	"github.com/countersign-escrow/countersign/services/internal/rpc"
	"github.com/countersign-escrow/countersign/verifier/publickey"
)

// mostAnchors bounds an organization's anchors: each is tried for every signature.
const mostAnchors = 1000

var purposes = map[pb.TrustAnchorPurpose]catalog.Purpose{
	pb.TrustAnchorPurpose_TRUST_ANCHOR_PURPOSE_RELEASE: catalog.PurposeRelease,
	pb.TrustAnchorPurpose_TRUST_ANCHOR_PURPOSE_REBUILD: catalog.PurposeRebuild,
}

// holders are the kinds of organization that sign for a purpose.
var holders = map[catalog.Purpose]catalog.Kind{
	catalog.PurposeRelease: catalog.Vendor,
	catalog.PurposeRebuild: catalog.Evaluator,
}

// AddTrustAnchor registers a key whose signatures count for the caller's organization.
func (s *Server) AddTrustAnchor(ctx context.Context, r *pb.AddTrustAnchorRequest) (*pb.AddTrustAnchorResponse, error) {
	org, err := rpc.Name("parent", r.GetParent(), resource.ParseOrganization)
	if err != nil {
		return nil, err
	}
	if err := rpc.RequireSelf(ctx, org); err != nil {
		return nil, err
	}
	anchor, err := s.readAnchor(org, rpc.MustCaller(ctx).Kind, r.GetTrustAnchor())
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
			earlier, err := tx.TrustAnchor(org, made)
			if err == nil {
				anchor = earlier
			}
			return err
		}
		if err := insertAnchor(tx, *anchor); err != nil {
			return err
		}
		return tx.RememberRequest(request, anchor.ID, s.now())
	})
	if err != nil {
		return nil, err
	}
	return &pb.AddTrustAnchorResponse{TrustAnchor: anchorToProto(*anchor)}, nil
}

func insertAnchor(tx *catalog.Tx, a catalog.TrustAnchor) error {
	if a.Product != nil {
		if _, err := tx.Product(*a.Product); err != nil {
			return err
		}
	}
	there, err := tx.TrustAnchors(a.Organization)
	if err != nil {
		return err
	}
	if len(there) >= mostAnchors {
		return fault.Exhaustedf("parent", "%s has %d trust anchors, and may have no more", a.Organization, len(there))
	}
	return tx.InsertTrustAnchor(a)
}

func (s *Server) readAnchor(org resource.Organization, kind catalog.Kind, in *pb.TrustAnchor) (*catalog.TrustAnchor, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	a := &catalog.TrustAnchor{ID: id.String(), Organization: org, Created: s.now()}
	if a.Purpose, err = readPurpose(kind, in.GetPurpose()); err != nil {
		return nil, err
	}
	if a.Product, err = readAnchorProduct(org, a.Purpose, in.GetProduct()); err != nil {
		return nil, err
	}
	if a.PublicKeyPEM, a.KeyID, err = readKey(a.Purpose, in.GetPublicKeyPem()); err != nil {
		return nil, err
	}
	a.From, a.Until, err = readTerm(in, a.Created)
	return a, err
}

func readPurpose(kind catalog.Kind, in pb.TrustAnchorPurpose) (catalog.Purpose, error) {
	const field = "trust_anchor.purpose"
	purpose, ok := purposes[in]
	if !ok {
		return "", fault.Invalidf(field, "must be RELEASE or REBUILD")
	}
	if want := holders[purpose]; want != kind {
		return "", fault.Invalidf(field, "%s is for organizations of kind %s, yours is of kind %s", purpose, want, kind)
	}
	return purpose, nil
}

func readAnchorProduct(org resource.Organization, purpose catalog.Purpose, name string) (*resource.Product, error) {
	const field = "trust_anchor.product"
	if name == "" {
		return nil, nil
	}
	product, err := rpc.Name(field, name, resource.ParseProduct)
	if err != nil {
		return nil, err
	}
	if purpose != catalog.PurposeRelease {
		return nil, fault.Invalidf(field, "is for anchors of purpose RELEASE only")
	}
	if product.Vendor != org {
		return nil, fault.Invalidf(field, "must be a product of %s", org)
	}
	return &product, nil
}

// readKey returns the key in its one canonical form, and its id.
func readKey(purpose catalog.Purpose, in string) (keyPEM, id string, err error) {
	const field = "trust_anchor.public_key_pem"
	key, err := publickey.Parse(in)
	if err != nil {
		return "", "", fault.Invalidf(field, "%v", err)
	}
	if err := ca.CheckKey(key); err != nil {
		return "", "", fault.Invalidf(field, "%v", err)
	}
	if _, err := publickey.P256(key); err != nil && purpose == catalog.PurposeRebuild {
		return "", "", fault.Invalidf(field, "%v", err).
			WithAdvice("the purpose REBUILD needs ECDSA P-256: stock verifiers check statements with such keys only")
	}
	if keyPEM, err = publickey.PEM(key); err != nil {
		return "", "", err
	}
	id, err = publickey.ID(key)
	return keyPEM, id, err
}

func readTerm(in *pb.TrustAnchor, now time.Time) (from, until time.Time, err error) {
	if from, err = rpc.Time("trust_anchor.valid_from", in.GetValidFrom()); err != nil {
		return from, until, err
	}
	if from.IsZero() {
		from = now
	}
	if until, err = rpc.Time("trust_anchor.valid_until", in.GetValidUntil()); err != nil {
		return from, until, err
	}
	if !until.IsZero() && !until.After(from) {
		return from, until, fault.Invalidf("trust_anchor.valid_until", "must be after valid_from, %s", from.Format(time.RFC3339))
	}
	return from, until, nil
}

// ListTrustAnchors lists an organization's trust anchors, for itself and for the operator.
func (s *Server) ListTrustAnchors(ctx context.Context, r *pb.ListTrustAnchorsRequest) (*pb.ListTrustAnchorsResponse, error) {
	org, err := rpc.Name("parent", r.GetParent(), resource.ParseOrganization)
	if err != nil {
		return nil, err
	}
	if err := selfOrOperator(ctx, org); err != nil {
		return nil, err
	}
	list, next, err := rpc.List(ctx, s.Catalog, r, rpc.Listing[catalog.TrustAnchor, *pb.TrustAnchor]{
		Read: func(tx *catalog.Tx, after string, limit int) ([]catalog.TrustAnchor, error) {
			return tx.TrustAnchorsPage(org, after, limit)
		},
		Key:     func(a *catalog.TrustAnchor) string { return a.ID },
		Message: func(a *catalog.TrustAnchor) *pb.TrustAnchor { return anchorToProto(*a) },
	})
	if err != nil {
		return nil, err
	}
	return &pb.ListTrustAnchorsResponse{TrustAnchors: list, NextPageToken: next}, nil
}

// RevokeTrustAnchor ends the validity of one of the caller's trust anchors at once.
func (s *Server) RevokeTrustAnchor(ctx context.Context, r *pb.RevokeTrustAnchorRequest) (*pb.RevokeTrustAnchorResponse, error) {
	name, err := rpc.Name("name", r.GetName(), func(n string) (resource.Child, error) {
		return resource.ParseChild(n, resource.TrustAnchors)
	})
	if err != nil {
		return nil, err
	}
	if err := rpc.RequireSelf(ctx, name.Organization); err != nil {
		return nil, err
	}
	var anchor *catalog.TrustAnchor
	err = s.Catalog.Update(ctx, func(tx *catalog.Tx) error {
		anchor, err = tx.RevokeTrustAnchor(name.Organization, name.ID, s.now())
		return err
	})
	if err != nil {
		return nil, err
	}
	return &pb.RevokeTrustAnchorResponse{TrustAnchor: anchorToProto(*anchor)}, nil
}

func anchorToProto(a catalog.TrustAnchor) *pb.TrustAnchor {
	name := resource.Child{Organization: a.Organization, Collection: resource.TrustAnchors, ID: a.ID}
	out := &pb.TrustAnchor{
		Name:         name.String(),
		PublicKeyPem: a.PublicKeyPEM,
		ValidFrom:    rpc.Timestamp(a.From),
		ValidUntil:   rpc.Timestamp(a.Until),
		RevokeTime:   rpc.Timestamp(a.Revoked),
		CreateTime:   rpc.Timestamp(a.Created),
	}
	for p, c := range purposes {
		if c == a.Purpose {
			out.Purpose = p
		}
	}
	if a.Product != nil {
		out.Product = a.Product.String()
	}
	return out
}
