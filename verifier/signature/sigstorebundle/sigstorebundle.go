// Package sigstorebundle judges and makes Sigstore bundles: signatures and attestations by a managed key or by a certificate of a Sigstore
// authority, with what logs and time-stamping authorities say of when. It knows nothing of the present time, nor of whether an anchor
// counts, nor of what an attestation states, and asks no service.
package sigstorebundle

import (
	"context"
	"errors"
	"fmt"

	"github.com/countersign-escrow/countersign/verifier/publickey"
	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

// Kind names this kind of signature.
const Kind = "sigstore-bundle"

// The media types of bundles, by the version of the format.
const (
	MediaType    = "application/vnd.dev.sigstore.bundle.v0.3+json"
	MediaTypeV01 = "application/vnd.dev.sigstore.bundle+json;version=0.1"
	MediaTypeV02 = "application/vnd.dev.sigstore.bundle+json;version=0.2"
	MediaTypeV03 = "application/vnd.dev.sigstore.bundle+json;version=0.3" // as written before MediaType was settled
)

// Caps on what is read. That on a trusted root's bytes is anchor.MaxMaterial.
const (
	MaxBytes        = 256 << 10 // of a bundle
	MaxFile         = 64 << 20  // of a file that a pure Ed25519 signature is over, which must be held in memory
	maxSignatures   = 16        // in an envelope
	maxEntries      = 16        // of logs, in a bundle
	maxBody         = 16 << 10  // of an entry, whose own keys and signatures may be verified as it is read
	maxStamps       = 16        // in a bundle
	maxCertificates = 16        // in a chain
	maxAuthorities  = 64        // certificate authorities, logs and time-stamping authorities in a trusted root, of each
)

// Verifier judges bundles by anchors. It may be used concurrently.
type Verifier struct {
	keys       []*managedKey
	identities []identity
	roots      []*trustedRoot
}

type identity struct {
	anchor *anchor.Anchor
	anchor.Identity
}

// New takes the anchors of the kinds PublicKey, SigstoreIdentity and SigstoreRoot. Those that cannot be read are left out, and the error,
// beside which the Verifier is usable, names each. Of the anchors with the purpose Time only a root counts, and only for times.
func New(anchors []anchor.Anchor) (*Verifier, error) {
	v, bad := &Verifier{}, []error{}
	for _, a := range anchors {
		if err := v.add(&a); err != nil {
			bad = append(bad, fmt.Errorf("%s: %w", a.Name, err))
		}
	}
	return v, errors.Join(bad...)
}

func (v *Verifier) add(a *anchor.Anchor) error {
	switch {
	case a.Kind == anchor.SigstoreRoot:
		r, err := newRoot(a)
		if err == nil {
			v.roots = append(v.roots, r)
		}
		return err
	case a.Purpose == anchor.Time:
		return nil
	case a.Kind == anchor.PublicKey:
		return v.addKey(a)
	case a.Kind == anchor.SigstoreIdentity:
		i, err := anchor.ParseIdentity(a.Material)
		if err == nil {
			v.identities = append(v.identities, identity{a, i})
		}
		return err
	}
	return nil
}

// Prove judges every signature in a bundle. A message signature is over the file; an envelope carries what it is over. By several trusted
// roots there is one proof for each by which the signature is good.
func (v *Verifier) Prove(ctx context.Context, content []byte, of proof.File) ([]proof.Proof, error) {
	b, err := parse(content)
	if err != nil {
		return []proof.Proof{bad("%v", err)}, nil
	}
	var out []proof.Proof
	for _, s := range b.signatures(of) {
		list, err := v.judge(ctx, s)
		if err != nil {
			return nil, err
		}
		for i := range list {
			list[i].Alternative = i > 0
		}
		out = append(out, list...)
	}
	return out, nil
}

func (v *Verifier) judge(ctx context.Context, s *signed) ([]proof.Proof, error) {
	problem, err := s.checkDigest(ctx)
	switch {
	case err != nil:
		return nil, err
	case problem != "":
		return s.bad("%s", problem), nil
	case s.certificate != nil:
		return v.byIdentity(ctx, s)
	}
	return v.byKey(ctx, s)
}

// bad is a proof of nothing, with whatever the text quotes made fit for people.
func bad(format string, args ...any) proof.Proof {
	return proof.Bad(Kind, "%s", proof.Text(fmt.Sprintf(format, args...), 480))
}

// keyID names a key by its SubjectPublicKeyInfo; "" for one that has none.
func keyID(key any) string {
	id, err := publickey.ID(key)
	if err != nil {
		return ""
	}
	return id
}
