package agent

import (
	"context"
	"time"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/verifier/attest"
	"github.com/countersign-escrow/countersign/verifier/finding"
)

// sign makes a signed statement of each finding, and a provenance of what was rebuilt.
func (a *Agent) sign(ctx context.Context, w Work, manifest digest.Digest, found []finding.Finding) ([][]byte, error) {
	about := attest.FindingContext{Release: w.Release, Manifest: manifest, Rebuilder: a.Organization, Country: a.Country, Time: time.Now().UTC()}
	for _, artifact := range w.Manifest.Artifacts {
		about.Artifacts = append(about.Artifacts, attest.Subject{Name: artifact.Path, Digest: artifact.Digest})
	}
	var envelopes [][]byte
	for _, f := range found {
		statements := []attest.Statement{attest.NewFinding(about, f)}
		if f.Check == finding.Rebuild {
			if provenance, ok := attest.NewProvenance(about, f, w.Manifest); ok {
				statements = append(statements, provenance)
			}
		}
		for _, s := range statements {
			envelope, err := a.Signer.Sign(ctx, s)
			if err != nil {
				return nil, err
			}
			envelopes = append(envelopes, envelope.JSON())
		}
	}
	return envelopes, nil
}
