// Package signature says who signed a release, and what of it: one small package per kind of signature behind one interface, and the
// rules by which a signature counts in one place. It knows nothing of where signatures and trust anchors are kept.
package signature

import (
	"context"
	"time"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/resource"
	"github.com/countersign-escrow/countersign/verifier/signature/gitobject"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

// Caps on what a release's signatures are.
const (
	MaxSignatures     = 64
	MaxSignatureBytes = 256 << 10 // of one signature file
	MaxListBytes      = 1 << 20   // of one list of checksums
	MaxTotalBytes     = 3 << 20   // of all signatures and lists of a release
)

// Kind judges signature files of one form by the anchors that it was made with. An implementation works offline, keeps nothing, may be
// called concurrently, and gives one proof at least: hostile content is answered with a proof that has a Problem. An error is a failure to
// read the file, as it came, or that of the context.
type Kind interface {
	Prove(ctx context.Context, content []byte, of proof.File) ([]proof.Proof, error)
}

// Signature is a signature file that came with a release.
type Signature struct {
	Name      string // of the file, for people; may be empty
	MediaType string
	Content   []byte
	Subject   digest.Digest // the file of the release that it is over; zero for the manifest, or where the content carries what it is over
	List      []byte        // the list of checksums that it is over; nil if none
	ListName  string
}

// Release is a release whose signatures are judged.
type Release struct {
	Name       resource.Release
	Manifest   []byte
	Files      []proof.File // sources and artifacts
	Git        []gitobject.Source
	Signatures []Signature
	Deposited  time.Time // when it was sealed: by then every signature was there
}
