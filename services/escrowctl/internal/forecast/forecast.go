// Package forecast judges the signatures of a release here, as the service will when it has the release: with the same trust anchors and
// the same rules. The service's word is the one that counts. The package knows nothing of how anchors are fetched or results printed.
package forecast

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/intake"
	"github.com/countersign-escrow/countersign/escrow/manifest"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/releasefile"
	"github.com/countersign-escrow/countersign/services/internal/anchormsg"
	"github.com/countersign-escrow/countersign/verifier/finding"
	"github.com/countersign-escrow/countersign/verifier/signature"
	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
	"github.com/countersign-escrow/countersign/verifier/signature/gitobject"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

// Request is what to judge.
type Request struct {
	Deposit    *releasefile.Deposit
	Signatures []releasefile.Signature
	Anchors    []*pb.TrustAnchor // of the vendor, all of them
	Now        time.Time         // when it would be deposited
}

// Forecast is what the service will find, as far as can be told here.
type Forecast struct {
	Finding finding.Finding
	Notes   []string // on what could not be looked at
}

// Passes says whether a signature over the manifest will count.
func (f *Forecast) Passes() bool { return f.Finding.Outcome == finding.Passed }

// Judge judges the signatures. An error is a failure to read a file.
func Judge(ctx context.Context, r Request) (*Forecast, error) {
	f := new(Forecast)
	trust := signature.NewTrust(f.anchors(r))
	if err := trust.Unreadable(); err != nil {
		f.note("trust anchors that this program cannot read, and leaves out: %v", err)
	}
	files := r.files()
	git, err := f.git(ctx, r.Deposit, files)
	if err != nil {
		return nil, err
	}
	d := r.Deposit
	release := signature.Release{Name: d.Release, Manifest: d.Bytes, Files: files, Git: git, Deposited: r.Now}
	for _, s := range r.Signatures {
		release.Signatures = append(release.Signatures, s.Signature)
	}
	f.Finding, err = trust.Check(ctx, release)
	return f, err
}

func (f *Forecast) note(format string, args ...any) {
	f.Notes = append(f.Notes, fmt.Sprintf(format, args...))
}

// anchors are those whose signatures over releases of the product count.
func (f *Forecast) anchors(r Request) []anchor.Anchor {
	var list []anchor.Anchor
	product := r.Deposit.Release.Product.String()
	for _, m := range r.Anchors {
		if m.GetPurpose() == pb.TrustAnchorPurpose_TRUST_ANCHOR_PURPOSE_REBUILD || m.GetProduct() != "" && m.GetProduct() != product {
			continue
		}
		a, err := anchormsg.FromMessage(m)
		if err != nil {
			f.note("the trust anchor %s is of a kind that this program does not know", m.GetName())
			continue
		}
		list = append(list, a)
	}
	return list
}

// files are sources, then artifacts, as they are here.
func (r Request) files() []proof.File {
	m := r.Deposit.Manifest
	held := localFiles(r.Deposit.Files)
	var files []proof.File
	add := func(role proof.Role, name string, d digest.Digest, size int64) {
		files = append(files, proof.File{Role: role, Name: name, Digest: d, Size: size, Open: func(ctx context.Context) (proof.Content, error) {
			return held.OpenFile(ctx, manifest.File{Digest: d, Size: size})
		}})
	}
	for _, s := range m.Sources {
		add(proof.Source, s.Name, s.Digest, s.Size)
	}
	for _, a := range m.Artifacts {
		add(proof.Artifact, a.Path, a.Digest, a.Size)
	}
	return files
}

// git opens the git sources for the objects that lead from their tags to their trees. What is wrong with a source is for the service to say.
func (f *Forecast) git(ctx context.Context, d *releasefile.Deposit, files []proof.File) ([]gitobject.Source, error) {
	scratch, err := os.MkdirTemp("", "escrowctl-source-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(scratch)
	release := &intake.Release{Sources: d.Manifest.Sources, Files: localFiles(d.Files), Scratch: scratch, Limits: intake.DefaultLimits()}
	var list []gitobject.Source
	for i, s := range d.Manifest.Sources {
		if s.Kind != manifest.GitBundle {
			continue
		}
		says, err := provenance(ctx, release, s)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case fault.Is(err, fault.NotFound):
			f.note("the signatures in %s are not looked at here: it builds on bundles that are held by the service alone", s.Name)
		case err != nil:
			f.note("the signatures in %s are not looked at here: %v", s.Name, err)
		default:
			list = append(list, gitobject.Source{File: files[i], Ref: s.Tag, TagID: says.TagObject, Tag: says.TagContent,
				CommitID: says.Commit, Commit: says.CommitContent, TreeID: says.CommitsTo})
		}
	}
	return list, nil
}

func provenance(ctx context.Context, r *intake.Release, s manifest.Source) (intake.Provenance, error) {
	tree, err := r.Open(ctx, s)
	if err != nil {
		return intake.Provenance{}, err
	}
	return tree.Provenance(), tree.Close()
}

// localFiles gives files here by their digests.
type localFiles []releasefile.LocalFile

// OpenFile opens the file with that digest.
func (l localFiles) OpenFile(_ context.Context, f manifest.File) (intake.File, error) {
	for _, local := range l {
		if local.Digest == f.Digest {
			return openSame(local)
		}
	}
	return nil, fault.NoSuch(f.Digest.String())
}

// openSame opens a file that has the size that it had when it was hashed.
func openSame(local releasefile.LocalFile) (intake.File, error) {
	file, err := os.Open(local.Path)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && info.Size() != local.Size {
		err = fmt.Errorf("%s: has changed since it was read", local.Path)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}
