package custody

import (
	"github.com/countersign-escrow/countersign/escrow/catalog"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/releasepb"
	"github.com/countersign-escrow/countersign/services/internal/rpc"
)

var scrubStates = map[catalog.ScrubState]pb.ScrubState{
	catalog.ScrubRunning:   pb.ScrubState_SCRUB_STATE_RUNNING,
	catalog.ScrubDone:      pb.ScrubState_SCRUB_STATE_DONE,
	catalog.ScrubCancelled: pb.ScrubState_SCRUB_STATE_CANCELLED,
}

func scrubMessage(s *catalog.Scrub) *pb.Scrub {
	return &pb.Scrub{
		Name: s.Name(), State: scrubStates[s.State], Creator: memberName(s.StartedBy, s.Member), BytesPerSecond: s.Rate,
		PlannedBlobs: s.PlannedBlobs, PlannedBytes: s.PlannedBytes, ScrubbedBlobs: s.Blobs, ScrubbedBytes: s.Bytes + s.Reading,
		Damaged: s.Found[catalog.BlobDamaged], Missing: s.Found[catalog.BlobMissing],
		Unreadable: s.Found[catalog.BlobUnreadable], Unprotected: s.Found[catalog.BlobUnprotected],
		CreateTime: rpc.Timestamp(s.Created), UpdateTime: rpc.Timestamp(s.Updated), EndTime: rpc.Timestamp(s.Ended),
	}
}

var damageKinds = map[catalog.DamageKind]pb.ScrubDamageKind{
	catalog.BlobDamaged:     pb.ScrubDamageKind_SCRUB_DAMAGE_KIND_DAMAGED,
	catalog.BlobMissing:     pb.ScrubDamageKind_SCRUB_DAMAGE_KIND_MISSING,
	catalog.BlobUnreadable:  pb.ScrubDamageKind_SCRUB_DAMAGE_KIND_UNREADABLE,
	catalog.BlobUnprotected: pb.ScrubDamageKind_SCRUB_DAMAGE_KIND_UNPROTECTED,
}

func damageMessage(d *damage) *pb.ScrubDamage {
	m := &pb.ScrubDamage{Holder: d.Holder.String(), Digest: d.Digest.String(), Size: d.Size, Kind: damageKinds[d.Kind],
		Problem: d.Problem, FindTime: rpc.Timestamp(d.Found)}
	if d.At >= 0 {
		m.Offset = &d.At
	}
	for _, u := range d.uses {
		m.Uses = append(m.Uses, &pb.FileUse{Release: u.Release.String(), Role: releasepb.Role(u.Role), Path: u.Path})
	}
	return m
}
