package sshsig

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

// verifyRequired is the one critical option of a certificate that means something for a signature of a file: the security key must have made
// sure of its owner. All others, such as force-command, are about logins, and a certificate for those alone proves nothing here.
const verifyRequired = "verify-required"

// endOfTime is the last second that is written as a date. Later ones stand for ever.
var endOfTime = uint64(time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC).Unix())

// allow says for whom and when a line stands for a signature's key in a namespace. The key is the line's, or certified by it.
func (l *line) allow(s *signature, namespace string) (match, error) {
	if !l.namespaces.match(namespace) {
		return match{}, fmt.Errorf("for the namespaces %s, and the signature is for %q", shown(l.namespaces.String()), namespace)
	}
	if s.cert == nil {
		return match{signer: proof.Text(l.names, maxShown), life: l.life}, nil
	}
	names, err := l.certified(s)
	if err != nil {
		return match{}, err
	}
	life, err := l.within(s.cert)
	if err != nil {
		return match{}, err
	}
	return match{signer: fmt.Sprintf("%s (certificate %s)", proof.Text(joined(names), maxShown), shown(s.cert.KeyId)), life: life}, nil
}

// joined lists principals, whose names somebody else may have chosen, so that each is seen to be one.
func joined(names []string) string {
	var list []string
	for _, name := range names {
		if !printable(name) || strings.ContainsAny(name, `", `) {
			name = strconv.Quote(name)
		}
		list = append(list, name)
	}
	return strings.Join(list, ",")
}

// certified checks all of a certificate but its times, and returns those of its principals that the line allows.
func (l *line) certified(s *signature) (names []string, err error) {
	c := s.cert
	switch {
	case c.CertType != ssh.UserCert:
		return nil, fmt.Errorf("the certificate is for a host, not for a user")
	case len(c.ValidPrincipals) == 0:
		return nil, fmt.Errorf("the certificate names no principals")
	case len(c.ValidPrincipals) > maxPrincipals:
		return nil, fmt.Errorf("the certificate names %d principals, %d at most", len(c.ValidPrincipals), maxPrincipals)
	}
	if err := checkAlgorithms(c.SignatureKey, c.Signature.Format); err != nil {
		return nil, fmt.Errorf("of its certificate: %w", err)
	}
	for _, name := range c.ValidPrincipals {
		if len(name) <= maxName && l.principals.match(name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("the certificate is for %s, and the line allows %s", shown(strings.Join(c.ValidPrincipals, ",")), shown(l.names))
	}
	return names, checkCertificate(s, names[0])
}

// checkCertificate has the library check critical options and the authority's signature, at an instant inside the certificate's times.
func checkCertificate(s *signature, principal string) error {
	at, until := s.cert.ValidAfter, s.cert.ValidBefore
	if at >= until || at > endOfTime {
		return fmt.Errorf("the certificate is never good: from %d until %d, in seconds since 1970", at, until)
	}
	copied := *s.cert
	checker := ssh.CertChecker{SupportedCriticalOptions: []string{verifyRequired}, Clock: func() time.Time { return time.Unix(int64(at), 0) }}
	if until > math.MaxInt64 && until != ssh.CertTimeInfinity {
		return fmt.Errorf("the certificate is good until %d, which is no time", until)
	}
	if err := checker.CheckCert(principal, &copied); err != nil {
		return fmt.Errorf("its certificate is refused: %s", shown(err.Error()))
	}
	if _, ok := s.cert.CriticalOptions[verifyRequired]; ok && s.sk.Flags&userVerified == 0 {
		return fmt.Errorf("its certificate demands that the security key verifies its user, which it did not")
	}
	return nil
}

// within is the time in which both the line and the certificate are good.
func (l *line) within(c *ssh.Certificate) (proof.Life, error) {
	life := l.life
	if c.ValidAfter > 0 {
		if from := time.Unix(int64(c.ValidAfter), 0).UTC(); from.After(life.From) {
			life.From = from
		}
	}
	if c.ValidBefore <= endOfTime {
		if until := time.Unix(int64(c.ValidBefore), 0).UTC(); life.Until.IsZero() || until.Before(life.Until) {
			life.Until = until
		}
	}
	if !life.Until.IsZero() && !life.From.Before(life.Until) {
		return life, fmt.Errorf("its certificate and the line are never good at the same time")
	}
	return life, nil
}
