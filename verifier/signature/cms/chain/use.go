package chain

import (
	"crypto/x509"
	"fmt"
	"slices"
)

// Use is what a certificate must be for.
type Use struct {
	what     string
	allowed  []x509.ExtKeyUsage
	explicit bool // the signing certificate must say so itself
	sole     bool // and nothing else (RFC 3161, 2.3)
}

// The uses.
var (
	// Documents takes what stock tools sign files with: certificates for mail, for code, for anything, or without any word on it.
	Documents  = Use{"signatures on files", []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection, x509.ExtKeyUsageCodeSigning}, false, false}
	Code       = Use{"code signing", []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}, true, false}
	TimeStamps = Use{"time stamps", []x509.ExtKeyUsage{x509.ExtKeyUsageTimeStamping}, true, true}
)

// leaf checks the signing certificate itself.
func (u Use) leaf(c *x509.Certificate) error {
	const signs = x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment
	if c.KeyUsage != 0 && c.KeyUsage&signs == 0 {
		return fmt.Errorf("its key usage allows no signatures")
	}
	if u.explicit && !slices.ContainsFunc(u.allowed, func(a x509.ExtKeyUsage) bool { return slices.Contains(c.ExtKeyUsage, a) }) {
		return fmt.Errorf("it is no certificate for %s (extended key usage)", u.what)
	}
	if u.sole && len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) > 1 {
		return fmt.Errorf("it is for other uses than %s, too (extended key usage)", u.what)
	}
	return nil
}

// path checks that one use is allowed by every certificate on the way: an authority passes on no more than it has.
func (u Use) path(path []*x509.Certificate) error {
	for _, use := range u.allowed {
		if !slices.ContainsFunc(path, func(c *x509.Certificate) bool { return !allows(c, use) }) {
			return nil
		}
	}
	return fmt.Errorf("it or an authority above it is not for %s (extended key usage)", u.what)
}

func allows(c *x509.Certificate, use x509.ExtKeyUsage) bool {
	if len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) == 0 {
		return true
	}
	return slices.Contains(c.ExtKeyUsage, use) || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny)
}
