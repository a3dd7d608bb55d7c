package evaluation

import (
	"context"

	"google.golang.org/protobuf/proto"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/releasepb"
)

// GetSealedRelease returns a sealed release with its signatures, to its vendor and to whoever has a live grant.
func (s *Server) GetSealedRelease(ctx context.Context, r *pb.GetSealedReleaseRequest) (*pb.GetSealedReleaseResponse, error) {
	name, grantID, err := s.seen(ctx, "name", r.GetName())
	if err != nil {
		return nil, err
	}
	var release *catalog.Release
	err = s.Catalog.View(ctx, func(tx *catalog.Tx) error {
		release, err = tx.Release(name)
		return err
	})
	if err != nil {
		return nil, err
	}
	resp := &pb.GetSealedReleaseResponse{Release: releasepb.Message(release), Signatures: releasepb.Signatures(release.Signatures)}
	if err := s.record(ctx, access{release: name, grantID: grantID, what: name.String()}, int64(proto.Size(resp))); err != nil {
		return nil, err
	}
	return resp, nil
}
