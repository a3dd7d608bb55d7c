package findingpb

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/verifier/finding"
)

// Caps on the covered files that all signatures of a finding name together, so that every message about it is one that can be sent.
const (
	maxCovered      = 4096
	maxCoveredBytes = 512 << 10
)

// signatures writes what the signatures of a release are worth.
func signatures(list []finding.SignatureEvidence) (out []*pb.SignatureEvidence) {
	files, bytes := maxCovered, maxCoveredBytes
	for _, e := range list {
		m := signature(e)
		for _, f := range e.Files {
			if files, bytes = files-1, bytes-len(f.Name); files < 0 || bytes < 0 {
				break
			}
			m.Files = append(m.Files, covered(f))
		}
		out = append(out, m)
	}
	return out
}

func covered(f finding.CoveredFile) *pb.CoveredFile {
	return &pb.CoveredFile{Role: pb.FileRole(pb.FileRole_value["FILE_ROLE_"+f.Role]), Name: f.Name, Digest: f.Digest.String()}
}

func signature(e finding.SignatureEvidence) *pb.SignatureEvidence {
	return &pb.SignatureEvidence{
		Kind: e.Kind, File: e.File, Valid: e.Valid, Anchor: e.Anchor, Roots: e.Roots, KeyId: e.KeyID, Signer: e.Signer, Covers: e.Covers,
		Time: instant(e.Time), TimeBy: e.TimeBy, ClaimedTime: instant(e.Claimed), Weak: e.Weak, Notes: e.Notes, Problem: e.Problem,
	}
}

// instant reads a time of the evidence; what is none is not given.
func instant(s string) *timestamppb.Timestamp {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return nil
	}
	return timestamppb.New(t)
}
