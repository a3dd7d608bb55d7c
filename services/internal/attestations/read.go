package attestations

import (
	"context"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/rpc"
)

// GetAttestation returns one attestation that the caller may see. Its owner sees in the trail who has read it: a
// comparison holds excerpts of files.
func (s *Server) GetAttestation(ctx context.Context, r *pb.GetAttestationRequest) (*pb.GetAttestationResponse, error) {
	name, err := rpc.Name("name", r.GetName(), resource.ParseAttestation)
	if err != nil {
		return nil, err
	}
	caller := rpc.MustCaller(ctx)
	var att *catalog.Attestation
	err = s.Catalog.Update(ctx, func(tx *catalog.Tx) error {
		if att, err = tx.AttestationFor(name.ID, caller.Organization, s.now()); err != nil {
			return err
		}
		return s.record(tx, att, caller)
	})
	if err != nil {
		return nil, err
	}
	m := message(att)
	m.Bundle = att.Bundle
	return &pb.GetAttestationResponse{Attestation: m}, nil
}

func (s *Server) record(tx *catalog.Tx, att *catalog.Attestation, reader rpc.Identity) error {
	if att.Owner == reader.Organization {
		return nil
	}
	a := &catalog.AccessRecord{Vendor: att.Owner, Reader: reader.Organization, Member: reader.Member, Resource: att.Name(),
		Bytes: int64(len(att.Bundle)), Time: s.now()}
	grants, err := tx.LiveGrants(reader.Organization, att.Release.Product, s.now())
	if err != nil {
		return err
	}
	if len(grants) > 0 {
		a.GrantID = grants[0].ID
	}
	return tx.InsertAccess(a)
}

// ListAttestations lists the attestations that the caller may see, oldest first.
func (s *Server) ListAttestations(ctx context.Context, r *pb.ListAttestationsRequest) (*pb.ListAttestationsResponse, error) {
	f := catalog.AttestationFilter{Viewer: rpc.MustCaller(ctx).Organization, Now: s.now(), PredicateType: r.GetPredicateType()}
	if err := readFilter(r, &f); err != nil {
		return nil, err
	}
	list, next, err := rpc.List(ctx, s.Catalog, r, rpc.Listing[catalog.Attestation, *pb.Attestation]{
		Read: func(tx *catalog.Tx, after string, limit int) ([]catalog.Attestation, error) {
			f.After, f.Limit = after, limit
			return tx.AttestationsPage(f)
		},
		Key:     func(a *catalog.Attestation) string { return a.ID },
		Message: message,
	})
	if err != nil {
		return nil, err
	}
	return &pb.ListAttestationsResponse{Attestations: list, NextPageToken: next}, nil
}

func readFilter(r *pb.ListAttestationsRequest, f *catalog.AttestationFilter) (err error) {
	if r.GetRelease() != "" {
		if f.Release, err = rpc.Name("release", r.GetRelease(), resource.ParseRelease); err != nil {
			return err
		}
	}
	if r.GetSubject() != "" {
		if f.Subject, err = rpc.Name("subject", r.GetSubject(), digest.Parse); err != nil {
			return err
		}
	}
	if len(f.PredicateType) > 512 {
		return fault.Invalidf("predicate_type", "has %d bytes, 512 at most", len(f.PredicateType))
	}
	return nil
}

// GetTrustedRoot returns the keys that attestations are checked with.
func (s *Server) GetTrustedRoot(context.Context, *pb.GetTrustedRootRequest) (*pb.GetTrustedRootResponse, error) {
	return &pb.GetTrustedRootResponse{TrustedRoot: s.TrustedRoot, StatementKeyPem: s.StatementKey}, nil
}

// GetCheckpoint returns the log's newest checkpoint.
func (s *Server) GetCheckpoint(ctx context.Context, _ *pb.GetCheckpointRequest) (*pb.GetCheckpointResponse, error) {
	c, err := s.Log.Checkpoint(ctx)
	if err != nil {
		return nil, err
	}
	return &pb.GetCheckpointResponse{Checkpoint: c}, nil
}

func message(a *catalog.Attestation) *pb.Attestation {
	m := &pb.Attestation{
		Name: a.Name(), Release: a.Release.String(), PredicateType: a.PredicateType, LogIndex: a.LogIndex,
		CreateTime: rpc.Timestamp(a.Created), Signer: a.Signer.String(), PublicKeyPem: a.PublicKeyPEM,
	}
	for _, d := range a.Subjects {
		m.Subjects = append(m.Subjects, d.String())
	}
	return m
}
