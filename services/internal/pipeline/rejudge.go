package pipeline

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/resource"
	"github.com/countersign-escrow/countersign/services/internal/jobs"
	"github.com/countersign-escrow/countersign/verifier/finding"
)

// recheckAfter is how long a rejudging waits for checks that were under way when the anchor was revoked.
const recheckAfter = 30 * time.Second

// AnchorCompromised makes due what follows from a trust anchor that somebody else may have the key of, in the transaction that says so:
// every signature that rests on it is judged anew, for nothing that it ever signed counts.
func (p *Pipeline) AnchorCompromised(ctx context.Context, tx *catalog.Tx, a *catalog.TrustAnchor) error {
	return p.Jobs.InsertTx(ctx, tx.SQL(), jobs.Rejudge{Anchor: AnchorName(a)})
}

// rejudge judges anew the signatures of every release of a vendor whose finding rests on an anchor. A finding that does so no more is
// left alone, so that the job may be repeated at will.
func (p *Pipeline) rejudge(ctx context.Context, job jobs.Rejudge) error {
	name, err := resource.ParseChild(job.Anchor, resource.TrustAnchors)
	if err != nil {
		return err
	}
	unchecked := false
	err = p.eachSealed(ctx, name.Organization, func(release resource.Release) error {
		row, err := p.signatureFinding(ctx, release)
		switch {
		case err != nil:
			return err
		case row == nil: // its check is under way, and may have read the anchors before the revocation
			unchecked = true
			return nil
		}
		f, err := decodeFinding(row)
		if err != nil || !restsOn(&f, job.Anchor) {
			return err
		}
		return p.rejudgeRelease(ctx, release, row.ID)
	})
	if err == nil && unchecked {
		return jobs.Later(recheckAfter)
	}
	return err
}

func restsOn(f *finding.Finding, anchor string) bool {
	return slices.ContainsFunc(f.Evidence.Signatures, func(e finding.SignatureEvidence) bool {
		return e.Valid && (e.Anchor == anchor || slices.Contains(e.Roots, anchor))
	})
}

// rejudgeRelease records a new finding about who signed a release. It takes the place of the one before, which stays on record; where another
// one did so meanwhile, nothing is recorded.
func (p *Pipeline) rejudgeRelease(ctx context.Context, release resource.Release, before string) error {
	d, err := p.dossier(ctx, release.String())
	if err != nil {
		return err
	}
	f, err := p.checkSignature(ctx, d)
	if err != nil {
		return fmt.Errorf("%s of %s: %w", finding.Signature, release, err)
	}
	list, err := p.attest(ctx, d, p.Now(), []finding.Finding{f})
	if err != nil {
		return err
	}
	err = p.Catalog.Update(ctx, func(tx *catalog.Tx) error {
		now, err := p.latestSignatureFinding(tx, release)
		if err != nil || now.ID != before {
			return err
		}
		if _, err := p.recordOne(ctx, tx, release, p.Operator, list[0]); err != nil {
			return err
		}
		return p.Settle(tx, release)
	})
	if err == nil {
		p.Hub.Notify(TopicRelease(release))
	}
	return err
}

// signatureFinding returns the service's newest finding about who signed a release, nil if there is none yet.
func (p *Pipeline) signatureFinding(ctx context.Context, release resource.Release) (latest *catalog.Finding, err error) {
	err = p.Catalog.View(ctx, func(tx *catalog.Tx) error {
		latest, err = p.latestSignatureFinding(tx, release)
		return err
	})
	return latest, err
}

func (p *Pipeline) latestSignatureFinding(tx *catalog.Tx, release resource.Release) (latest *catalog.Finding, err error) {
	err = eachFinding(tx, release, func(row *catalog.Finding) error {
		if finding.Check(row.Check) == finding.Signature && row.Rebuilder == p.Operator {
			found := *row
			latest = &found
		}
		return nil
	})
	return latest, err
}

// eachSealed calls f for every sealed release of a vendor, outside of any transaction.
func (p *Pipeline) eachSealed(ctx context.Context, vendor resource.Organization, f func(resource.Release) error) error {
	var names []resource.Release
	err := p.Catalog.View(ctx, func(tx *catalog.Tx) (err error) {
		names, err = sealedReleases(tx, vendor)
		return err
	})
	for _, name := range names {
		if err == nil {
			err = f(name)
		}
	}
	return err
}

func sealedReleases(tx *catalog.Tx, vendor resource.Organization) ([]resource.Release, error) {
	const page = 500
	var names []resource.Release
	for afterProduct := ""; ; {
		products, err := tx.Products(vendor, afterProduct, page)
		if err != nil {
			return nil, err
		}
		for _, product := range products {
			afterProduct = product.Name.String()
			if names, err = appendSealed(tx, names, product.Name); err != nil {
				return nil, err
			}
		}
		if len(products) < page {
			return names, nil
		}
	}
}

func appendSealed(tx *catalog.Tx, names []resource.Release, product resource.Product) ([]resource.Release, error) {
	const page = 500
	for after := ""; ; {
		releases, err := tx.Releases(product, after, page)
		if err != nil {
			return nil, err
		}
		for _, r := range releases {
			if after = r.Name.Version; r.State == catalog.ReleaseSealed {
				names = append(names, r.Name)
			}
		}
		if len(releases) < page {
			return names, nil
		}
	}
}
