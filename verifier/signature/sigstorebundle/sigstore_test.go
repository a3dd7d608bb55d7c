package sigstorebundle

import (
	"bytes"
	"crypto"
	"testing"
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"
	"google.golang.org/protobuf/encoding/protojson"
)

// bySigstore judges a bundle with sigstore-go as a whole.
func bySigstore(t testing.TB, content []byte, of verify.ArtifactPolicyOption, key crypto.PublicKey, material string, options ...verify.VerifierOption) error {
	t.Helper()
	var b protobundle.Bundle
	check(t, protojson.Unmarshal(content, &b))
	entity, err := bundle.NewBundle(&b)
	check(t, err)
	var trusted root.TrustedMaterialCollection
	if key != nil {
		kv, err := signature.LoadDefaultVerifier(key)
		check(t, err)
		trusted = append(trusted, root.NewTrustedPublicKeyMaterial(func(string) (root.TimeConstrainedVerifier, error) {
			return root.NewExpiringKey(kv, time.Time{}, time.Time{}), nil
		}))
	}
	if material != "" {
		r, err := root.NewTrustedRootFromJSON([]byte(material))
		check(t, err)
		trusted = append(trusted, r)
	}
	v, err := verify.NewVerifier(trusted, options...)
	check(t, err)
	_, err = v.Verify(entity, verify.NewPolicy(of, verify.WithoutIdentitiesUnsafe()))
	return err
}

func TestSigstoreAcceptsOurs(t *testing.T) {
	for name, key := range signers(t) {
		if err := bySigstore(t, sign(t, key), verify.WithArtifact(bytes.NewReader(theManifest)), key.Public(), "", verify.WithNoObserverTimestamps()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What is good here is good by sigstore-go as a whole, too.
func TestSigstoreAgreesOnRealBundles(t *testing.T) {
	for _, name := range []string{"provenance of sigstore.js 2.0.0", "provenance of sigstore.js 1.3.0", "an attestation in version 0.1"} {
		c := realCases(t)[name]
		wantGood(t, c.content, c.of, c.signer, rootAnchor("root", c.root))
		err := bySigstore(t, c.content, verify.WithoutArtifactUnsafe(), nil, c.root,
			verify.WithTransparencyLog(1), verify.WithObserverTimestamps(1), verify.WithSignedCertificateTimestamps(1))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
