package catalog

import (
	"time"

	"github.com/countersign-escrow/countersign/escrow/resource"
)

// LeaseGrantedRebuild is LeaseRebuild for a rebuilder that needs a live grant on a product to rebuild its releases. What
// it may not see now is passed over and stays as it is.
func (t *Tx) LeaseGrantedRebuild(rebuilder resource.Organization, platforms []string, now time.Time, ttl time.Duration) (*Rebuild, error) {
	if len(platforms) == 0 {
		return nil, nil
	}
	args := arguments{rebuilder.String()}
	found, err := queryAll(t, "rebuilds", scanRebuild, `
		SELECT `+rebuildColumns+` FROM rebuilds
		WHERE rebuilder = $1 AND `+leasable(&args, now, ttl)+` AND platform IN (`+list(&args, platforms)+`)
		AND EXISTS (SELECT 1 FROM releases r WHERE r.name = rebuilds.release AND EXISTS (`+liveGrant(&args, "r.product", rebuilder, now)+`))
		ORDER BY id LIMIT 1`, args...)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return t.LeaseRebuildByID(found[0].ID, now, ttl)
}
