package catalog

import (
	"time"

	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
)

// Member is somebody who speaks for an organization, or has a token to come to do so.
type Member struct {
	Name         resource.Child
	Certificates []Certificate // revoked and expired ones included, by serial number
	OpenTokens   int           // unused and not expired
}

func scanWord(r row) (*string, error) {
	var s string
	return &s, r.Scan(&s)
}

// Members lists the members of an organization as they are at the time now by id, those after the id `after`.
func (t *Tx) Members(o resource.Organization, now time.Time, after string, limit int) ([]Member, error) {
	ids, err := queryAll(t, "members", scanWord, `
		SELECT member FROM certificates WHERE organization = $1 AND member > $2
		UNION SELECT member FROM enrolment_tokens WHERE organization = $1 AND member > $2 AND used IS NULL AND expires > $3
		ORDER BY member LIMIT $4`, o.String(), after, stamp(now), bound(limit))
	if err != nil {
		return nil, err
	}
	var list []Member
	for _, id := range ids {
		m, err := t.Member(resource.Child{Organization: o, Collection: resource.Members, ID: id}, now)
		if err != nil {
			return nil, err
		}
		list = append(list, *m)
	}
	return list, nil
}

// Member returns one member as it is at the time now.
func (t *Tx) Member(name resource.Child, now time.Time) (*Member, error) {
	m := &Member{Name: name}
	var err error
	m.Certificates, err = queryAll(t, name.String(), scanCertificate,
		`SELECT `+certificateColumns+` FROM certificates WHERE organization = $1 AND member = $2 ORDER BY serial`,
		name.Organization.String(), name.ID)
	if err != nil {
		return nil, err
	}
	tokens, err := queryOne(t, name.String(), scanNumber,
		`SELECT COUNT(*) FROM enrolment_tokens WHERE organization = $1 AND member = $2 AND used IS NULL AND expires > $3`,
		name.Organization.String(), name.ID, stamp(now))
	if err != nil {
		return nil, err
	}
	if m.OpenTokens = int(*tokens); m.OpenTokens == 0 && len(m.Certificates) == 0 {
		return nil, fault.NoSuch(name.String())
	}
	return m, nil
}

// RevokeMember makes all certificates of a member count no more and its tokens work no more; the first revocation of each
// stands.
func (t *Tx) RevokeMember(name resource.Child, now time.Time) error {
	_, err := t.exec(name.String(),
		`UPDATE certificates SET revoked = COALESCE(revoked, $1) WHERE organization = $2 AND member = $3`,
		stamp(now), name.Organization.String(), name.ID)
	if err != nil {
		return err
	}
	_, err = t.exec(name.String(),
		`UPDATE enrolment_tokens SET used = $1 WHERE organization = $2 AND member = $3 AND used IS NULL`,
		stamp(now), name.Organization.String(), name.ID)
	return err
}
