package directory

import (
	"context"
	"slices"
	"time"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/anchorpb"
	"github.com/countersign-escrow/countersign/services/internal/rpc"
	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
)

// Caps on an organization's anchors: each is tried for every signature.
const (
	mostAnchors     = 1000
	mostAnchorBytes = 16 << 20 // of what they hold
)

// largestAnchorPage bounds what the anchors of one page hold, in bytes, so that it fits into what any gRPC client takes: 4 MiB.
const largestAnchorPage = 3 << 20

// AddTrustAnchor registers a key, certificate or identity whose signatures count for the caller's organization.
func (s *Server) AddTrustAnchor(ctx context.Context, r *pb.AddTrustAnchorRequest) (*pb.AddTrustAnchorResponse, error) {
	org, err := rpc.Name("parent", r.GetParent(), resource.ParseOrganization)
	if err != nil {
		return nil, err
	}
	if err := rpc.RequireSelf(ctx, org); err != nil {
		return nil, err
	}
	a, err := s.readAnchor(org, rpc.MustCaller(ctx).Kind, r.GetTrustAnchor())
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
				a = earlier
			}
			return err
		}
		if err := insertAnchor(tx, *a); err != nil {
			return err
		}
		return tx.RememberRequest(request, a.ID, s.now())
	})
	if err != nil {
		return nil, err
	}
	return &pb.AddTrustAnchorResponse{TrustAnchor: anchorpb.Message(a)}, nil
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
	bytes := len(a.Material)
	for _, t := range there {
		bytes += len(t.Material)
	}
	if bytes > mostAnchorBytes {
		return fault.Exhaustedf("trust_anchor", "the trust anchors of %s would hold %d bytes, %d at most", a.Organization, bytes, mostAnchorBytes).
			WithAdvice("register only the certificates that releases are signed with, not a whole key ring")
	}
	if err := checkTrustedRoot(&a, there); err != nil {
		return err
	}
	return tx.InsertTrustAnchor(a)
}

// checkTrustedRoot makes sure that the root which a Sigstore identity names is there for it.
func checkTrustedRoot(a *catalog.TrustAnchor, there []catalog.TrustAnchor) error {
	const field = "trust_anchor.sigstore_identity.trusted_root"
	if anchor.Kind(a.Kind) != anchor.SigstoreIdentity {
		return nil
	}
	identity, err := anchor.ParseIdentity(a.Material)
	if err != nil || identity.TrustedRoot == "" {
		return err
	}
	i := slices.IndexFunc(there, func(t catalog.TrustAnchor) bool { return t.Name() == identity.TrustedRoot })
	switch {
	case i < 0 || anchor.Kind(there[i].Kind) != anchor.SigstoreRoot:
		return fault.Invalidf(field, "%.200q is no Sigstore trusted root of %s", identity.TrustedRoot, a.Organization).
			WithAdvice("register the trusted root first, as a trust anchor with sigstore_trusted_root, and give its name here")
	case !there[i].Revoked.IsZero():
		return fault.Invalidf(field, "%s was revoked at %s", identity.TrustedRoot, there[i].Revoked.Format(time.RFC3339))
	case there[i].Product != nil && (a.Product == nil || *a.Product != *there[i].Product):
		return fault.Invalidf(field, "%s is for %s only", identity.TrustedRoot, there[i].Product)
	}
	return nil
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
		Key:       func(a *catalog.TrustAnchor) string { return a.ID },
		Message:   anchorpb.Message,
		Bytes:     func(a *catalog.TrustAnchor) int { return len(a.Material) },
		MostBytes: largestAnchorPage,
	})
	if err != nil {
		return nil, err
	}
	return &pb.ListTrustAnchorsResponse{TrustAnchors: list, NextPageToken: next}, nil
}

// RevokeTrustAnchor ends the validity of one of the caller's trust anchors at once, and if it is compromised, for all the time before too.
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
	var a *catalog.TrustAnchor
	err = s.Catalog.Update(ctx, func(tx *catalog.Tx) error {
		a, err = tx.RevokeTrustAnchor(name.Organization, name.ID, s.now(), r.GetCompromised())
		if err != nil || !r.GetCompromised() || s.Judge == nil {
			return err
		}
		return s.Judge.AnchorCompromised(ctx, tx, a)
	})
	if err != nil {
		return nil, err
	}
	return &pb.RevokeTrustAnchorResponse{TrustAnchor: anchorpb.Message(a)}, nil
}
