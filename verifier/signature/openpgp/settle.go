package openpgp

import (
	"crypto"
	"crypto/dsa" //nolint:staticcheck // deprecated for signing; old signatures by it are only measured here
	"crypto/rsa"
	"fmt"
	"math"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

// settle finds out what each key of a certificate may do, and when, and returns all. It looks at no clock: the self-signatures are the
// newest ones, whenever they were made.
func (c *certificate) settle() []*key {
	p := c.primary
	if p.settleAlone(p.public.VerifyRevocationSignature); p.unfit {
		return c.unfit()
	}
	s, err := c.findSelf()
	signer := p.id()
	if c.name != "" {
		signer = proof.Text(c.name, 200) + ", " + signer
	}
	p.signer = signer
	if err != nil {
		p.refuse("%v", err)
	}
	for _, sig := range s.all() {
		p.boundBy(sig)
	}
	for _, sub := range c.subkeys {
		sub.signer = signer
		sub.settleBelow(p)
	}
	p.capable(s)
	return append([]*key{p}, c.subkeys...)
}

// unfit returns the keys of a certificate whose primary key is not calculated with.
func (c *certificate) unfit() []*key {
	for _, sub := range c.subkeys {
		sub.refuse("of its primary key: %s", c.primary.problem)
	}
	return append([]*key{c.primary}, c.subkeys...)
}

// capable refuses a primary key that its flags do not let sign. One without flags, as old programs made them, may do what its algorithm can.
func (k *key) capable(s self) {
	for _, sig := range []*packet.Signature{s.user, s.direct} {
		if sig != nil && sig.FlagsValid {
			if !sig.FlagSign {
				k.refuse("its key flags do not let it sign: it is for other things")
			}
			return
		}
	}
}

// refuse keeps the first reason.
func (k *key) refuse(format string, args ...any) {
	if k.problem == "" {
		k.problem = fmt.Sprintf(format, args...)
	}
}

// settleAlone settles what a key is without its self-signatures: its age, strength and revocations. Nothing is calculated with a key that is
// too weak or too long.
func (k *key) settleAlone(check func(*packet.Signature) error) {
	k.life.From = k.public.CreationTime
	if problem := strength(k.public); problem != "" {
		k.refuse("%s", problem)
		k.unfit = true
		return
	}
	if short(k.public) {
		k.weak = addWeakness(k.weak, proof.ShortRSA)
	}
	if k.unreadable != nil {
		k.refuse("it carries a revocation that cannot be read (%v), so nothing by it counts", k.unreadable)
	}
	for _, sig := range k.revocations {
		if err := check(sig); err != nil {
			k.refuse("it carries a revocation that is not by the key itself (%.100q), so nothing by it counts", err.Error())
			continue
		}
		k.life = revoked(k.life, sig.CreationTime, hard(sig))
	}
}

// settleBelow settles a subkey by its newest good binding, which the signature back by the subkey is part of. It lives no longer than the
// primary key does.
func (k *key) settleBelow(primary *key) {
	k.settleAlone(func(sig *packet.Signature) error {
		return primary.public.VerifySubkeyRevocationSignature(sig, k.public)
	})
	if k.unfit {
		return
	}
	binding, err := newest(k.bindings, func(sig *packet.Signature) error { return primary.public.VerifyKeySignature(k.public, sig) })
	switch {
	case primary.problem != "":
		k.refuse("of its primary key: %s", primary.problem)
	case err != nil:
		k.refuse("it is a subkey that is not well bound to its primary key: %.200q", err.Error())
	case !binding.FlagsValid || !binding.FlagSign:
		k.refuse("its key flags do not let it sign: it is for other things")
	}
	if binding != nil {
		k.boundBy(binding)
		if back := binding.EmbeddedSignature; back != nil {
			k.life.Until = earliest(k.life.Until, expiry(back.CreationTime, back.SigLifetimeSecs))
			k.noteHash(back)
		}
	}
	k.inherit(primary)
}

func (k *key) inherit(primary *key) {
	if primary.life.From.After(k.life.From) {
		k.life.From = primary.life.From
	}
	k.life.Until = earliest(k.life.Until, primary.life.Until)
	if !primary.life.Revoked.IsZero() {
		k.life = revoked(k.life, primary.life.Revoked, primary.life.Compromised)
	}
	for _, w := range primary.weak {
		k.weak = addWeakness(k.weak, w)
	}
	k.notes = append(k.notes, primary.notes...)
}

// boundBy takes over what a self-signature says of the key's end.
func (k *key) boundBy(sig *packet.Signature) {
	k.life.Until = earliest(k.life.Until, expiry(k.public.CreationTime, sig.KeyLifetimeSecs))
	k.life.Until = earliest(k.life.Until, expiry(sig.CreationTime, sig.SigLifetimeSecs))
	k.noteHash(sig)
}

// noteHash notes a self-signature by SHA-1. It is usable, since the key ring with all that is in it was given as an anchor: nobody else could
// have slipped one in.
func (k *key) noteHash(sig *packet.Signature) {
	if sig.Hash == crypto.SHA1 && len(k.notes) == 0 {
		k.notes = append(k.notes, fmt.Sprintf("the self-signature of the key %s is by SHA-1: its owner should make a new one", k.id()))
	}
}

// expiry is the end of a term in seconds; none or 0 is no end.
func expiry(from time.Time, seconds *uint32) time.Time {
	if seconds == nil || *seconds == 0 {
		return time.Time{}
	}
	return from.Add(time.Duration(*seconds) * time.Second)
}

// earliest is the earlier of two ends, of which zero is none.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// hard says whether a revocation leaves nothing that the key ever signed: only two reasons say that it was in good hands until then.
func hard(sig *packet.Signature) bool {
	return sig.RevocationReason == nil || *sig.RevocationReason != packet.KeySuperseded && *sig.RevocationReason != packet.KeyRetired
}

// revoked adds a revocation to a life: the earliest counts, those as compromised before others.
func revoked(l proof.Life, at time.Time, compromised bool) proof.Life {
	switch {
	case compromised && !l.Compromised:
		l.Revoked, l.Compromised = at, true
	case compromised == l.Compromised:
		l.Revoked = earliest(l.Revoked, at)
	}
	return l
}

// strength says why a key is no good at all.
func strength(k *packet.PublicKey) string {
	if bits := length(k); bits > maxKeyBits {
		return fmt.Sprintf("it has %d bits: keys have %d at most", bits, maxKeyBits)
	}
	switch public := k.PublicKey.(type) {
	case *rsa.PublicKey:
		if bits := public.N.BitLen(); bits < minRSABits {
			return fmt.Sprintf("its RSA key has %d bits: under %d, nothing is verified; use 3072 or more", bits, minRSABits)
		}
	case *dsa.PublicKey:
		p, q := public.P.BitLen(), public.Q.BitLen()
		if p < minDSABits || p > maxDSABits || q < minDSAOrderBits || q > maxDSAOrderBits {
			return fmt.Sprintf("its DSA key is too weak or too long: p has %d bits, q %d; use another algorithm", p, q)
		}
	}
	return ""
}

// length is that of a key, in bits. It is of the number: what its packet says of it may have zeros in front.
func length(k *packet.PublicKey) int {
	switch public := k.PublicKey.(type) {
	case *rsa.PublicKey:
		return public.N.BitLen()
	case *dsa.PublicKey:
		return public.P.BitLen()
	}
	bits, err := k.BitLength()
	if err != nil {
		return math.MaxInt
	}
	return int(bits)
}

func short(k *packet.PublicKey) bool {
	public, ok := k.PublicKey.(*rsa.PublicKey)
	return ok && public.N.BitLen() < proof.MinRSABits
}

func addWeakness(list []proof.Weakness, w proof.Weakness) []proof.Weakness {
	for _, old := range list {
		if old == w {
			return list
		}
	}
	return append(list, w)
}
