package catalog

import (
	"time"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
)

// EnrolmentToken lets a member of an organization have one certificate made. Only its hash is kept.
type EnrolmentToken struct {
	Hash         digest.Digest
	Organization resource.Organization
	Member       string
	Expires      time.Time // exclusive
	Used         time.Time
}

const tokenColumns = `hash, organization, member, expires, used`

func scanToken(r row) (*EnrolmentToken, error) {
	var e EnrolmentToken
	return &e, r.Scan(digestInto(&e.Hash), organizationInto(&e.Organization), &e.Member, timeInto(&e.Expires), timeInto(&e.Used))
}

// InsertToken registers a token.
func (t *Tx) InsertToken(e EnrolmentToken) error {
	_, err := t.exec("enrolment token", `INSERT INTO enrolment_tokens (`+tokenColumns+`) VALUES ($1, $2, $3, $4, $5)`,
		e.Hash.String(), e.Organization.String(), e.Member, stamp(e.Expires), stamp(e.Used))
	return err
}

// UseToken marks a token as used and returns it. An unknown, an expired and a used token are denied in the same words.
func (t *Tx) UseToken(hash digest.Digest, now time.Time) (*EnrolmentToken, error) {
	n, err := t.exec("enrolment token", `UPDATE enrolment_tokens SET used = $1 WHERE hash = $2 AND used IS NULL AND expires > $1`,
		stamp(now), hash.String())
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, fault.Deniedf("TOKEN_REFUSED", "the enrolment token is unknown, expired or used").
			WithAdvice("ask the operator for a new one")
	}
	return queryOne(t, "enrolment token", scanToken, `SELECT `+tokenColumns+` FROM enrolment_tokens WHERE hash = $1`, hash.String())
}

// Certificate is a client certificate that the service made.
type Certificate struct {
	Serial       string
	Organization resource.Organization
	Member       string
	NotAfter     time.Time
	Revoked      time.Time // zero: not revoked
}

const certificateColumns = `serial, organization, member, not_after, revoked`

func scanCertificate(r row) (*Certificate, error) {
	var c Certificate
	return &c, r.Scan(&c.Serial, organizationInto(&c.Organization), &c.Member, timeInto(&c.NotAfter), timeInto(&c.Revoked))
}

// InsertCertificate registers a certificate.
func (t *Tx) InsertCertificate(c Certificate) error {
	_, err := t.exec("certificate "+c.Serial, `INSERT INTO certificates (`+certificateColumns+`) VALUES ($1, $2, $3, $4, $5)`,
		c.Serial, c.Organization.String(), c.Member, stamp(c.NotAfter), stamp(c.Revoked))
	return err
}

// Certificate returns one certificate.
func (t *Tx) Certificate(serial string) (*Certificate, error) {
	return queryOne(t, "certificate "+serial, scanCertificate,
		`SELECT `+certificateColumns+` FROM certificates WHERE serial = $1`, serial)
}

// RevokeCertificate makes a certificate count no more; the first revocation stands.
func (t *Tx) RevokeCertificate(serial string, now time.Time) error {
	n, err := t.exec("certificate "+serial, `UPDATE certificates SET revoked = COALESCE(revoked, $1) WHERE serial = $2`, stamp(now), serial)
	if err == nil && n == 0 {
		return fault.NoSuch("certificate " + serial)
	}
	return err
}
