package openpgp

import (
	"crypto"
	"fmt"
	"slices"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

// claim is a signature with the keys that it says it is by.
type claim struct {
	given
	keys []*key
}

func (v *Verifier) claims(sigs []given) (list []claim) {
	for _, g := range sigs {
		c := claim{given: g}
		if g.err == nil {
			c.err = unfit(g.sig)
		}
		if c.err == nil {
			c.keys = v.ring.by(g.sig)
		}
		list = append(list, c)
	}
	return list
}

// unfit says why a signature is none over a document.
func unfit(sig *packet.Signature) error {
	switch {
	case !covers(sig.SigType):
		return fmt.Errorf("the signature is of type 0x%02x, which is none over a file", uint8(sig.SigType))
	case critical(sig) != "":
		return fmt.Errorf("the signature has the critical notation %.50q, which is not known here", critical(sig))
	}
	return nil
}

func prove(claims []claim, d digests, scope func(*packet.Signature) string) (list []proof.Proof) {
	for _, c := range claims {
		for _, p := range c.prove(d) {
			if p.Problem == "" {
				p.Scope = scope(c.sig)
			}
			list = append(list, p)
		}
	}
	return list
}

// prove judges one signature. Several keys may have the id that it names: there is one proof for each that made it, for two certificates may
// have the same key as theirs; where none did, the problem with the last.
func (c *claim) prove(d digests) (made []proof.Proof) {
	switch {
	case c.err != nil:
		return bad("%v", c.err)
	case len(c.keys) == 0:
		return []proof.Proof{stranger(c.sig)}
	}
	var p proof.Proof
	for _, k := range c.keys {
		if p = c.by(k, d); p.Problem == "" {
			p.Alternative = len(made) > 0
			made = append(made, p)
		}
	}
	if len(made) == 0 {
		return []proof.Proof{p}
	}
	return made
}

func stranger(sig *packet.Signature) proof.Proof {
	id := "that it does not name"
	switch {
	case sig.IssuerFingerprint != nil:
		id = fmt.Sprintf("%X", sig.IssuerFingerprint)
	case sig.IssuerKeyId != nil:
		id = fmt.Sprintf("%016X", *sig.IssuerKeyId)
	}
	return proof.Bad(Kind, "made, by its own word, by the key %s, which no trust anchor holds; if it is the vendor's, register its certificate", id)
}

func (c *claim) by(k *key, d digests) proof.Proof {
	p := proof.Proof{Kind: Kind, KeyID: k.id(), Signer: k.signer, Problem: c.problem(k, d)}
	if p.Problem != "" {
		return p
	}
	p.Anchors, p.Claim, p.Life = slices.Clone(k.anchors), c.sig.CreationTime.UTC(), k.life
	p.Life.Until = earliest(p.Life.Until, expiry(c.sig.CreationTime, c.sig.SigLifetimeSecs))
	p.Weak, p.Notes = slices.Clone(k.weak), slices.Clone(k.notes)
	if c.sig.Hash == crypto.SHA1 {
		p.Weak = append(p.Weak, proof.SHA1)
	}
	return p
}

func (c *claim) problem(k *key, d digests) string {
	if k.problem != "" {
		return fmt.Sprintf("made, by its own word, by the key %s, which cannot be used: %s", k.id(), k.problem)
	}
	if c.sig.Version != k.public.Version {
		return fmt.Sprintf("the signature is of version %d and the key %s of version %d", c.sig.Version, k.id(), k.public.Version)
	}
	if c.sig.CreationTime.Before(k.life.From) {
		return fmt.Sprintf("the signature says that it was made at %s, before the key %s was", stamp(c.sig), k.id())
	}
	h := d.of(c.sig)
	if h == nil || k.public.VerifySignature(h, c.sig) != nil {
		return fmt.Sprintf("the signature is not by the key %s over this content: one of them was changed, or it is over another file", k.id())
	}
	if d.noText(c.sig) {
		return "the signature is one of a text, which leaves open how lines end, and the file is no text: it has NUL bytes; sign without --textmode"
	}
	return ""
}

func stamp(sig *packet.Signature) string {
	return sig.CreationTime.UTC().Format("2006-01-02T15:04:05Z")
}
