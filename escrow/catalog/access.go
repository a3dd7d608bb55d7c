package catalog

import (
	"time"

	"github.com/countersign-escrow/countersign/escrow/resource"
)

// AccessRecord says that somebody read something of a vendor's.
type AccessRecord struct {
	Seq      int64 // set by InsertAccess; grows within the vendor
	Vendor   resource.Organization
	Reader   resource.Organization
	Member   string // of the reader
	Resource string // what was read: a resource name, or release and digest
	GrantID  string // the grant that allowed it; "" for the vendor itself
	Bytes    int64
	Time     time.Time
}

const accessColumns = `seq, vendor, reader, member, resource, grant_id, bytes, time`

func scanAccess(r row) (*AccessRecord, error) {
	var a AccessRecord
	return &a, r.Scan(&a.Seq, organizationInto(&a.Vendor), organizationInto(&a.Reader), &a.Member, &a.Resource,
		textInto(&a.GrantID), &a.Bytes, timeInto(&a.Time))
}

// InsertAccess adds to a vendor's trail, and sets the record's Seq.
func (t *Tx) InsertAccess(a *AccessRecord) error {
	var err error
	if a.Seq, err = t.count("access to " + a.Vendor.String()); err != nil {
		return err
	}
	_, err = t.exec("access record", `INSERT INTO access_records (`+accessColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		a.Seq, a.Vendor.String(), a.Reader.String(), a.Member, a.Resource, maybe(a.GrantID), a.Bytes, stamp(a.Time))
	return err
}

// AccessRecords lists a vendor's trail, newest first, the records before the number beforeSeq (0: all).
func (t *Tx) AccessRecords(vendor resource.Organization, beforeSeq int64, limit int) ([]AccessRecord, error) {
	return queryAll(t, "access records", scanAccess, `
		SELECT `+accessColumns+` FROM access_records WHERE vendor = $1 AND (CAST($2 AS BIGINT) = 0 OR seq < $2) ORDER BY seq DESC LIMIT $3`,
		vendor.String(), beforeSeq, bound(limit))
}
