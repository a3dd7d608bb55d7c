// Package signer says by which trust anchors a certificate that made a CMS signature is known, and what its time stamps prove. It knows
// nothing of what the signature is over.
package signer

import (
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
	"github.com/countersign-escrow/countersign/verifier/signature/cms/chain"
	"github.com/countersign-escrow/countersign/verifier/signature/cms/signeddata"
	"github.com/countersign-escrow/countersign/verifier/signature/cms/stamp"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

// Set is the X509 anchors, those for time stamps apart. It may be used concurrently.
type Set struct {
	list   []known
	stamps *stamp.Authorities
}

type known struct {
	anchor *anchor.Anchor
	*chain.Authority
}

// NewSet takes the X509 anchors and ignores others. Those that cannot be read are left out and named by the error.
func NewSet(anchors []anchor.Anchor) (*Set, error) {
	anchors = slices.Clone(anchors)
	stamps, err := stamp.NewAuthorities(anchors)
	set := &Set{stamps: stamps}
	for i := range anchors {
		a := &anchors[i]
		if a.Kind != anchor.X509 || a.Purpose == anchor.Time {
			continue
		}
		held, failed := chain.Read(*a)
		if failed != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", a.Name, failed))
			continue
		}
		set.list = append(set.list, known{a, held})
	}
	return set, err
}

// Certificate returns the certificate that a signer names, among those that came along and those of the anchors; nil if it is not there.
func (set *Set) Certificate(s *signeddata.Signer, along []*x509.Certificate) *x509.Certificate {
	if c := s.Certificate(along); c != nil {
		return c
	}
	for _, k := range set.list {
		if c := s.Certificate(k.Certificates()); c != nil {
			return c
		}
	}
	return nil
}

// Judge adds to the proof of a signature that is right by itself who made it, and when. Where several anchors know the certificate by
// different chains, the proof lives only as long as all of them, and has the weaknesses of all.
func (set *Set) Judge(out *proof.Proof, search *chain.Search, use chain.Use, s *signeddata.Signer, by *x509.Certificate, along []*x509.Certificate) {
	out.KeyID, out.Signer, out.Claim = keyID(by), chain.Name(by), s.Claim()
	why := ""
	weak := s.Weak()
	for _, k := range set.list {
		c, err := search.Find(by, k.Authority, use, time.Time{})
		if err == nil && !k.Names(by) {
			err = errors.New("it does not name whom the anchor asks for")
		}
		if err != nil {
			why = fmt.Sprintf(" (%.120s: %.160v)", k.anchor.Name, err)
			continue
		}
		out.Anchors = append(out.Anchors, k.anchor)
		out.Life = both(out.Life, c.Life)
		weak = append(weak, c.Weak...)
	}
	if len(out.Anchors) == 0 {
		out.Problem = fmt.Sprintf("made by the certificate %q (by its own word), which no trust anchor holds or certifies%s", chain.Name(by), why)
		return
	}
	slices.Sort(weak)
	out.Weak = slices.Compact(weak)
	set.Stamp(out, search, s, along)
}

// Stamp adds what the time stamps of a signature prove.
func (set *Set) Stamp(out *proof.Proof, search *chain.Search, s *signeddata.Signer, along []*x509.Certificate) {
	found := set.stamps.Read(s, search, along)
	out.Times, out.Notes = append(out.Times, found.Times...), append(out.Notes, found.Notes...)
}

func keyID(c *x509.Certificate) string { return fmt.Sprintf("SHA256:%x", sha256.Sum256(c.Raw)) }

// both returns when two lives overlap.
func both(a, b proof.Life) proof.Life {
	if b.From.After(a.From) {
		a.From = b.From
	}
	if a.Until.IsZero() || b.Until.Before(a.Until) {
		a.Until = b.Until
	}
	return a
}
