package attest

import (
	"crypto"
	"fmt"

	"github.com/cyberphone/json-canonicalization/go/src/webpki.org/jsoncanonicalizer"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	rekor "github.com/sigstore/rekor-tiles/v2/pkg/generated/protobuf"
	"github.com/sigstore/rekor-tiles/v2/pkg/types/hashedrekord"
	"github.com/sigstore/sigstore/pkg/signature"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/verifier/publickey"
)

// The kind of log entry: hashes, a signature and a key, nothing of what was said.
const (
	entryKind    = "hashedrekord"
	entryVersion = "0.0.2"
	entryKey     = protocommon.PublicKeyDetails_PKIX_ECDSA_P256_SHA_256
)

// newEntry writes the log entry of an envelope signed by key: canonical JSON, the same bytes whenever and by whomever it is
// made. It checks the signature.
func newEntry(e *Envelope, key crypto.PublicKey) ([]byte, error) {
	if _, err := publickey.P256(key); err != nil {
		return nil, err
	}
	der, err := publickey.DER(key)
	if err != nil {
		return nil, err
	}
	algorithms, err := signature.NewAlgorithmRegistryConfig([]protocommon.PublicKeyDetails{entryKey})
	if err != nil {
		return nil, fmt.Errorf("log entry: %w", err)
	}
	sum := e.paeDigest()
	entry, err := hashedrekord.ToLogEntry(&rekor.HashedRekordRequestV002{
		Digest: sum[:],
		Signature: &rekor.Signature{
			Content: e.signature,
			Verifier: &rekor.Verifier{
				Verifier:   &rekor.Verifier_PublicKey{PublicKey: &rekor.PublicKey{RawBytes: der}},
				KeyDetails: entryKey,
			},
		},
	}, algorithms)
	if err != nil {
		return nil, fault.Invalidf("log entry", "%v", err)
	}
	b, err := protojson.Marshal(entry)
	if err != nil {
		return nil, fmt.Errorf("log entry: %w", err)
	}
	return jsoncanonicalizer.Transform(b)
}
