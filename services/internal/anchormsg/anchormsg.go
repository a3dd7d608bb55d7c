// Package anchormsg reads and writes what trust anchors hold in messages of the API. It knows nothing of where anchors are kept, so
// that clients use it, too.
package anchormsg

import (
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
)

// FromMessage reads an anchor as signatures are judged by it. What it holds is not looked into.
func FromMessage(in *pb.TrustAnchor) (anchor.Anchor, error) {
	a := anchor.Anchor{
		Name: in.GetName(), Purpose: purpose(in.GetPurpose()), Compromised: in.GetCompromised(), Unsafe: Unsafe(in.GetUnsafe()),
		From: instant(in.GetValidFrom()), Until: instant(in.GetValidUntil()), Revoked: instant(in.GetRevokeTime()),
	}
	m, err := ReadMaterial(in)
	a.Kind, a.Material = m.Kind, m.Text
	return a, err
}

// purpose has the enum's own words.
func purpose(in pb.TrustAnchorPurpose) anchor.Purpose {
	if in == pb.TrustAnchorPurpose_TRUST_ANCHOR_PURPOSE_UNSPECIFIED {
		return ""
	}
	return anchor.Purpose(strings.TrimPrefix(in.String(), "TRUST_ANCHOR_PURPOSE_"))
}

// Unsafe reads the weak algorithms that are allowed.
func Unsafe(in *pb.UnsafeAlgorithms) anchor.Unsafe {
	return anchor.Unsafe{MD5: in.GetMd5Unsafe(), SHA1: in.GetSha1Unsafe(), ShortRSA: in.GetShortRsaUnsafe()}
}

func instant(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}
