package catalog

import (
	"time"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
)

// Request identifies a call that a client may repeat (AIP-155).
type Request struct {
	Organization resource.Organization
	Method       string
	ID           string        // "": the client does not want it remembered
	Fingerprint  digest.Digest // of what was asked
}

type remembered struct {
	fingerprint digest.Digest
	resource    string
}

func scanRemembered(r row) (*remembered, error) {
	var m remembered
	return &m, r.Scan(digestInto(&m.fingerprint), &m.resource)
}

// Request returns what a call with this id made before, if there was one. The same id with another fingerprint is
// fault.Invalid.
func (t *Tx) Request(q Request) (made string, seen bool, err error) {
	if q.ID == "" {
		return "", false, nil
	}
	m, err := first(queryAll(t, "request", scanRemembered,
		`SELECT fingerprint, resource FROM requests WHERE organization = $1 AND method = $2 AND request_id = $3`,
		q.Organization.String(), q.Method, q.ID))
	if err != nil || m == nil {
		return "", false, err
	}
	if m.fingerprint != q.Fingerprint {
		return "", false, fault.Invalidf("request_id", "%q was used before for another request", q.ID).
			WithAdvice("use a new id for each request")
	}
	return m.resource, true, nil
}

// RememberRequest records what a call made, in the transaction that makes it.
func (t *Tx) RememberRequest(q Request, made string, now time.Time) error {
	if q.ID == "" {
		return nil
	}
	_, err := t.exec("request "+q.ID, `
		INSERT INTO requests (organization, method, request_id, fingerprint, resource, created) VALUES ($1, $2, $3, $4, $5, $6)`,
		q.Organization.String(), q.Method, q.ID, q.Fingerprint.String(), made, stamp(now))
	return err
}
