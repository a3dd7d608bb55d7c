package openpgp

import (
	"fmt"
	"slices"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

// certificate is a primary key with what it says of itself and its subkeys.
type certificate struct {
	primary *key
	direct  []*packet.Signature
	users   []*user
	subkeys []*key
	name    string // settled: the user id that goes first
}

// user is a user id. Only what its own certificate says of it is kept.
type user struct {
	id                          string
	certifications, revocations []*packet.Signature
}

// key is a primary key or subkey.
type key struct {
	public      *packet.PublicKey
	anchors     []*anchor.Anchor
	bindings    []*packet.Signature // of a subkey
	revocations []*packet.Signature
	unreadable  error // why one of its revocations cannot be read

	// What is settled of it, once the key ring is read:
	problem string // why nothing by it counts
	unfit   bool   // it is not even calculated with
	life    proof.Life
	weak    []proof.Weakness
	notes   []string
	signer  string
}

func (k *key) revoke(sig *packet.Signature, err error) {
	if err != nil {
		k.unreadable = err
		return
	}
	k.revocations = append(k.revocations, sig)
}

func (k *key) id() string { return fmt.Sprintf("%X", k.public.Fingerprint) }

// merge takes over what another copy of the same certificate has.
func (c *certificate) merge(other *certificate) {
	c.primary.merge(other.primary)
	c.direct = append(c.direct, other.direct...)
	c.users = append(c.users, other.users...)
	for _, sub := range other.subkeys {
		if at := slices.IndexFunc(c.subkeys, sub.same); at >= 0 {
			c.subkeys[at].merge(sub)
		} else {
			c.subkeys = append(c.subkeys, sub)
		}
	}
}

func (k *key) same(other *key) bool {
	return string(k.public.Fingerprint) == string(other.public.Fingerprint)
}

func (k *key) merge(other *key) {
	k.bindings = append(k.bindings, other.bindings...)
	k.revocations = append(k.revocations, other.revocations...)
	if k.unreadable == nil {
		k.unreadable = other.unreadable
	}
	if k.anchors[len(k.anchors)-1] != other.anchors[0] {
		k.anchors = append(k.anchors, other.anchors...)
	}
}

// newest returns the newest of signatures that is good; where none is, the error says why the newest of them is not.
func newest(list []*packet.Signature, check func(*packet.Signature) error) (*packet.Signature, error) {
	sorted := slices.Clone(list)
	slices.SortStableFunc(sorted, func(a, b *packet.Signature) int { return b.CreationTime.Compare(a.CreationTime) })
	first := fmt.Errorf("there is none")
	for i, sig := range sorted {
		err := check(sig)
		if name := critical(sig); err == nil && name != "" {
			err = fmt.Errorf("its critical notation %.50q is not known", name)
		}
		if err == nil {
			return sig, nil
		}
		if i == 0 {
			first = err
		}
	}
	return nil, first
}

// self is the self-signatures that say what the primary key is for and until when: the newest over a user id, and the newest over the key
// alone. Version 6 has only the latter (RFC 9580, section 5.2.3.10). Either may be nil, not both.
type self struct{ user, direct *packet.Signature }

func (s self) all() (list []*packet.Signature) {
	for _, sig := range []*packet.Signature{s.direct, s.user} {
		if sig != nil {
			list = append(list, sig)
		}
	}
	return list
}

// findSelf also settles the name. A revoked user id gives no name, but where all are revoked the key lives on without one.
func (c *certificate) findSelf() (self, error) {
	primary := c.primary.public
	direct, err := newest(c.direct, primary.VerifyDirectKeySignature)
	s := self{direct: direct}
	var revoked *packet.Signature
	named := (*packet.Signature)(nil)
	for _, u := range c.users {
		sig, wrong := newest(u.certifications, func(sig *packet.Signature) error { return primary.VerifyUserIdSignature(u.id, primary, sig) })
		switch {
		case wrong != nil:
			err = wrong
			continue
		case u.revoked(primary, sig):
			revoked = later(revoked, sig)
			continue
		}
		s.user = later(s.user, sig)
		if goesFirst(named, sig) {
			named, c.name = sig, u.id
		}
	}
	if s.user == nil {
		s.user = revoked
	}
	if primary.Version == 6 {
		s.user = nil
	}
	if len(s.all()) == 0 {
		return s, fmt.Errorf("it has no good self-signature: %.200q", err.Error())
	}
	return s, nil
}

func (u *user) revoked(primary *packet.PublicKey, certification *packet.Signature) bool {
	sig, err := newest(u.revocations, func(sig *packet.Signature) error { return primary.VerifyUserIdSignature(u.id, primary, sig) })
	return err == nil && !sig.CreationTime.Before(certification.CreationTime)
}

func later(a, b *packet.Signature) *packet.Signature {
	if a == nil || b != nil && b.CreationTime.After(a.CreationTime) {
		return b
	}
	return a
}

// goesFirst says whether a user id goes before another as the name: one that is marked as the primary one does, then the newer.
func goesFirst(before, sig *packet.Signature) bool {
	if before == nil || marked(before) != marked(sig) {
		return before == nil || marked(sig)
	}
	return sig.CreationTime.After(before.CreationTime)
}

func marked(sig *packet.Signature) bool { return sig.IsPrimaryId != nil && *sig.IsPrimaryId }
