package deposit

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/countersign-escrow/countersign/escrow/blob"
	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/manifest"
	"github.com/countersign-escrow/countersign/escrow/resource"
	"github.com/countersign-escrow/countersign/escrow/retention"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/pipeline"
	"github.com/countersign-escrow/countersign/services/internal/releasepb"
	"github.com/countersign-escrow/countersign/verifier/attest"
)

// How long a seal waits for the log, and for another one of the same manifest.
const (
	receiptWait  = 60 * time.Second
	receiptPoll  = 250 * time.Millisecond
	manifestWait = 10 * time.Second
	manifestPoll = 20 * time.Millisecond
)

// sealing is a seal whose request is well-formed.
type sealing struct {
	name       resource.Release
	raw        []byte // the manifest, as signed
	manifest   *manifest.Manifest
	signatures []catalog.Signature
	requestID  string
}

// SealRelease closes a release for ever and answers with the receipt, once that is in the log.
func (s *Server) SealRelease(ctx context.Context, r *pb.SealReleaseRequest) (*pb.SealReleaseResponse, error) {
	name, err := ownRelease(ctx, "name", r.GetName())
	if err != nil {
		return nil, err
	}
	in, err := readSealing(name, r)
	if err != nil {
		return nil, err
	}
	sealed, err := s.sealedBefore(ctx, in)
	if err == nil && !sealed {
		err = s.seal(ctx, in)
		if fault.Is(err, fault.Precondition) { // another call may have sealed it meanwhile, perhaps this very one repeated
			if again, otherwise := s.sealedBefore(ctx, in); again || otherwise != nil {
				err = otherwise
			}
		}
	}
	if err != nil {
		return nil, err
	}
	return s.receipt(ctx, name)
}

func readSealing(name resource.Release, r *pb.SealReleaseRequest) (*sealing, error) {
	in := &sealing{name: name, raw: r.GetManifest(), requestID: r.GetRequestId()}
	if in.requestID != "" && uuid.Validate(in.requestID) != nil {
		return nil, fault.Invalidf("request_id", "must be a UUID")
	}
	var err error
	if in.manifest, err = manifest.Parse(in.raw); err != nil {
		return nil, err
	}
	if speaks, err := in.manifest.Release(); err != nil || speaks != name {
		return nil, fault.Invalidf("manifest", "speaks of %s, not of %s", speaks, name)
	}
	in.signatures, err = readSignatures(in.manifest, r.GetSignatures())
	return in, err
}

// sealedBefore says whether the release is sealed, by this very call made before. If another call sealed it, that is a
// fault.
func (s *Server) sealedBefore(ctx context.Context, in *sealing) (bool, error) {
	r, err := s.head(ctx, in.name)
	if err != nil || r.State == catalog.ReleaseOpen {
		return false, err
	}
	if in.requestID != "" && r.RequestID == in.requestID && r.ManifestDigest == digest.Of(in.raw) {
		return true, nil
	}
	return true, fault.Preconditionf("RELEASE_SEALED", in.name.String(), "%s is sealed already", in.name).
		WithAdvice("a sealed release never changes: deposit another version")
}

// seal closes an open release. Everything that the receipt speaks of is durable before the transaction that makes it.
func (s *Server) seal(ctx context.Context, in *sealing) error {
	vendor := in.name.Product.Vendor
	env, err := s.readEnvironment(ctx, vendor, in.manifest.Environment.Image, "environment.image")
	if err != nil {
		return err
	}
	if err := s.requireFiles(ctx, in); err != nil {
		return err
	}
	ref := blob.Ref{Holder: vendor, Digest: digest.Of(in.raw)}
	if err := s.putManifest(ctx, ref, in.raw); err != nil {
		return err
	}
	release := in.release(env, s.now())
	receipt, err := s.Pipeline.Attestor().Sign(ctx, pipeline.About{Release: in.name}, attest.NewReceipt(attest.Receipt{
		Release: in.name, Manifest: release.ManifestDigest, Files: in.artifacts(), Sealed: release.Sealed,
	}))
	if err != nil {
		return err
	}
	release.ReceiptID = receipt.ID
	err = s.Catalog.Update(ctx, func(tx *catalog.Tx) error {
		if err := tx.InsertBlob(vendor, catalog.BlobRef{Digest: ref.Digest, Size: int64(len(in.raw))}, s.now()); err != nil {
			return err
		}
		if _, err := register(tx, env); err != nil {
			return err
		}
		if err := s.Pipeline.Sealed(ctx, tx, in.name, receipt); err != nil {
			return err
		}
		if err := tx.SealRelease(release); err != nil {
			return err
		}
		return s.Pipeline.NoteEvent(ctx, tx, in.name, retention.Sealed)
	})
	if err == nil {
		s.Hub.Notify(pipeline.TopicRelease(in.name))
	}
	return err
}

