// Package releasepb writes releases as messages of the API. It knows nothing of who may see them.
package releasepb

import (
	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/resource"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/rpc"
)

var states = map[catalog.ReleaseState]pb.ReleaseState{
	catalog.ReleaseOpen:   pb.ReleaseState_RELEASE_STATE_OPEN,
	catalog.ReleaseSealed: pb.ReleaseState_RELEASE_STATE_SEALED,
}

var roles = map[catalog.Role]pb.FileRole{
	catalog.RoleSource:      pb.FileRole_FILE_ROLE_SOURCE,
	catalog.RoleArtifact:    pb.FileRole_FILE_ROLE_ARTIFACT,
	catalog.RoleEnvironment: pb.FileRole_FILE_ROLE_ENVIRONMENT,
	catalog.RoleManifest:    pb.FileRole_FILE_ROLE_MANIFEST,
}

// Role writes what a file is to its release.
func Role(r catalog.Role) pb.FileRole { return roles[r] }

// Damaged writes a file that is damaged or gone.
func Damaged(f catalog.DamagedFile) *pb.DamagedFile {
	return &pb.DamagedFile{Digest: f.Digest.String(), Size: f.Size, Role: Role(f.Role), Path: f.Path, FindTime: rpc.Timestamp(f.Found)}
}

// Message writes a release, without manifest, signatures and files, nor what of them is damaged.
func Message(r *catalog.Release) *pb.Release {
	m := &pb.Release{
		Name: r.Name.String(), State: states[r.State], ManifestDigest: r.ManifestDigest.String(), ChecksComplete: r.ChecksComplete,
		CreateTime: rpc.Timestamp(r.Created), SealTime: rpc.Timestamp(r.Sealed),
	}
	if r.ReceiptID != "" {
		m.Receipt = resource.Attestation{ID: r.ReceiptID}.String()
	}
	return m
}

// Signatures writes the signature files of a release.
func Signatures(list []catalog.Signature) []*pb.Signature {
	out := make([]*pb.Signature, len(list))
	for i, s := range list {
		out[i] = &pb.Signature{MediaType: s.MediaType, Content: s.Content, Name: s.Name, Subject: s.Subject.String(), List: s.List, ListName: s.ListName}
	}
	return out
}
