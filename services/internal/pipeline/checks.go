package pipeline

import (
	"context"
	"errors"
	"fmt"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/intake"
	"github.com/countersign-escrow/countersign/escrow/manifest"
	"github.com/countersign-escrow/countersign/escrow/resource"
	"github.com/countersign-escrow/countersign/services/internal/materials"
	"github.com/countersign-escrow/countersign/verifier/attest"
	"github.com/countersign-escrow/countersign/verifier/finding"
	"github.com/countersign-escrow/countersign/verifier/signature"
)

func (p *Pipeline) checkSignature(ctx context.Context, d *dossier) (finding.Finding, error) {
	var anchors []signature.Anchor
	err := p.Catalog.View(ctx, func(tx *catalog.Tx) error {
		rows, err := tx.TrustAnchors(d.vendor())
		if err != nil {
			return err
		}
		anchors, err = releaseAnchors(rows, d.Name.Product)
		return err
	})
	if err != nil {
		return finding.Finding{}, err
	}
	sigs := make([]signature.Signature, len(d.Signatures))
	for i, s := range d.Signatures {
		sigs[i] = signature.Signature{MediaType: s.MediaType, Content: s.Content}
	}
	return signature.Check(ctx, d.Release.Manifest, sigs, anchors, d.Sealed), nil
}

// releaseAnchors returns the keys whose signatures over releases of a product count.
func releaseAnchors(rows []catalog.TrustAnchor, product resource.Product) ([]signature.Anchor, error) {
	var list []signature.Anchor
	for _, a := range rows {
		if a.Purpose != catalog.PurposeRelease || (a.Product != nil && *a.Product != product) {
			continue
		}
		key, err := attest.ParsePublicKey(a.PublicKeyPEM)
		if err != nil {
			return nil, fmt.Errorf("stored trust anchor %s: %w", a.ID, err)
		}
		list = append(list, signature.Anchor{Name: AnchorName(&a), KeyID: a.KeyID, PublicKey: key, From: a.From, Until: a.Until, Revoked: a.Revoked})
	}
	return list, nil
}

// AnchorName returns a trust anchor's resource name.
func AnchorName(a *catalog.TrustAnchor) string {
	return resource.Child{Organization: a.Organization, Collection: resource.TrustAnchors, ID: a.ID}.String()
}

// checkSource opens every source to its end. One that cannot be used is evidence, not an error.
func (p *Pipeline) checkSource(ctx context.Context, d *dossier) (finding.Finding, error) {
	f := finding.Finding{Check: finding.Source, Outcome: finding.Passed}
	held, bad := p.materials(d), 0
	for _, s := range d.manifest.Sources {
		e, err := identify(ctx, held, s)
		if problem, ok := problemOf(err); ok {
			e.Problem = problem
			f.Outcome = finding.Failed
			if bad++; bad == 1 {
				f.Summary = fmt.Sprintf("%s: %s", s.Name, problem)
			}
		} else if err != nil {
			return f, fmt.Errorf("source %s: %w", s.Name, err)
		}
		f.Evidence.Sources = append(f.Evidence.Sources, e)
	}
	if bad == 0 {
		f.Summary = fmt.Sprintf("%d of %d sources are whole and well-formed", len(d.manifest.Sources), len(d.manifest.Sources))
	}
	return f, nil
}

func identify(ctx context.Context, held materials.Held, s manifest.Source) (finding.SourceEvidence, error) {
	e := finding.SourceEvidence{Name: s.Name, File: s.Digest}
	tree, err := held.OpenSource(ctx, s)
	if err != nil {
		return e, err
	}
	id, err := intake.Identify(ctx, tree)
	e.Commit = tree.Provenance().Commit
	if err := errors.Join(err, tree.Close()); err != nil {
		return e, err
	}
	e.Tree, e.Unpacked, e.SWHIDs, e.Files, e.Bytes = id.Tree, id.Unpacked, id.SWHIDs, id.Files, id.Bytes
	return e, nil
}

func (p *Pipeline) checkEnvironment(ctx context.Context, d *dossier) (finding.Finding, error) {
	f := finding.Finding{Check: finding.Environment, Outcome: finding.Passed}
	e := &finding.EnvironmentEvidence{Image: d.manifest.Environment.Image}
	f.Evidence.Environment = e
	img, err := materials.OpenImage(ctx, p.Blobs, d.vendor(), e.Image)
	if err == nil {
		e.Platform, e.Blobs, e.Bytes = img.Platform, len(img.Blobs), img.Bytes()
		err = allHeld(ctx, p, d, img)
	}
	if problem, ok := problemOf(err); ok {
		f.Outcome, f.Summary, e.Problem = finding.Failed, problem, problem
		return f, nil
	}
	f.Summary = fmt.Sprintf("the image for %s and its %d blobs are held", e.Platform, e.Blobs)
	return f, err
}

func allHeld(ctx context.Context, p *Pipeline, d *dossier, img *materials.Image) error {
	missing, err := img.Missing(ctx, p.Blobs, d.vendor())
	if err != nil || len(missing) == 0 {
		return err
	}
	return &fault.Error{Kind: fault.NotFound, Reason: "BLOB_MISSING", Field: "image",
		Message: fmt.Sprintf("%d of its %d blobs are not held, the first is %s", len(missing), len(img.Blobs), missing[0].Digest)}
}

// problemOf returns what is wrong with what the vendor deposited, where that is what err says. Anything else is a failure
// of this side, to be tried again.
func problemOf(err error) (string, bool) {
	var f *fault.Error
	if !errors.As(err, &f) {
		return "", false
	}
	switch f.Kind {
	case fault.NotFound, fault.Invalid, fault.Exhausted, fault.Precondition:
		return err.Error(), true
	default:
		return "", false
	}
}