// putManifest stores the manifest as a blob. Where the same seal is under way twice, as after a client's retry, the
// second waits for the first.
func (s *Server) putManifest(ctx context.Context, ref blob.Ref, raw []byte) error {
	for end := time.Now().Add(manifestWait); ; {
		err := blob.Put(ctx, s.Blobs, ref, int64(len(raw)), bytes.NewReader(raw))
		if !fault.Is(err, fault.Aborted) || time.Now().After(end) {
			return err
		}
		select {
		case <-time.After(manifestPoll):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// release is what is recorded of the release.
func (in *sealing) release(env *catalog.Environment, now time.Time) catalog.Release {
	r := catalog.Release{
		Name: in.name, State: catalog.ReleaseSealed, ManifestDigest: digest.Of(in.raw), Manifest: in.raw,
		Signatures: in.signatures, RequestID: in.requestID, Sealed: now,
	}
	seen := map[catalog.ReleaseFile]bool{}
	add := func(role catalog.Role, path string, d digest.Digest, size int64) {
		f := catalog.ReleaseFile{BlobRef: catalog.BlobRef{Digest: d, Size: size}, Role: role, Path: path}
		if !seen[f] {
			seen[f] = true
			r.Files = append(r.Files, f)
		}
	}
	add(catalog.RoleManifest, "", r.ManifestDigest, int64(len(in.raw)))
	for _, src := range in.manifest.Sources {
		for _, f := range src.Files("") {
			add(catalog.RoleSource, f.Name, f.Digest, f.Size)
		}
	}
	for _, a := range in.manifest.Artifacts {
		add(catalog.RoleArtifact, a.Path, a.Digest, a.Size)
	}
	for _, b := range env.Blobs {
		add(catalog.RoleEnvironment, "", b.Digest, b.Size)
	}
	return r
}

func (in *sealing) artifacts() []attest.Subject {
	list := make([]attest.Subject, len(in.manifest.Artifacts))
	for i, a := range in.manifest.Artifacts {
		list[i] = attest.Subject{Name: a.Path, Digest: a.Digest}
	}
	return list
}

// requireFiles makes sure that every file of the manifest is held, in the store and not only by the catalog's word.
func (s *Server) requireFiles(ctx context.Context, in *sealing) error {
	for i, src := range in.manifest.Sources {
		for _, f := range src.Files(fmt.Sprintf("sources[%d]", i)) {
			if err := s.requireFile(ctx, in, f.Field, catalog.BlobRef{Digest: f.Digest, Size: f.Size}); err != nil {
				return err
			}
		}
	}
	for i, a := range in.manifest.Artifacts {
		if err := s.requireFile(ctx, in, fmt.Sprintf("artifacts[%d]", i), catalog.BlobRef{Digest: a.Digest, Size: a.Size}); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) requireFile(ctx context.Context, in *sealing, field string, want catalog.BlobRef) error {
	size, err := s.Blobs.Stat(ctx, blob.Ref{Holder: in.name.Product.Vendor, Digest: want.Digest})
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Corrupt) {
		if err := s.lost(ctx, catalog.Place{Holder: in.name.Product.Vendor, Digest: want.Digest}); err != nil {
			return err
		}
		return missingBlobs(field+".digest", fmt.Sprintf("%s is not held", want.Digest))
	}
	if err == nil && size != want.Size {
		return fault.Invalidf(field+".size", "is %d, but %s has %d bytes", want.Size, want.Digest, size)
	}
	return err
}

// lost notes that a blob is not as it was deposited, if it was, so that it may be sent again.
func (s *Server) lost(ctx context.Context, p catalog.Place) error {
	now := s.now()
	return s.Catalog.Update(ctx, func(tx *catalog.Tx) error { return tx.SetMarks([]catalog.Mark{{Place: p, Is: now}}, now) })
}

// receipt answers with a release's receipt as soon as the log has it.
func (s *Server) receipt(ctx context.Context, name resource.Release) (*pb.SealReleaseResponse, error) {
	release, err := s.head(ctx, name)
	if err != nil {
		return nil, err
	}
	deadline := time.NewTimer(receiptWait)
	defer deadline.Stop()
	for {
		changed := s.Hub.Wait(pipeline.TopicAttestation(release.ReceiptID))
		att, err := s.attestation(ctx, release.ReceiptID)
		if err != nil {
			return nil, err
		}
		if att.State == catalog.AttestationPublished {
			return &pb.SealReleaseResponse{Release: releasepb.Message(release), ReceiptBundle: att.Bundle}, nil
		}
		select {
		case <-changed:
		case <-time.After(receiptPoll):
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-deadline.C:
			late := &fault.Error{Kind: fault.Unavailable, Reason: "RECEIPT_PENDING", Resource: name.String(),
				Message: name.String() + " is sealed; its receipt is not in the log yet"}
			return nil, late.WithAdvice("call again with the same request_id")
		}
	}
}

func (s *Server) attestation(ctx context.Context, id string) (att *catalog.Attestation, err error) {
	err = s.Catalog.View(ctx, func(tx *catalog.Tx) error {
		att, err = tx.Attestation(id)
		return err
	})
	return att, err
}
