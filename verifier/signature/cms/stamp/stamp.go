// Package stamp reads the time stamps that signatures of CMS carry: RFC 3161 tokens, and the counter-signatures of PKCS #9 that came before
// them. It knows nothing of what the stamped signature is over, nor whose it is.
package stamp

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
	"github.com/countersign-escrow/countersign/verifier/signature/cms/chain"
	"github.com/countersign-escrow/countersign/verifier/signature/cms/signeddata"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

// maxStamps bounds the time stamps of one signature that are looked at.
const maxStamps = 8

// The unsigned attributes that hold time stamps.
var (
	oidToken          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 14} // RFC 3161, appendix A
	oidMicrosoftToken = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 3, 3, 1}     // the same, in Authenticode
	oidCounter        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 6}         // PKCS #9 counterSignature
	oidTSTInfo        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 4}  // RFC 3161, 2.4.2
)

// Authorities are the time-stamping authorities of trust anchors.
type Authorities struct{ list []authority }

type authority struct {
	anchor *anchor.Anchor
	*chain.Authority
}

// NewAuthorities takes the X509 anchors for time stamps and ignores others. Those that cannot be read are left out and named by the error.
func NewAuthorities(anchors []anchor.Anchor) (*Authorities, error) {
	all := &Authorities{}
	var failed []error
	for _, a := range anchors {
		if a.Kind != anchor.X509 || a.Purpose != anchor.Time {
			continue
		}
		held, err := chain.Read(a)
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", a.Name, err))
			continue
		}
		all.list = append(all.list, authority{&a, held})
	}
	return all, errors.Join(failed...)
}

// Found is what the time stamps of a signature say.
type Found struct {
	Times []proof.Time // one for each anchor that vouches for it
	Notes []string     // why a time stamp gives no time
}

// Read reads the time stamps of a signature, with the certificates that came along. A time stamp that proves nothing is noted and takes
// nothing from the signature: anybody can add one. The search is that of the message, and caps what all of them may cost.
func (all *Authorities) Read(of *signeddata.Signer, search *chain.Search, certificates []*x509.Certificate) (f Found) {
	r := reader{all: all, of: of, search: search, certificates: certificates}
	for _, token := range slices.Concat(of.Unsigned(oidToken), of.Unsigned(oidMicrosoftToken)) {
		r.take(&f, func() (*stamped, error) { return r.token(token) })
	}
	for _, counter := range of.Unsigned(oidCounter) {
		r.take(&f, func() (*stamped, error) { return r.counter(counter) })
	}
	return f
}

// reader reads the time stamps of one signature.
type reader struct {
	all          *Authorities
	of           *signeddata.Signer
	search       *chain.Search
	certificates []*x509.Certificate
	seen         int
}

// stamped is a time stamp whose own signature is right; whose it is remains to be seen.
type stamped struct {
	at    time.Time
	by    *x509.Certificate
	extra []*x509.Certificate
	weak  []proof.Weakness
}

func (r *reader) take(f *Found, read func() (*stamped, error)) {
	if r.seen++; r.seen > maxStamps {
		if r.seen == maxStamps+1 {
			f.Notes = append(f.Notes, fmt.Sprintf("it has more than %d time stamps; the others are not looked at", maxStamps))
		}
		return
	}
	s, err := read()
	if err == nil {
		err = r.all.judge(f, r.search.With(s.extra), s)
	}
	if err != nil {
		f.Notes = append(f.Notes, fmt.Sprintf("time stamp %d proves nothing: %.400s", r.seen, err))
	}
}

// judge adds a time for each anchor that a time stamp goes back to by a chain that was alive at the stamped time; an error if there is none.
func (all *Authorities) judge(f *Found, search *chain.Search, s *stamped) error {
	why := fmt.Errorf("it is by %q, which no trust anchor for time stamps holds", chain.Name(s.by))
	known := false
	for _, a := range all.list {
		c, err := search.Find(s.by, a.Authority, chain.TimeStamps, s.at)
		if err != nil {
			continue
		}
		if err := a.worth(s, c); err != nil {
			why = err
			continue
		}
		by := fmt.Sprintf("a time stamp by %q, trust anchor %s", chain.Name(s.by), a.anchor.Name)
		f.Times, known = append(f.Times, proof.Time{At: s.at, By: by, Root: a.anchor}), true
	}
	if known {
		return nil
	}
	return why
}

func (a *authority) worth(s *stamped, c *chain.Chain) error {
	if !a.Names(s.by) {
		return fmt.Errorf("it is by %q, whom the trust anchor %s does not name", chain.Name(s.by), a.anchor.Name)
	}
	for _, w := range slices.Concat(s.weak, c.Weak) {
		if !w.Allowed(a.anchor.Unsafe) {
			return fmt.Errorf("it uses %s, which the trust anchor %s does not allow", w, a.anchor.Name)
		}
	}
	return nil
}

// signer returns the certificate of a time stamp: from the stamp, from the message around it, or from an anchor.
func (r *reader) signer(s *signeddata.Signer, own []*x509.Certificate) (*x509.Certificate, error) {
	among := slices.Concat(own, r.certificates)
	for _, a := range r.all.list {
		among = append(among, a.Certificates()...)
	}
	if c := s.Certificate(among); c != nil {
		return c, nil
	}
	return nil, fmt.Errorf("the certificate that it names (%s) did not come along", s.Names())
}
