package sigstorebundle

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/cryptoutils"

	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

// byIdentity judges a signature by the key of a certificate.
func (v *Verifier) byIdentity(ctx context.Context, s *signed) ([]proof.Proof, error) {
	if err := checkKey(s.certificate.PublicKey); err != nil {
		return s.bad("the key of the certificate that made it, whatever trust anchor it is by, %v", err), nil
	}
	ok, err := verifies(ctx, s.certificate.PublicKey, s.message, s.signature)
	switch {
	case errors.Is(err, errTooLong):
		return s.bad("%.60q has %d bytes: a pure Ed25519 signature is verified over %d at most", s.message.Name, s.message.Size, MaxFile), nil
	case err != nil:
		return nil, err
	case !ok:
		return s.bad("the signature is not by the key of its certificate, or over other bytes: nothing that a trust anchor holds is proved"), nil
	}
	named, err := certificate.SummarizeCertificate(s.certificate)
	if err != nil {
		return s.bad("the certificate names nobody: %v", err), nil
	}
	return v.byRoots(s, named), nil
}

// byRoots judges a certificate by each root: good proofs if any, else what went wrong where it went best.
func (v *Verifier) byRoots(s *signed, named certificate.Summary) []proof.Proof {
	var good []proof.Proof
	furthest := failure{problem: v.nobody(named)}
	for _, r := range v.roots {
		ids := v.identitiesOf(r)
		if len(ids) == 0 {
			continue
		}
		p, f := r.judge(s, named, ids)
		if f.problem == "" {
			good = append(good, p)
		} else if f.stage > furthest.stage {
			furthest = f
		}
	}
	if len(good) > 0 {
		return good
	}
	return s.bad("%s", furthest.problem)
}

// identitiesOf lists the identities that are judged by a root.
func (v *Verifier) identitiesOf(r *trustedRoot) (out []identity) {
	for _, i := range v.identities {
		if r.anchor.Purpose != anchor.Time && cmp.Or(i.TrustedRoot, r.anchor.Name) == r.anchor.Name {
			out = append(out, i)
		}
	}
	return out
}

// nobody says why no root could judge a certificate.
func (v *Verifier) nobody(named certificate.Summary) string {
	who := fmt.Sprintf("by the certificate's own word by %s", person(named))
	switch {
	case len(v.identities) == 0:
		return "made by a certificate, and no trust anchor is a Sigstore identity (" + who + ")"
	case v.identities[0].TrustedRoot != "":
		return fmt.Sprintf("there is no trusted root %s, by which the trust anchor %s is judged (%s)", v.identities[0].TrustedRoot, v.identities[0].anchor.Name, who)
	}
	return "made by a certificate, and no trust anchor is a Sigstore trusted root to judge it by (" + who + ")"
}

func person(n certificate.Summary) string {
	return fmt.Sprintf("issuer %.100q, subject %.150q", n.Issuer, n.SubjectAlternativeName)
}

// failure is why a certificate does not hold by a root, and how far it came.
type failure struct {
	stage   int
	problem string
}

func fail(stage int, format string, args ...any) failure {
	return failure{stage, fmt.Sprintf(format, args...)}
}

// judge judges a certificate by one root: its log entry, a time, its chain, its issuance in a log, and whom it names.
func (r *trustedRoot) judge(s *signed, named certificate.Summary, ids []identity) (p proof.Proof, f failure) {
	w, err := r.hear(s, nil)
	if err != nil {
		return p, fail(2, "%v", err)
	}
	if f := r.sufficient(w); f.problem != "" {
		return p, f
	}
	if f := r.chained(s.certificate, w.times[0]); f.problem != "" {
		return p, f
	}
	p = w.addTo(s.proof, r)
	if p.Anchors = matching(ids, named); len(p.Anchors) == 0 {
		return p, fail(6, "%s", stranger(ids, named))
	}
	c := s.certificate
	p.KeyID, p.Weak = keyID(c.PublicKey), weaknesses(c.PublicKey)
	p.Signer = proof.Text(fmt.Sprintf("issuer %s, subject %s", named.Issuer, named.SubjectAlternativeName), 400)
	p.Life = proof.Life{From: c.NotBefore, Until: c.NotAfter.Add(1)}
	return p, failure{}
}

