package attest

import (
	"bytes"
	"crypto"
	"encoding/json"
	"fmt"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/countersign-escrow/countersign/verifier/publickey"
	"github.com/countersign-escrow/countersign/verifier/tlog"
)

// BundleMediaType is that of Sigstore bundles v0.3.
const BundleMediaType = "application/vnd.dev.sigstore.bundle.v0.3+json"

func newBundle(e *Envelope, key crypto.PublicKey, stamp, entry, logID []byte, at tlog.Proof) ([]byte, error) {
	hint, err := publickey.ID(key)
	if err != nil {
		return nil, err
	}
	return marshal(&protobundle.Bundle{
		MediaType: BundleMediaType,
		Content:   &protobundle.Bundle_DsseEnvelope{DsseEnvelope: e.proto()},
		VerificationMaterial: &protobundle.VerificationMaterial{
			Content:     &protobundle.VerificationMaterial_PublicKey{PublicKey: &protocommon.PublicKeyIdentifier{Hint: hint}},
			TlogEntries: []*protorekor.TransparencyLogEntry{logEntry(entry, logID, at)},
			TimestampVerificationData: &protobundle.TimestampVerificationData{
				Rfc3161Timestamps: []*protocommon.RFC3161SignedTimestamp{{SignedTimestamp: stamp}},
			},
		},
	})
}

func logEntry(entry, logID []byte, at tlog.Proof) *protorekor.TransparencyLogEntry {
	return &protorekor.TransparencyLogEntry{
		LogIndex:    int64(at.Index),
		LogId:       &protocommon.LogId{KeyId: logID},
		KindVersion: &protorekor.KindVersion{Kind: entryKind, Version: entryVersion},
		InclusionProof: &protorekor.InclusionProof{
			LogIndex:   int64(at.Index),
			RootHash:   at.RootHash,
			TreeSize:   int64(at.TreeSize),
			Hashes:     at.Hashes,
			Checkpoint: &protorekor.Checkpoint{Envelope: string(at.Checkpoint)},
		},
		CanonicalizedBody: entry,
	}
}

// marshal writes a message as compact JSON: protojson alone varies its spaces.
func marshal(m proto.Message) ([]byte, error) {
	b, err := protojson.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("write JSON: %w", err)
	}
	var out bytes.Buffer
	if err := json.Compact(&out, b); err != nil {
		return nil, fmt.Errorf("write JSON: %w", err)
	}
	return out.Bytes(), nil
}
