package pipeline

import (
	"context"
	"fmt"
	"strings"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/manifest"
	"github.com/countersign-escrow/countersign/escrow/resource"
	"github.com/countersign-escrow/countersign/services/internal/anchorpb"
	"github.com/countersign-escrow/countersign/services/internal/materials"
	"github.com/countersign-escrow/countersign/verifier/finding"
	"github.com/countersign-escrow/countersign/verifier/signature"
	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
	"github.com/countersign-escrow/countersign/verifier/signature/gitobject"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

// checkSignature judges who signed the release, and what of it. Where a file of it cannot be read any more, that cannot be told.
func (p *Pipeline) checkSignature(ctx context.Context, d *dossier) (finding.Finding, error) {
	anchors, err := p.releaseAnchors(ctx, d)
	if err != nil {
		return finding.Finding{}, err
	}
	files := releaseFiles(p.materials(d), d.manifest)
	git, err := p.gitSources(ctx, d, files)
	if err != nil {
		return finding.Finding{}, err
	}
	trust := signature.NewTrust(anchors)
	f, err := trust.Check(ctx, signature.Release{
		Name: d.Name, Manifest: d.Release.Manifest, Files: files, Git: git, Signatures: signatures(d.Signatures), Deposited: d.Sealed})
	if problem, ok := problemOf(err); ok {
		return finding.Finding{Check: finding.Signature, Outcome: finding.Undecided, Summary: problem}, nil
	}
	if unreadable := trust.Unreadable(); unreadable != nil && f.Outcome != finding.Passed {
		f.Summary += fmt.Sprintf("; trust anchors were left out: %.500s", strings.ToValidUTF8(strings.ReplaceAll(unreadable.Error(), "\n", "; "), "?"))
	}
	return f, err
}

// releaseAnchors returns the anchors whose signatures over releases of the product count.
func (p *Pipeline) releaseAnchors(ctx context.Context, d *dossier) (anchors []anchor.Anchor, err error) {
	err = p.Catalog.View(ctx, func(tx *catalog.Tx) error {
		rows, err := tx.TrustAnchors(d.vendor())
		anchors = anchorsFor(rows, d.Name.Product)
		return err
	})
	return anchors, err
}

func anchorsFor(rows []catalog.TrustAnchor, product resource.Product) (list []anchor.Anchor) {
	for _, a := range rows {
		if a.Purpose != catalog.PurposeRebuild && (a.Product == nil || *a.Product == product) {
			list = append(list, anchorpb.Anchor(&a))
		}
	}
	return list
}

// releaseFiles returns what signatures of a release may be over, beside its manifest.
func releaseFiles(held materials.Held, m *manifest.Manifest) []proof.File {
	var files []proof.File
	add := func(role proof.Role, name string, f manifest.File) {
		files = append(files, proof.File{Role: role, Name: name, Digest: f.Digest, Size: f.Size,
			Open: func(ctx context.Context) (proof.Content, error) { return held.OpenFile(ctx, f) }})
	}
	for _, s := range m.Sources {
		add(proof.Source, s.Name, manifest.File{Digest: s.Digest, Size: s.Size})
	}
	for _, a := range m.Artifacts {
		add(proof.Artifact, a.Path, manifest.File{Digest: a.Digest, Size: a.Size})
	}
	return files
}

// gitSources returns the git sources with the objects that lead from their tags to their trees. One that cannot be used is left out: the
// source check says so.
func (p *Pipeline) gitSources(ctx context.Context, d *dossier, files []proof.File) ([]gitobject.Source, error) {
	var list []gitobject.Source
	for i, s := range d.manifest.Sources {
		if s.Kind != manifest.GitBundle {
			continue
		}
		id, err := p.identified(ctx, d, i)
		if err != nil {
			return nil, fmt.Errorf("signatures in git objects: %w", err)
		}
		if id.evidence.Problem == "" {
			list = append(list, gitobject.Source{File: files[i], Ref: s.Tag, TagID: id.says.TagObject, Tag: id.says.TagContent,
				CommitID: id.says.Commit, Commit: id.says.CommitContent, TreeID: id.says.CommitsTo})
		}
	}
	return list, nil
}

func signatures(rows []catalog.Signature) []signature.Signature {
	list := make([]signature.Signature, len(rows))
	for i, s := range rows {
		list[i] = signature.Signature{Name: s.Name, MediaType: s.MediaType, Content: s.Content, Subject: s.Subject, List: s.List, ListName: s.ListName}
	}
	return list
}

// AnchorName returns a trust anchor's resource name.
func AnchorName(a *catalog.TrustAnchor) string { return a.Name() }
