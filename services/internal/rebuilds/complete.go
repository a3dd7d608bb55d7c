package rebuilds

import (
	"context"
	"fmt"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/manifest"
	"github.com/countersign-escrow/countersign/escrow/resource"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/findingpb"
	"github.com/countersign-escrow/countersign/services/internal/pipeline"
)

// maxEnvelopes is one comparison for each artifact, the rebuild's finding and its provenance.
const maxEnvelopes = manifest.MaxArtifacts + 2

// handIn is a result that a rebuilder hands in.
type handIn struct {
	name     resource.Child
	token    int64
	release  *catalog.Release
	manifest *manifest.Manifest
	country  string // the rebuilder's
	keys     []key  // whose signatures count
	done     []catalog.Finding
}

// CompleteRebuild takes in the signed findings of a rebuild. All count or none: they are recorded, and the rebuild ends,
// in one transaction that only the holder of the present lease can make.
func (s *Server) CompleteRebuild(ctx context.Context, r *pb.CompleteRebuildRequest) (*pb.CompleteRebuildResponse, error) {
	name, err := own(ctx, r.GetName())
	if err != nil {
		return nil, err
	}
	if n := len(r.GetEnvelopes()); n < 1 || n > maxEnvelopes {
		return nil, fault.Invalidf("envelopes", "has %d entries, must have 1 to %d", n, maxEnvelopes)
	}
	in := &handIn{name: name, token: r.GetLeaseToken()}
	if err := s.read(ctx, in); err != nil {
		return nil, err
	}
	if in.done == nil {
		if in.done, err = s.take(ctx, in, r.GetEnvelopes()); err != nil {
			return nil, err
		}
	}
	resp := &pb.CompleteRebuildResponse{}
	for i := range in.done {
		m, err := findingpb.Message(&in.done[i])
		if err != nil {
			return nil, err
		}
		resp.Findings = append(resp.Findings, m)
	}
	return resp, nil
}

// read reads what a result is judged by. A call repeated by who has ended the rebuild finds what it recorded.
func (s *Server) read(ctx context.Context, in *handIn) error {
	return s.Catalog.View(ctx, func(tx *catalog.Tx) error {
		row, err := tx.Rebuild(in.name.Organization, in.name.ID)
		if err != nil {
			return err
		}
		if row.State == catalog.RebuildDone && row.LeaseToken == in.token {
			in.done, err = recorded(tx, row)
			return err
		}
		if row.State != catalog.RebuildLeased || row.LeaseToken != in.token || !row.LeaseUntil.After(s.now()) {
			return leaseLost(in.name)
		}
		if in.release, err = tx.Release(row.Release); err != nil {
			return err
		}
		if in.manifest, err = manifest.Parse(in.release.Manifest); err != nil {
			return fmt.Errorf("%s: stored manifest: %w", row.Release, err)
		}
		org, err := tx.Organization(in.name.Organization)
		if err != nil {
			return err
		}
		in.country = org.Country
		in.keys, err = readKeys(tx, in, s.now())
		return err
	})
}

func leaseLost(name resource.Child) error {
	lost := &fault.Error{Kind: fault.Aborted, Reason: "LEASE_LOST", Resource: name.String(), Message: "the lease has ended or is held by another"}
	return lost.WithAdvice("drop the result and lease again")
}

// recorded returns the findings that a rebuild ended with.
func recorded(tx *catalog.Tx, row *catalog.Rebuild) ([]catalog.Finding, error) {
	const page = 1000
	mine := []catalog.Finding{}
	for after := int64(0); ; {
		list, err := tx.Findings(row.Release, after, page)
		if err != nil {
			return nil, err
		}
		for _, f := range list {
			if f.Rebuilder == row.Rebuilder {
				mine = append(mine, f)
			}
			after = f.Seq
		}
		if len(list) < page {
			return mine, nil
		}
	}
}

// take judges the envelopes and records them.
func (s *Server) take(ctx context.Context, in *handIn, envelopes [][]byte) (findings []catalog.Finding, err error) {
	j := &judge{in: in}
	for i, raw := range envelopes {
		if err := j.envelope(fmt.Sprintf("envelopes[%d]", i), raw); err != nil {
			return nil, err
		}
	}
	if err := j.whole(); err != nil {
		return nil, err
	}
	attested, provenance, err := s.stamp(ctx, j)
	if err != nil {
		return nil, err
	}
	err = s.Catalog.Update(ctx, func(tx *catalog.Tx) error {
		if err := tx.CompleteRebuild(in.name.ID, in.token, s.now()); err != nil {
			return err
		}
		if findings, err = s.Pipeline.Record(ctx, tx, in.release.Name, in.name.Organization, attested); err != nil {
			return err
		}
		if provenance != nil {
			if err := s.Pipeline.Attestor().Record(ctx, tx, provenance); err != nil {
				return err
			}
		}
		return s.Pipeline.Settle(tx, in.release.Name)
	})
	if err == nil {
		s.Pipeline.Hub.Notify(pipeline.TopicRelease(in.release.Name))
	}
	return findings, err
}

// stamp makes attestations of the judged envelopes; provenance is nil where there is none.
func (s *Server) stamp(ctx context.Context, j *judge) (attested []pipeline.Attested, provenance *catalog.Attestation, err error) {
	about := pipeline.About{Release: j.in.release.Name}
	for _, e := range j.taken {
		att, err := s.Pipeline.Attestor().Take(ctx, about, e.envelope, j.in.name.Organization, e.keyPEM)
		if err != nil {
			return nil, nil, err
		}
		if e.finding == nil {
			provenance = att
			continue
		}
		attested = append(attested, pipeline.Attested{Finding: *e.finding, Attestation: att})
	}
	return attested, provenance, nil
}