// sufficient wants an entry in a log where the root has one, as what is not logged nobody can find out about, and a time.
func (r *trustedRoot) sufficient(w witness) failure {
	switch {
	case len(r.RekorLogs()) > 0 && !w.logged && len(w.unheard) > 0:
		return fail(1, "it is in no log of %s, which is a trust anchor: it brings %s", r.name(), w.unheard[0])
	case len(r.RekorLogs()) > 0 && !w.logged:
		return fail(1, "it is in no log, and %s has one: sign with a log entry", r.name())
	case len(w.times) == 0 && len(w.unheard) > 0:
		return fail(3, "nothing that %s knows of proves when it was made, which a certificate needs: it brings %s", r.name(), w.unheard[0])
	case len(w.times) == 0:
		return fail(3, "nothing proves when it was made, which a certificate needs: sign with a time stamp")
	}
	return failure{}
}

// chained makes sure that the certificate was good at the earliest time that is proved, which is the one that counts.
func (r *trustedRoot) chained(c *x509.Certificate, at proof.Time) failure {
	if at.At.Before(c.NotBefore) || at.At.After(c.NotAfter) {
		return fail(4, "the certificate was good from %s to %s, and the signature is of %s by %s",
			stampTime(c.NotBefore), stampTime(c.NotAfter), stampTime(at.At), at.By)
	}
	takeOtherNames(c)
	chains, err := verify.VerifyLeafCertificate(at.At, c, material{r, nil})
	if err != nil {
		return fail(4, "the certificate is not by a certificate authority of %s that counted at %s: it says it is by %.150q",
			r.name(), stampTime(at.At), c.Issuer.String())
	}
	if len(r.CTLogs()) > 0 {
		if err := verify.VerifySignedCertificateTimestamp(chains, 1, material{r, nil}); err != nil {
			return fail(5, "that the certificate was issued is in no certificate transparency log of %s: %v", r.name(), err)
		}
	}
	return failure{}
}

func stampTime(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// takeOtherNames lets a certificate have a subject alternative name that crypto/x509 does not read, as sigstore-go does: it was read
// by SummarizeCertificate. Anything else that is critical and not understood still makes the chain fail.
func takeOtherNames(c *x509.Certificate) {
	c.UnhandledCriticalExtensions = slices.DeleteFunc(slices.Clone(c.UnhandledCriticalExtensions), func(oid asn1.ObjectIdentifier) bool {
		return oid.Equal(cryptoutils.SANOID)
	})
}

func matching(ids []identity, n certificate.Summary) (out []*anchor.Anchor) {
	for _, i := range ids {
		if i.Issuer.Matches(n.Issuer) && i.Subject.Matches(n.SubjectAlternativeName) {
			out = append(out, i.anchor)
		}
	}
	return out
}

// stranger says whom a good certificate names, and what is other than with the trust anchor that comes closest.
func stranger(ids []identity, n certificate.Summary) string {
	for _, i := range ids {
		if i.Issuer.Matches(n.Issuer) {
			return fmt.Sprintf("made by another identity: %s, and the trust anchor %s is for the subject %.100q", person(n), i.anchor.Name, i.Subject.String())
		}
	}
	for _, i := range ids {
		if i.Subject.Matches(n.SubjectAlternativeName) {
			return fmt.Sprintf("made by an identity of another issuer: %s, and the trust anchor %s is for the issuer %.100q", person(n), i.anchor.Name, i.Issuer.String())
		}
	}
	return fmt.Sprintf("made by another identity of another issuer, which no trust anchor holds: %s", person(n))
}
