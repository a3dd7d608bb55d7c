package chain

import (
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

// finish judges a path whose signatures are right: uses, lengths, names, lives.
func finish(path []*x509.Certificate, use Use, at time.Time) (*Chain, error) {
	c := &Chain{Certificates: slices.Clone(path), Life: life(path), Weak: weak(path)}
	if at.IsZero() {
		if !c.Life.From.Before(c.Life.Until) {
			return nil, fmt.Errorf("the certificates between it and %q are never all alive", Name(path[len(path)-1]))
		}
		at = c.Life.From
	}
	if problem := c.Life.Problem(at); problem != "" {
		return nil, fmt.Errorf("not all certificates between it and %q are alive at %s", Name(path[len(path)-1]), at.UTC().Format(time.RFC3339))
	}
	if err := use.path(path); err != nil {
		return nil, err
	}
	if err := checkLengths(path); err != nil {
		return nil, err
	}
	if slices.Contains(c.Weak, proof.SHA1) {
		return c, checkBare(path)
	}
	return c, checkStandard(path, at)
}

// checkStandard has the standard library judge the path, names and critical extensions included.
func checkStandard(path []*x509.Certificate, at time.Time) error {
	last := len(path) - 1
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(path[last])
	for _, c := range path[min(1, last):last] {
		between.AddCert(c)
	}
	_, err := path[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	return err
}

// checkBare stands in where the standard library refuses the path for SHA-1: what it would have to judge besides must not be there.
func checkBare(path []*x509.Certificate) error {
	for _, c := range path {
		if len(c.UnhandledCriticalExtensions) > 0 || constrainsNames(c) {
			return fmt.Errorf("%q has critical extensions or name constraints, which are not judged in a chain with SHA-1", Name(c))
		}
	}
	return nil
}

func constrainsNames(c *x509.Certificate) bool {
	return len(c.PermittedDNSDomains)+len(c.ExcludedDNSDomains)+len(c.PermittedEmailAddresses)+len(c.ExcludedEmailAddresses)+
		len(c.PermittedIPRanges)+len(c.ExcludedIPRanges)+len(c.PermittedURIDomains)+len(c.ExcludedURIDomains) > 0
}

// checkLengths checks pathLenConstraint, the anchor's own included. Certificates that issued themselves are counted, too, which is stricter
// than RFC 5280.
func checkLengths(path []*x509.Certificate) error {
	for i, c := range path[1:] {
		if most := c.MaxPathLen; (most > 0 || most == 0 && c.MaxPathLenZero) && i > most {
			return fmt.Errorf("%q allows %d authorities below it, there are %d", Name(c), most, i)
		}
	}
	return nil
}

// life returns when all are alive. An X.509 certificate is still alive in the second of its end.
func life(path []*x509.Certificate) (l proof.Life) {
	for _, c := range path {
		if l.From.IsZero() || c.NotBefore.After(l.From) {
			l.From = c.NotBefore.UTC()
		}
		if until := c.NotAfter.UTC().Add(time.Second); l.Until.IsZero() || until.Before(l.Until) {
			l.Until = until
		}
	}
	return l
}

// weak lists what is weak in keys and signatures below the last certificate, and in a key pinned by itself.
func weak(path []*x509.Certificate) (list []proof.Weakness) {
	for i, c := range path {
		pinned := len(path) == 1
		if key, ok := c.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() < proof.MinRSABits && (pinned || i < len(path)-1) {
			list = append(list, proof.ShortRSA)
		}
		if i < len(path)-1 {
			list = append(list, weakSignature(c.SignatureAlgorithm)...)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func weakSignature(a x509.SignatureAlgorithm) []proof.Weakness {
	switch a {
	case x509.SHA1WithRSA, x509.ECDSAWithSHA1, x509.DSAWithSHA1:
		return []proof.Weakness{proof.SHA1}
	case x509.MD5WithRSA, x509.MD2WithRSA:
		return []proof.Weakness{proof.MD5}
	}
	return nil
}
