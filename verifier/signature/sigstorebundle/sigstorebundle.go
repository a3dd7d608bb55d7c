// Package sigstorebundle judges and makes Sigstore bundles by a managed key over the manifest's bytes.
// It knows nothing of certificates, transparency logs or time stamps: what counts is the anchor's key.
package sigstorebundle

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/verifier/finding"
	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
)

// MediaType is that of Sigstore bundles v0.3.
const MediaType = "application/vnd.dev.sigstore.bundle.v0.3+json"

// MaxBytes is the longest bundle that is judged.
const MaxBytes = 256 << 10

const kindName = "sigstore-bundle"

// Kind is this kind of signature.
type Kind struct{}

// MediaType returns the media type that this kind judges.
func (Kind) MediaType() string { return MediaType }

// Verify judges a bundle over artifact: which anchor's key made it, and whether that anchor counts at now. What a bundle carries
// of logs and time stamps is not looked at, and its key hint, which anybody can write, is believed of nothing.
func (Kind) Verify(ctx context.Context, content, artifact []byte, anchors []anchor.Anchor, now time.Time) finding.SignatureEvidence {
	e := finding.SignatureEvidence{Kind: kindName, Covers: fmt.Sprintf("the %d bytes of the manifest, %s", len(artifact), digest.Of(artifact))}
	signed, err := parse(content)
	if err != nil {
		e.Problem = err.Error()
		return e
	}
	if err := checkDigest(signed, artifact); err != nil {
		e.Problem = err.Error()
		return e
	}
	made := madeBy(ctx, signed, artifact, anchors)
	if len(made) == 0 {
		e.Problem = stranger(signed, anchors)
		return e
	}
	best := firstThatCounts(made, now)
	e.Anchor, e.KeyID, e.Problem = best.Name, best.KeyID, best.Problem(now)
	e.Valid = e.Problem == ""
	return e
}

// parse reads a bundle strictly and refuses one of another sort.
func parse(content []byte) (*bundle.Bundle, error) {
	if len(content) > MaxBytes {
		return nil, fmt.Errorf("the bundle has %d bytes, %d at most", len(content), MaxBytes)
	}
	var p protobundle.Bundle
	if err := protojson.Unmarshal(content, &p); err != nil {
		return nil, fmt.Errorf("the bundle cannot be read: %w", err)
	}
	switch {
	case p.GetMediaType() != MediaType:
		return nil, fmt.Errorf("the bundle's media type is %q, must be %q", clip(p.GetMediaType()), MediaType)
	case p.GetDsseEnvelope() != nil:
		return nil, fmt.Errorf("the bundle holds an attestation (a DSSE envelope), not a signature over the manifest: sign the manifest itself, as cosign sign-blob does")
	case p.GetMessageSignature() == nil:
		return nil, fmt.Errorf("the bundle holds no signature")
	case p.GetVerificationMaterial().GetPublicKey() == nil:
		return nil, fmt.Errorf("the bundle was not made with a managed key: keyless signatures and certificates do not count here")
	}
	b, err := bundle.NewBundle(&p)
	if err != nil {
		return nil, fmt.Errorf("the bundle cannot be read: %w", err)
	}
	return b, nil
}

// checkDigest tells a signature over other bytes from one by a stranger, as far as the bundle's own word goes.
func checkDigest(b *bundle.Bundle, artifact []byte) error {
	want := digest.Of(artifact)
	claimed, err := digest.FromBytes(b.GetMessageSignature().GetMessageDigest().GetDigest())
	if err == nil && claimed != want {
		return fmt.Errorf("the bundle is over other bytes: over %s, and the manifest is %s", claimed, want)
	}
	return nil
}

// madeBy returns the anchors with whose key the bundle was made; several have the same key.
func madeBy(ctx context.Context, b *bundle.Bundle, artifact []byte, anchors []anchor.Anchor) []anchor.Anchor {
	var out []anchor.Anchor
	for _, a := range anchors {
		if ctx.Err() == nil && verifyKey(b, artifact, a) == nil {
			out = append(out, a)
		}
	}
	return out
}

func verifyKey(b *bundle.Bundle, artifact []byte, a anchor.Anchor) error {
	key, err := signature.LoadDefaultVerifier(a.PublicKey)
	if err != nil {
		return err
	}
	trusted := root.NewTrustedPublicKeyMaterial(func(string) (root.TimeConstrainedVerifier, error) {
		return root.NewExpiringKey(key, time.Time{}, time.Time{}), nil
	})
	v, err := verify.NewVerifier(trusted, verify.WithNoObserverTimestamps()) // when an anchor counts is judged apart, at now
	if err != nil {
		return err
	}
	_, err = v.Verify(b, verify.NewPolicy(verify.WithArtifact(bytes.NewReader(artifact)), verify.WithKey()))
	return err
}

// firstThatCounts returns the first anchor that counts at now, or the first of all.
func firstThatCounts(anchors []anchor.Anchor, now time.Time) anchor.Anchor {
	for _, a := range anchors {
		if a.Problem(now) == "" {
			return a
		}
	}
	return anchors[0]
}

func stranger(b *bundle.Bundle, anchors []anchor.Anchor) string {
	hint := clip(b.GetVerificationMaterial().GetPublicKey().GetHint())
	if len(anchors) == 0 {
		return fmt.Sprintf("not made by any trust anchor: there is none (the bundle says it was made with the key %q)", hint)
	}
	owner, _, _ := strings.Cut(anchors[0].Name, "/trustAnchors/")
	return fmt.Sprintf("not made by any trust anchor of %s (the bundle says it was made with the key %q)", owner, hint)
}

func clip(s string) string {
	const most = 120
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
