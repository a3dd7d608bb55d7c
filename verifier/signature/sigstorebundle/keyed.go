package sigstorebundle

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"slices"

	"github.com/countersign-escrow/countersign/verifier/publickey"
	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

// managedKey is a key that anchors hold.
type managedKey struct {
	key     crypto.PublicKey
	id      string
	anchors []*anchor.Anchor
}

func readKey(material string) (crypto.PublicKey, error) {
	key, err := publickey.Parse(material)
	if err != nil {
		return nil, err
	}
	if err := checkKey(key); err != nil {
		return nil, fmt.Errorf("public key: %w", err)
	}
	return key, nil
}

func (v *Verifier) addKey(a *anchor.Anchor) error {
	key, err := readKey(a.Material)
	if err != nil {
		return err
	}
	id := keyID(key)
	i := slices.IndexFunc(v.keys, func(k *managedKey) bool { return k.id == id })
	if i < 0 {
		i = len(v.keys)
		v.keys = append(v.keys, &managedKey{key: key, id: id})
	}
	v.keys[i].anchors = append(v.keys[i].anchors, a)
	return nil
}

// byKey judges a signature by a managed key. The bundle's hint, which anybody can write, is believed of nothing.
func (v *Verifier) byKey(ctx context.Context, s *signed) ([]proof.Proof, error) {
	k, err := v.madeBy(ctx, s)
	if errors.Is(err, errTooLong) {
		return s.bad("%.60q has %d bytes: a pure Ed25519 signature is verified over %d at most; sign with ECDSA, or a list of checksums",
			s.message.Name, s.message.Size, MaxFile), nil
	}
	if err != nil {
		return nil, err
	}
	if k == nil {
		return s.bad("made with a key which no trust anchor holds, or over other bytes (by its own word the key %.100q)", s.hint()), nil
	}
	p := s.proof
	p.Anchors, p.KeyID, p.Signer, p.Weak = slices.Clone(k.anchors), k.id, algorithm(k.key)+" key", weaknesses(k.key)
	return v.heard(s, p, k.key), nil
}

func (s *signed) hint() string { return s.GetVerificationMaterial().GetPublicKey().GetHint() }

// madeBy returns the key that made a signature; nil if it is by a stranger.
func (v *Verifier) madeBy(ctx context.Context, s *signed) (*managedKey, error) {
	var skipped error
	for _, k := range v.keys {
		ok, err := verifies(ctx, k.key, s.message, s.signature)
		switch {
		case errors.Is(err, errTooLong):
			skipped = err
		case err != nil:
			return nil, err
		case ok:
			return k, nil
		}
	}
	return nil, skipped
}

// heard adds what is known of when a key's signature was made: a proof for each root by which that holds. Where no root is for it, the
// signature is as good as without; where it does not hold by the only root for it, the signature is bad.
func (v *Verifier) heard(s *signed, p proof.Proof, key crypto.PublicKey) []proof.Proof {
	var good, failed []proof.Proof
	for _, r := range v.roots {
		w, err := r.hear(s, key)
		switch {
		case err != nil:
			failed = append(failed, s.bad("%v", err)...)
		case w.heard:
			good = append(good, w.addTo(p, r))
		}
	}
	switch {
	case len(good) > 0:
		return good
	case len(failed) > 0:
		return failed[:1]
	}
	if n := len(s.entries) + len(s.stamps); n > 0 {
		p.Notes = append(slices.Clone(p.Notes), fmt.Sprintf("%d log entries and %d time stamps are not verified: no trusted root holds whom they are by",
			len(s.entries), len(s.stamps)))
	}
	return []proof.Proof{p}
}

// addTo makes the proof by a root.
func (w witness) addTo(p proof.Proof, r *trustedRoot) proof.Proof {
	p.Times, p.Roots, p.Notes = w.times, []*anchor.Anchor{r.anchor}, slices.Clone(p.Notes)
	for _, u := range w.unheard {
		p.Notes = append(p.Notes, fmt.Sprintf("%s is not verified: %s does not hold it", u, r.name()))
	}
	return p
}
