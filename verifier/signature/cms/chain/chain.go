// Package chain finds whether a certificate goes back to those of a trust anchor, and when all certificates on the way are alive. It knows
// nothing of what the certificate signed, nor of the time it is now.
package chain

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

// Caps on hostile input.
const (
	MaxCertificates = 64   // of an anchor
	maxLength       = 16   // of a chain, both ends included
	maxChecks       = 256  // signatures of certificates, for all searches of one message
	maxFailures     = 256  // ways that came to their end and are no chain, for all searches of one message
	maxSteps        = 1024 // of one search
	maxAllSteps     = 1 << 16
	maxRSABits      = 8192
)

// Chain is the way from a certificate to one of an anchor.
type Chain struct {
	Certificates []*x509.Certificate // the signing one first, the anchor's last
	// Life is when all of them are alive, the anchor's own included.
	Life proof.Life
	Weak []proof.Weakness // used below the anchor's own certificate, whose own signature nobody relies on
}

// Search looks for chains among the certificates of one message. What it has checked once it does not check again, and it checks no more
// than is reasonable, however many certificates name each other. It must not be used concurrently.
type Search struct {
	extra []*x509.Certificate
	*effort
}

// effort is what searches have done so far, together.
type effort struct {
	checked         map[link]error
	sums            map[*x509.Certificate]sum
	failures, steps int
}

type sum = [sha256.Size]byte

// link is a certificate and its issuer, by their SHA-256: several anchors may hold the same ones.
type link struct{ child, parent sum }

// NewSearch takes certificates that came along: they are believed nothing.
func NewSearch(extra []*x509.Certificate) *Search {
	return &Search{extra, &effort{checked: map[link]error{}, sums: map[*x509.Certificate]sum{}}}
}

// With returns a search among other certificates, such as those of a time stamp in the message. It shares the cap on effort.
func (s *Search) With(extra []*x509.Certificate) *Search { return &Search{extra, s.effort} }

// Find returns a chain from the leaf to a certificate of the authority, for a use. At a time other than zero all certificates must be alive
// then; else at any time together.
func (s *Search) Find(leaf *x509.Certificate, to *Authority, use Use, at time.Time) (*Chain, error) {
	if err := use.leaf(leaf); err != nil {
		return nil, err
	}
	w := &walk{search: s, to: to, use: use, at: at, parents: slices.Concat(to.certificates, s.extra)}
	if c := w.from([]*x509.Certificate{leaf}); c != nil {
		return c, nil
	}
	if w.failed == nil {
		w.failed = errors.New("it does not go back to one of its certificates")
	}
	return nil, w.failed
}

// walk is a search from one leaf. It goes depth first.
type walk struct {
	search  *Search
	to      *Authority
	use     Use
	at      time.Time
	parents []*x509.Certificate
	steps   int
	failed  error // why a chain that came to its end is none
}

func (w *walk) from(path []*x509.Certificate) *Chain {
	last := path[len(path)-1]
	if w.to.holds(last) {
		c, err := w.finish(path)
		if err == nil {
			return c
		}
		w.failed = err
	}
	w.steps++
	w.search.steps++
	if len(path) == maxLength || w.steps > maxSteps || w.search.steps > maxAllSteps {
		return nil
	}
	for _, parent := range w.parents {
		if !bytes.Equal(parent.RawSubject, last.RawIssuer) || slices.ContainsFunc(path, parent.Equal) {
			continue
		}
		if err := w.search.check(last, parent); err != nil {
			w.failed = fmt.Errorf("%q: %w", Name(last), err)
			continue
		}
		if c := w.from(append(slices.Clip(path), parent)); c != nil {
			return c
		}
	}
	return nil
}

func (w *walk) finish(path []*x509.Certificate) (*Chain, error) {
	if w.search.failures >= maxFailures {
		return nil, fmt.Errorf("more than %d ways to certificates of anchors are no chains", maxFailures)
	}
	c, err := finish(path, w.use, w.at)
	if err != nil {
		w.search.failures++
	}
	return c, err
}

func (s *Search) check(child, parent *x509.Certificate) error {
	l := link{s.sum(child), s.sum(parent)}
	err, known := s.checked[l]
	if known {
		return err
	}
	if len(s.checked) >= maxChecks {
		return fmt.Errorf("more than %d pairs of certificates name each other", maxChecks)
	}
	err = signedBy(child, parent)
	s.checked[l] = err
	return err
}

func (e *effort) sum(c *x509.Certificate) sum {
	known, ok := e.sums[c]
	if !ok {
		known = sha256.Sum256(c.Raw)
		e.sums[c] = known
	}
	return known
}

func signedBy(child, parent *x509.Certificate) error {
	if !isAuthority(parent) {
		return fmt.Errorf("its issuer %q is no certificate authority (basicConstraints, keyCertSign)", Name(parent))
	}
	if key, ok := parent.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() > maxRSABits {
		return fmt.Errorf("its issuer has an RSA key of %d bits, %d at most", key.N.BitLen(), maxRSABits)
	}
	// CheckSignatureFrom refuses SHA-1, which is to be named weak instead.
	return parent.CheckSignature(child.SignatureAlgorithm, child.RawTBSCertificate, child.Signature)
}

func isAuthority(c *x509.Certificate) bool {
	return c.BasicConstraintsValid && c.IsCA && (c.KeyUsage == 0 || c.KeyUsage&x509.KeyUsageCertSign != 0)
}

// maxName bounds the subject of a certificate in texts, in bytes.
const maxName = 120

// Name returns whom a certificate names, for people: its subject.
func Name(c *x509.Certificate) string { return Printable(c.Subject.String(), maxName) }

// Printable returns a text of outside without what cannot be printed, clipped to so many bytes.
func Printable(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
