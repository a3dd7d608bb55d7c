package sigstorebundle

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

// Sign makes a bundle over artifact with a managed key: ECDSA on P-256, P-384 or P-521, RSA from 2048 bits on (PKCS #1 v1.5 as long as the
// signer has it), or Ed25519. The signer may be a key management service; what it signed is verified before it is used.
func Sign(key crypto.Signer, artifact []byte) ([]byte, error) {
	if key == nil {
		return nil, fault.Invalidf("signing key", "is missing")
	}
	scheme, err := schemeOf(key.Public())
	if err != nil {
		return nil, err
	}
	sum := scheme.hash.New()
	sum.Write(artifact)
	digest := sum.Sum(nil)
	sig, err := scheme.sign(key, digest, artifact)
	if err != nil {
		return nil, fmt.Errorf("sign manifest: %w", err)
	}
	m := &message{File: proof.Bytes(proof.Manifest, "manifest", artifact)}
	if ok, err := verifies(context.Background(), key.Public(), m, sig); err != nil || !ok {
		return nil, fault.Invalidf("signing key", "what it signed does not verify with its public key").
			WithAdvice("use a key for signing with %s", scheme)
	}
	return write(keyID(key.Public()), &protocommon.HashOutput{Algorithm: scheme.name, Digest: digest}, sig)
}

// scheme is how a key signs.
type scheme struct {
	hash crypto.Hash
	name protocommon.HashAlgorithm
	pure bool // signs the file itself, its digest only goes beside
}

var (
	withSHA256 = scheme{hash: crypto.SHA256, name: protocommon.HashAlgorithm_SHA2_256}
	withSHA384 = scheme{hash: crypto.SHA384, name: protocommon.HashAlgorithm_SHA2_384}
	withSHA512 = scheme{hash: crypto.SHA512, name: protocommon.HashAlgorithm_SHA2_512}
	withoutSum = scheme{hash: crypto.SHA256, name: protocommon.HashAlgorithm_SHA2_256, pure: true}
)

func (s scheme) String() string {
	if s.pure {
		return "pure Ed25519"
	}
	return s.hash.String()
}

func schemeOf(key crypto.PublicKey) (scheme, error) {
	if err := checkKey(key); err != nil {
		return scheme{}, fault.Invalidf("signing key", "%v", err)
	}
	switch k := key.(type) {
	case *rsa.PublicKey:
		if k.N.BitLen() < proof.MinRSABits {
			return scheme{}, fault.Invalidf("signing key", "has %d bits, %d at least", k.N.BitLen(), proof.MinRSABits)
		}
	case ed25519.PublicKey:
		return withoutSum, nil
	case *ecdsa.PublicKey:
		return map[elliptic.Curve]scheme{elliptic.P256(): withSHA256, elliptic.P384(): withSHA384, elliptic.P521(): withSHA512}[k.Curve], nil
	}
	return withSHA256, nil
}

func (s scheme) sign(key crypto.Signer, digest, artifact []byte) ([]byte, error) {
	if s.pure {
		return key.Sign(rand.Reader, artifact, crypto.Hash(0))
	}
	return key.Sign(rand.Reader, digest, s.hash)
}

func write(hint string, digest *protocommon.HashOutput, sig []byte) ([]byte, error) {
	b, err := protojson.Marshal(&protobundle.Bundle{
		MediaType: MediaType,
		VerificationMaterial: &protobundle.VerificationMaterial{
			Content: &protobundle.VerificationMaterial_PublicKey{PublicKey: &protocommon.PublicKeyIdentifier{Hint: hint}},
		},
		Content: &protobundle.Bundle_MessageSignature{MessageSignature: &protocommon.MessageSignature{MessageDigest: digest, Signature: sig}},
	})
	if err != nil {
		return nil, fmt.Errorf("write bundle: %w", err)
	}
	var out bytes.Buffer
	err = json.Compact(&out, b)
	return out.Bytes(), err
}
