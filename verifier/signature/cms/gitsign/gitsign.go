// Package gitsign judges signatures of CMS by certificates of a Sigstore authority, which live for minutes, as gitsign makes them: whose
// identity the certificate names, and when a transparency log saw the signature, where its entry is embedded. It knows nothing of git.
package gitsign

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
	"github.com/countersign-escrow/countersign/verifier/signature/cms/chain"
	"github.com/countersign-escrow/countersign/verifier/signature/cms/signeddata"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

// Verifier judges by the Sigstore anchors. It may be used concurrently.
type Verifier struct {
	identities []identity
	roots      []trusted
}

type identity struct {
	anchor *anchor.Anchor
	anchor.Identity
}

type trusted struct {
	anchor *anchor.Anchor
	*root.TrustedRoot
}

// New takes Sigstore identities and roots and ignores other anchors, and those for time stamps, which certify no signers. Those that cannot be read are left out and named by the error.
func New(anchors []anchor.Anchor) (*Verifier, error) {
	v := &Verifier{}
	var failed []error
	for _, a := range anchors {
		if err := v.add(&a); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", a.Name, err))
		}
	}
	return v, errors.Join(failed...)
}

func (v *Verifier) add(a *anchor.Anchor) error {
	switch a.Kind {
	case anchor.SigstoreIdentity:
		id, err := anchor.ParseIdentity(a.Material)
		if err != nil || a.Purpose == anchor.Time {
			return err
		}
		v.identities = append(v.identities, identity{a, id})
	case anchor.SigstoreRoot:
		r, err := root.NewTrustedRootFromJSON([]byte(a.Material))
		if err != nil || a.Purpose == anchor.Time {
			return err
		}
		v.roots = append(v.roots, trusted{a, r})
	}
	return nil
}

// The extensions by which a certificate of Fulcio names its OpenID Connect issuer: the old form and that of today.
var oidIssuers = []asn1.ObjectIdentifier{{1, 3, 6, 1, 4, 1, 57264, 1, 1}, {1, 3, 6, 1, 4, 1, 57264, 1, 8}}

// Takes says whether a certificate looks like one of a Sigstore authority.
func (v *Verifier) Takes(c *x509.Certificate) bool {
	for _, e := range c.Extensions {
		if slices.ContainsFunc(oidIssuers, e.Id.Equal) {
			return true
		}
	}
	return false
}

// Judge fills the proof of a signature that is right by itself: the first trusted root that certifies its maker decides.
func (v *Verifier) Judge(out *proof.Proof, s *signeddata.Signer, by *x509.Certificate) {
	names, err := certificate.SummarizeCertificate(by)
	if err != nil {
		out.Problem = fmt.Sprintf("the certificate that made it names nobody: %.200v", err)
		return
	}
	who, issuer := chain.Printable(names.SubjectAlternativeName, 120), chain.Printable(names.Issuer, 100)
	out.Signer = fmt.Sprintf("%s (%s)", who, issuer)
	out.Problem = fmt.Sprintf("made by a certificate for %q of %q (by its own word), which no trusted root among the trust anchors certifies", who, issuer)
	for _, r := range v.roots {
		if r.certifies(by) != nil {
			continue
		}
		out.Problem = fmt.Sprintf("made by %q of the issuer %q, whom no trust anchor names", who, issuer)
		if out.Anchors = v.named(names, r); len(out.Anchors) > 0 {
			r.accept(out, s, by)
			return
		}
	}
}

func (v *Verifier) named(names certificate.Summary, by trusted) (list []*anchor.Anchor) {
	for _, id := range v.identities {
		if id.TrustedRoot != "" && id.TrustedRoot != by.anchor.Name {
			continue
		}
		if id.Issuer.Matches(names.Issuer) && id.Subject.Matches(names.SubjectAlternativeName) {
			list = append(list, id.anchor)
		}
	}
	return list
}

// certifies checks the certificate at the start of its own life, which proves nothing of when it was used; and that a certificate log of
// the root promised to show it, where the root has such logs.
func (r trusted) certifies(c *x509.Certificate) error {
	chains, err := verify.VerifyLeafCertificate(c.NotBefore, c, r)
	if err == nil && len(r.CTLogs()) > 0 {
		err = verify.VerifySignedCertificateTimestamp(chains, 1, r)
	}
	return err
}

func (r trusted) accept(out *proof.Proof, s *signeddata.Signer, by *x509.Certificate) {
	out.Problem, out.Roots = "", append(out.Roots, r.anchor)
	out.Life = proof.Life{From: by.NotBefore.UTC(), Until: by.NotAfter.UTC().Add(time.Second)}
	out.Claim, out.Weak = s.Claim(), s.Weak()
	entries := s.Unsigned(oidEntry)
	if len(entries) == 0 {
		out.Notes = append(out.Notes, "no log entry is embedded, so nothing proves that the certificate was alive when it signed: have gitsign store "+
			"the entry with git config gitsign.rekorMode offline, and sign again")
	}
	for i, e := range entries[:min(len(entries), maxEntries)] {
		at, log, err := r.logged(e, s, by)
		if err != nil {
			out.Notes = append(out.Notes, fmt.Sprintf("the embedded log entry %d proves nothing: %s", i+1, chain.Printable(err.Error(), 300)))
			continue
		}
		out.Times = append(out.Times, proof.Time{At: at, By: fmt.Sprintf("the log %.100s", strings.TrimPrefix(log, "https://")), Root: r.anchor})
	}
}
