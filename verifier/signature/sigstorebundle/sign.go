package sigstorebundle

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/verifier/publickey"
)

// Sign makes a bundle over artifact with an ECDSA key on the curve P-256.
func Sign(key crypto.Signer, artifact []byte) ([]byte, error) {
	if key == nil {
		return nil, fault.Invalidf("signing key", "is missing")
	}
	public, err := publickey.P256(key.Public())
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	hint, err := publickey.ID(public)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(artifact)
	sig, err := key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("sign manifest: %w", err)
	}
	b, err := protojson.Marshal(&protobundle.Bundle{
		MediaType: MediaType,
		VerificationMaterial: &protobundle.VerificationMaterial{
			Content: &protobundle.VerificationMaterial_PublicKey{PublicKey: &protocommon.PublicKeyIdentifier{Hint: hint}},
		},
		Content: &protobundle.Bundle_MessageSignature{MessageSignature: &protocommon.MessageSignature{
			MessageDigest: &protocommon.HashOutput{Algorithm: protocommon.HashAlgorithm_SHA2_256, Digest: sum[:]},
			Signature:     sig,
		}},
	})
	if err != nil {
		return nil, fmt.Errorf("write bundle: %w", err)
	}
	var out bytes.Buffer
	err = json.Compact(&out, b)
	return out.Bytes(), err
}
