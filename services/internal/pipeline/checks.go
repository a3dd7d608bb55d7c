package pipeline

import (
	"context"
	"errors"
	"fmt"

	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/intake"
	"github.com/countersign-escrow/countersign/escrow/manifest"
	"github.com/countersign-escrow/countersign/services/internal/materials"
	"github.com/countersign-escrow/countersign/verifier/finding"
)

// checkSource opens every source to its end. One that cannot be used is evidence, not an error.
func (p *Pipeline) checkSource(ctx context.Context, d *dossier) (finding.Finding, error) {
	f := finding.Finding{Check: finding.Source, Outcome: finding.Passed}
	bad := 0
	for i, s := range d.manifest.Sources {
		id, err := p.identified(ctx, d, i)
		if err != nil {
			return f, err
		}
		if problem := id.evidence.Problem; problem != "" {
			f.Outcome = finding.Failed
			if bad++; bad == 1 {
				f.Summary = fmt.Sprintf("%s: %s", s.Name, problem)
			}
		}
		f.Evidence.Sources = append(f.Evidence.Sources, id.evidence)
	}
	if bad == 0 {
		f.Summary = fmt.Sprintf("%d of %d sources are whole and well-formed", len(d.manifest.Sources), len(d.manifest.Sources))
	}
	return f, nil
}

// identity is what a source is, and what it says of itself.
type identity struct {
	evidence finding.SourceEvidence
	says     intake.Provenance // complete where the evidence has no problem
}

// identified opens the source of that place in the manifest to its end, once for all checks of a dossier. What the vendor did wrong is
// the evidence's problem.
func (p *Pipeline) identified(ctx context.Context, d *dossier, source int) (*identity, error) {
	if known, ok := d.identities[source]; ok {
		return known, nil
	}
	s := d.manifest.Sources[source]
	id, err := identify(ctx, p.materials(d), s)
	if problem, ok := problemOf(err); ok {
		id.evidence.Problem = problem
	} else if err != nil {
		return nil, fmt.Errorf("source %s: %w", s.Name, err)
	}
	d.identities[source] = id
	return id, nil
}

func identify(ctx context.Context, held materials.Held, s manifest.Source) (*identity, error) {
	id := &identity{evidence: finding.SourceEvidence{Name: s.Name, File: s.Digest}}
	tree, err := held.OpenSource(ctx, s)
	if err != nil {
		return id, err
	}
	found, err := intake.Identify(ctx, tree)
	id.says = tree.Provenance()
	e := &id.evidence
	e.Commit = id.says.Commit
	if err := errors.Join(err, tree.Close()); err != nil {
		return id, err
	}
	e.Tree, e.Unpacked, e.SWHIDs, e.Files, e.Bytes = found.Tree, found.Unpacked, found.SWHIDs, found.Files, found.Bytes
	return id, nil
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
