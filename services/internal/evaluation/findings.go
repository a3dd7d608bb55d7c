package evaluation

import (
	"context"
	"strconv"

	"google.golang.org/protobuf/proto"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/digest"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/findingpb"
	"github.com/countersign-escrow/countersign/services/internal/rpc"
)

// largestFindingsPage bounds what the findings of one page hold, in bytes, so that it fits into what any gRPC client takes: 4 MiB.
const largestFindingsPage = 3 << 20

// ListFindings lists the findings about a release, oldest first. They hold excerpts of files: the vendor sees in the
// trail who has read them.
func (s *Server) ListFindings(ctx context.Context, r *pb.ListFindingsRequest) (*pb.ListFindingsResponse, error) {
	release, grantID, err := s.seen(ctx, "parent", r.GetParent())
	if err != nil {
		return nil, err
	}
	limit, after, err := numberedPage(r.GetPageSize(), r.GetPageToken())
	if err != nil {
		return nil, err
	}
	var list []catalog.Finding
	err = s.Catalog.View(ctx, func(tx *catalog.Tx) error {
		list, err = tx.Findings(release, after, limit+1)
		return err
	})
	if err != nil {
		return nil, err
	}
	limit = rpc.Fitting(list, limit, func(f *catalog.Finding) int { return len(f.Finding) }, largestFindingsPage)
	page, next := rpc.Cut(list, limit, func(f catalog.Finding) string { return strconv.FormatInt(f.Seq, 10) })
	resp := &pb.ListFindingsResponse{NextPageToken: next}
	for i := range page {
		m, err := findingpb.Message(&page[i])
		if err != nil {
			return nil, err
		}
		resp.Findings = append(resp.Findings, m)
	}
	if err := s.record(ctx, access{release: release, grantID: grantID, what: release.String() + "/findings"}, int64(proto.Size(resp))); err != nil {
		return nil, err
	}
	return resp, nil
}

// LookupArtifact tells which releases, of those the caller may see, ship a file.
func (s *Server) LookupArtifact(ctx context.Context, r *pb.LookupArtifactRequest) (*pb.LookupArtifactResponse, error) {
	d, err := rpc.Name("digest", r.GetDigest(), digest.Parse)
	if err != nil {
		return nil, err
	}
	caller := rpc.MustCaller(ctx)
	resp := &pb.LookupArtifactResponse{}
	err = s.Catalog.View(ctx, func(tx *catalog.Tx) error {
		places, err := tx.ReleasesByArtifact(d, caller.Organization, s.now(), rpc.LargestPage)
		if err != nil {
			return err
		}
		for _, p := range places {
			m := &pb.ArtifactMatch{Release: p.Release.String(), Artifact: p.Path}
			report, err := tx.NewestVisibleReport(caller.Organization, p.Release)
			if err != nil {
				return err
			}
			if report != nil {
				if m.Report, err = reportMessage(report); err != nil {
					return err
				}
			}
			resp.Matches = append(resp.Matches, m)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return resp, nil
}
