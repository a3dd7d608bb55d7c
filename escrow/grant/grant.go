// Package grant says who may see what of a vendor's, and until when.
// It knows nothing of how grants are stored, nor of what is read.
package grant

import (
	"context"
	"fmt"
	"time"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
)

// Live says whether a grant holds at the time now: from From, until before Until, and not once it is revoked.
func Live(g catalog.Grant, now time.Time) bool {
	revoked := !g.Revoked.IsZero() && !now.Before(g.Revoked)
	return !now.Before(g.From) && now.Before(g.Until) && !revoked
}

// Validate says whether a grant that a vendor wants to give makes sense at the time now.
func Validate(g catalog.Grant, grantee catalog.Kind, now time.Time) error {
	switch {
	case g.Product.Vendor != g.Vendor:
		return fault.Invalidf("grant.product", "%s is no product of %s", g.Product, g.Vendor)
	case g.Grantee == g.Vendor:
		return fault.Invalidf("grant.grantee", "%s sees its own products without a grant", g.Vendor)
	case grantee != catalog.Evaluator && grantee != catalog.Auditor:
		return fault.Invalidf("grant.grantee", "%s is of kind %s: must be of kind EVALUATOR or AUDITOR", g.Grantee, grantee)
	case g.Until.IsZero():
		return fault.Invalidf("grant.valid_until", "is needed: a grant ends")
	case !g.Until.After(g.From):
		return fault.Invalidf("grant.valid_until", "must be after valid_from, %s", g.From.Format(time.RFC3339))
	case !g.Until.After(now):
		return fault.Invalidf("grant.valid_until", "must be in the future")
	}
	return nil
}

// Grants is where a Gate finds grants.
type Grants interface {
	// LiveGrants returns the grantee's grants on a product that live at the time now, as they are at the time of the call.
	LiveGrants(ctx context.Context, grantee resource.Organization, product resource.Product, now time.Time) ([]catalog.Grant, error)
}

// Gate lets readers through to a product. A vendor always sees its own; nobody else does without a live grant, not even
// the operator.
type Gate struct {
	Grants Grants
	Now    func() time.Time // nil: time.Now
}

// Check returns the id of the grant that lets the reader see the product, the one that lives longest; "" where the product
// is the reader's own. Otherwise it is fault.Denied, in words that do not tell whether there is such a product.
func (g *Gate) Check(ctx context.Context, reader resource.Organization, product resource.Product) (grantID string, err error) {
	if reader == product.Vendor {
		return "", nil
	}
	live, err := g.live(ctx, reader, product)
	if err != nil {
		return "", err
	}
	if len(live) == 0 {
		return "", denied(reader, product)
	}
	best := live[0]
	for _, other := range live[1:] {
		if other.Until.After(best.Until) {
			best = other
		}
	}
	return best.ID, nil
}

// Recheck says whether the grant that Check returned still lives. It is one look-up by index, made to be called in the
// middle of a stream, for every part sent. Another grant does not do: the trail says by which one was read.
func (g *Gate) Recheck(ctx context.Context, reader resource.Organization, product resource.Product, grantID string) error {
	if reader == product.Vendor {
		return nil
	}
	live, err := g.live(ctx, reader, product)
	if err != nil {
		return err
	}
	for _, one := range live {
		if one.ID == grantID {
			return nil
		}
	}
	return denied(reader, product)
}

// live returns the grants that live now. It does not trust the store alone: what was found must be for this reader and
// product, and live by the rule of this package.
func (g *Gate) live(ctx context.Context, reader resource.Organization, product resource.Product) ([]catalog.Grant, error) {
	now := time.Now()
	if g.Now != nil {
		now = g.Now()
	}
	found, err := g.Grants.LiveGrants(ctx, reader, product, now)
	if err != nil {
		return nil, fmt.Errorf("look up the grants of %s: %w", reader, err)
	}
	live := found[:0]
	for _, one := range found {
		if one.Grantee == reader && one.Product == product && one.Vendor == product.Vendor && Live(one, now) {
			live = append(live, one)
		}
	}
	return live, nil
}

func denied(reader resource.Organization, product resource.Product) error {
	d := fault.Deniedf("NO_GRANT", "%s has no live grant on %s", reader, product).WithAdvice("ask the vendor for a grant")
	d.Resource = product.String()
	return d
}
