package catalog

import (
	"time"

	"github.com/countersign-escrow/countersign/escrow/resource"
)

// Mark is a change of whether a blob is known to be damaged or gone. A blob that is marked counts as not held, so that its
// holder may send it again.
type Mark struct {
	Place
	Was time.Time // its mark before the blob was looked at; zero: none
	Is  time.Time // since when it is damaged; zero: it is whole
}

// SetMarks changes marks, and records an event of each release that names such a blob. A mark that is not any more what it
// was, since the blob has been sent again meanwhile or was looked at elsewhere, stays as it is; so does one of a blob that
// is damaged still.
func (t *Tx) SetMarks(marks []Mark, now time.Time) error {
	for _, m := range marks {
		if m.Was.IsZero() == m.Is.IsZero() {
			continue
		}
		n, err := t.exec("mark of "+m.Digest.String(), `UPDATE blobs SET damaged = $1 WHERE holder = $2 AND digest = $3 AND COALESCE(damaged, 0) = $4`,
			stamp(m.Is), m.Holder.String(), m.Digest.String(), since(m.Was))
		if err == nil && n > 0 {
			err = t.tellReleases(m.Place, now)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// since is a time to compare a mark with that may be NULL.
func since(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// unmark takes a blob's mark, if it has one.
func (t *Tx) unmark(p Place, now time.Time) (bool, error) {
	n, err := t.exec("mark of "+p.Digest.String(), `UPDATE blobs SET damaged = NULL WHERE holder = $1 AND digest = $2 AND damaged IS NOT NULL`,
		p.Holder.String(), p.Digest.String())
	if err != nil || n == 0 {
		return false, err
	}
	return true, t.tellReleases(p, now)
}

// tellReleases records an event of each release that names a blob.
func (t *Tx) tellReleases(p Place, now time.Time) error {
	releases, err := t.ReleasesWith(p)
	if err != nil {
		return err
	}
	for _, r := range releases {
		if err := t.InsertReleaseEvent(ReleaseEvent{Release: r, Created: now}); err != nil {
			return err
		}
	}
	return nil
}

// ReleasesWith returns the releases that name a holder's blob, by name.
func (t *Tx) ReleasesWith(p Place) ([]resource.Release, error) {
	return queryAll(t, "releases with "+p.Digest.String(), func(r row) (*resource.Release, error) {
		var name resource.Release
		return &name, r.Scan(releaseInto(&name))
	}, `
		SELECT DISTINCT f.release FROM release_files f
		JOIN releases r ON r.name = f.release
		JOIN products p ON p.name = r.product
		WHERE f.digest = $1 AND p.vendor = $2 ORDER BY f.release`, p.Digest.String(), p.Holder.String())
}

// DamagedFile is a file of a release whose blob is marked.
type DamagedFile struct {
	ReleaseFile
	Found time.Time
}

// DamagedFiles returns those files of a release whose blobs are marked, by role and path.
func (t *Tx) DamagedFiles(name resource.Release, limit int) ([]DamagedFile, error) {
	return queryAll(t, "damaged files of "+name.String(), func(r row) (*DamagedFile, error) {
		var f DamagedFile
		return &f, r.Scan(digestInto(&f.Digest), &f.Size, &f.Role, &f.Path, timeInto(&f.Found))
	}, `
		SELECT f.digest, f.size, f.role, f.path, b.damaged FROM release_files f
		JOIN blobs b ON b.holder = $1 AND b.digest = f.digest
		WHERE f.release = $2 AND b.damaged IS NOT NULL ORDER BY f.role, f.path, f.digest LIMIT $3`,
		name.Product.Vendor.String(), name.String(), bound(limit))
}
