// Package anchorpb turns trust anchors into messages of the API and back, and into what signatures are judged by. It knows nothing of
// who may register or see them, or of what makes one good.
package anchorpb

import (
	"github.com/countersign-escrow/countersign/escrow/catalog"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/anchormsg"
	"github.com/countersign-escrow/countersign/services/internal/rpc"
	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
)

var purposes = map[catalog.Purpose]pb.TrustAnchorPurpose{
	catalog.PurposeRelease:  pb.TrustAnchorPurpose_TRUST_ANCHOR_PURPOSE_RELEASE,
	catalog.PurposeRebuild:  pb.TrustAnchorPurpose_TRUST_ANCHOR_PURPOSE_REBUILD,
	catalog.PurposeSource:   pb.TrustAnchorPurpose_TRUST_ANCHOR_PURPOSE_SOURCE,
	catalog.PurposeArtifact: pb.TrustAnchorPurpose_TRUST_ANCHOR_PURPOSE_ARTIFACT,
	catalog.PurposeTime:     pb.TrustAnchorPurpose_TRUST_ANCHOR_PURPOSE_TIME,
}

// Purpose reads a purpose, "" for none that there is.
func Purpose(in pb.TrustAnchorPurpose) catalog.Purpose {
	for c, p := range purposes {
		if p == in {
			return c
		}
	}
	return ""
}

// Anchor returns a registered anchor as signatures are judged by it.
func Anchor(a *catalog.TrustAnchor) anchor.Anchor {
	return anchor.Anchor{
		Name: a.Name(), Kind: anchor.Kind(a.Kind), Material: a.Material, Purpose: anchor.Purpose(a.Purpose),
		From: a.From, Until: a.Until, Revoked: a.Revoked, Compromised: a.Compromised, Unsafe: anchor.Unsafe(a.Unsafe),
	}
}

// Message writes a registered anchor. Material that cannot be read is left out.
func Message(a *catalog.TrustAnchor) *pb.TrustAnchor {
	out := &pb.TrustAnchor{
		Name: a.Name(), Purpose: purposes[a.Purpose], Compromised: a.Compromised, Description: a.Description,
		ValidFrom: rpc.Timestamp(a.From), ValidUntil: rpc.Timestamp(a.Until), RevokeTime: rpc.Timestamp(a.Revoked), CreateTime: rpc.Timestamp(a.Created),
	}
	if a.Product != nil {
		out.Product = a.Product.String()
	}
	if u := a.Unsafe; u != (catalog.UnsafeAlgorithms{}) {
		out.Unsafe = &pb.UnsafeAlgorithms{Md5Unsafe: u.MD5, Sha1Unsafe: u.SHA1, ShortRsaUnsafe: u.ShortRSA}
	}
	anchormsg.PutMaterial(out, anchor.Kind(a.Kind), a.Material)
	return out
}
