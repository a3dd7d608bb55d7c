package attest

import (
	"fmt"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

// Caps on the parts of a bundle.
const (
	maxStampBytes      = 32 << 10
	maxCheckpointBytes = 64 << 10
	maxProofHashes     = 64 // a tree of 2^63 entries
)

// parse reads the bundle strictly: no unknown field, no field twice, one of everything, and nothing that goes unchecked.
func (v *verification) parse() (string, error) {
	if len(v.raw) > MaxBundleBytes {
		return "", fault.Exhaustedf("", "has %d bytes, %d at most", len(v.raw), MaxBundleBytes)
	}
	v.bundle = new(protobundle.Bundle)
	if err := protojson.Unmarshal(v.raw, v.bundle); err != nil {
		return "", err
	}
	if v.bundle.GetMediaType() != BundleMediaType {
		return "", fmt.Errorf("the media type is %q, must be %q", clip(v.bundle.GetMediaType()), BundleMediaType)
	}
	if v.bundle.GetDsseEnvelope() == nil {
		return "", fmt.Errorf("holds no DSSE envelope")
	}
	var err error
	if v.envelope, err = fromProto(v.bundle.GetDsseEnvelope()); err != nil {
		return "", err
	}
	if err := v.checkMaterial(); err != nil {
		return "", err
	}
	return "The bundle is well-formed: one statement with one signature, one log entry and one time stamp.", nil
}

func (v *verification) checkMaterial() error {
	m := v.bundle.GetVerificationMaterial()
	if m.GetPublicKey() == nil {
		return fmt.Errorf("names no public key")
	}
	if n := len(m.GetTlogEntries()); n != 1 {
		return fmt.Errorf("has %d log entries, must have exactly one", n)
	}
	stamps := m.GetTimestampVerificationData().GetRfc3161Timestamps()
	if len(stamps) != 1 {
		return fmt.Errorf("has %d time stamps, must have exactly one", len(stamps))
	}
	if n := len(stamps[0].GetSignedTimestamp()); n == 0 || n > maxStampBytes {
		return fmt.Errorf("the time stamp has %d bytes, must have 1 to %d", n, maxStampBytes)
	}
	v.entry = m.GetTlogEntries()[0]
	return checkEntryShape(v.entry)
}

func checkEntryShape(e *protorekor.TransparencyLogEntry) error {
	p := e.GetInclusionProof()
	switch k := e.GetKindVersion(); {
	case k.GetKind() != entryKind || k.GetVersion() != entryVersion:
		return fmt.Errorf("the log entry is of the kind %q %q, must be %s %s", clip(k.GetKind()), clip(k.GetVersion()), entryKind, entryVersion)
	case e.GetInclusionPromise() != nil || e.GetIntegratedTime() != 0:
		return fmt.Errorf("the log entry has an inclusion promise or an integrated time, which nothing can prove")
	case p == nil:
		return fmt.Errorf("the log entry has no inclusion proof")
	case len(p.GetHashes()) > maxProofHashes:
		return fmt.Errorf("the inclusion proof has %d hashes, %d at most", len(p.GetHashes()), maxProofHashes)
	case len(p.GetCheckpoint().GetEnvelope()) > maxCheckpointBytes:
		return fmt.Errorf("the checkpoint has %d bytes, %d at most", len(p.GetCheckpoint().GetEnvelope()), maxCheckpointBytes)
	}
	return nil
}
