package catalog

import (
	"fmt"
	"time"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
)

// ReleaseState says whether a release can still change.
type ReleaseState string

// The states of a release.
const (
	ReleaseOpen   ReleaseState = "OPEN"
	ReleaseSealed ReleaseState = "SEALED"
)

// Signature is a signature file of a release, as the vendor sent it.
type Signature struct {
	MediaType string        `json:"mediaType"`
	Content   []byte        `json:"content"`
	Name      string        `json:"name,omitempty"`   // of the signature file
	Subject   digest.Digest `json:"subject,omitzero"` // the file of the release that it is over; zero for the manifest
	List      []byte        `json:"list,omitempty"`   // the list of checksums that it is over, nil for none
	ListName  string        `json:"listName,omitempty"`
}

// Release is one immutable version of a product.
type Release struct {
	Name           resource.Release
	State          ReleaseState
	ManifestDigest digest.Digest // from here to Files: set by SealRelease
	Manifest       []byte        // byte for byte as signed
	Signatures     []Signature
	ReceiptID      string // the receipt's attestation
	RequestID      string // of the call that sealed it
	Files          []ReleaseFile
	Created        time.Time
	Sealed         time.Time
	ChecksComplete bool
}

const (
	releaseHeadColumns = `name, state, manifest_digest, receipt_id, request_id, created, sealed, checks_complete`
	releaseColumns     = releaseHeadColumns + `, manifest, signatures`
)

func (r *Release) headDest() []any {
	return []any{releaseInto(&r.Name), &r.State, digestInto(&r.ManifestDigest), textInto(&r.ReceiptID), textInto(&r.RequestID),
		timeInto(&r.Created), timeInto(&r.Sealed), &r.ChecksComplete}
}

func scanReleaseHead(w row) (*Release, error) {
	var r Release
	return &r, w.Scan(r.headDest()...)
}

func scanRelease(w row) (*Release, error) {
	var r Release
	return &r, w.Scan(append(r.headDest(), &r.Manifest, jsonInto(&r.Signatures))...)
}

// InsertRelease opens a release: name and time of creation count, the rest comes with SealRelease.
func (t *Tx) InsertRelease(r Release) error {
	_, err := t.exec(r.Name.String(), `
		INSERT INTO releases (name, product, version, state, created, checks_complete) VALUES ($1, $2, $3, $4, $5, 0)`,
		r.Name.String(), r.Name.Product.String(), r.Name.Version, string(ReleaseOpen), stamp(r.Created))
	return err
}

// Release returns one release whole, with manifest, signatures and files.
func (t *Tx) Release(name resource.Release) (*Release, error) {
	r, err := queryOne(t, name.String(), scanRelease, `SELECT `+releaseColumns+` FROM releases WHERE name = $1`, name.String())
	if err != nil {
		return nil, err
	}
	r.Files, err = t.ReleaseFiles(name)
	return r, err
}

// ReleaseHead returns one release without manifest, signatures and files.
func (t *Tx) ReleaseHead(name resource.Release) (*Release, error) {
	return queryOne(t, name.String(), scanReleaseHead, `SELECT `+releaseHeadColumns+` FROM releases WHERE name = $1`, name.String())
}

// Releases lists a product's releases by version, those after the version `after`, each as ReleaseHead has it.
func (t *Tx) Releases(p resource.Product, after string, limit int) ([]Release, error) {
	return queryAll(t, "releases", scanReleaseHead,
		`SELECT `+releaseHeadColumns+` FROM releases WHERE product = $1 AND version > $2 ORDER BY version LIMIT $3`,
		p.String(), after, bound(limit))
}

// SealRelease closes an OPEN release for ever, with what r says of manifest, signatures, receipt, request, files and
// time, and records the event. A release that is SEALED already is fault.Precondition RELEASE_SEALED; one that names
// files which its vendor has not deposited is fault.Precondition BLOBS_MISSING.
func (t *Tx) SealRelease(r Release) error {
	if err := t.requireHeld(r); err != nil {
		return err
	}
	signatures, err := jsonText(r.Signatures)
	if err != nil {
		return fmt.Errorf("catalog: %s: %w", r.Name, err)
	}
	n, err := t.exec(r.Name.String(), `
		UPDATE releases SET state = $1, manifest_digest = $2, manifest = $3, signatures = $4, receipt_id = $5, request_id = $6, sealed = $7
		WHERE name = $8 AND state = $9`,
		string(ReleaseSealed), text(r.ManifestDigest), r.Manifest, signatures, maybe(r.ReceiptID), maybe(r.RequestID), stamp(r.Sealed),
		r.Name.String(), string(ReleaseOpen))
	if err != nil {
		return err
	}
	if n == 0 {
		return t.whyNotSealed(r.Name)
	}
	for _, f := range r.Files {
		if err := t.insertReleaseFile(r.Name, f); err != nil {
			return err
		}
	}
	return t.InsertReleaseEvent(ReleaseEvent{Release: r.Name, Created: r.Sealed})
}

// requireHeld refuses files that are not in custody. The manifest is kept with the release itself.
func (t *Tx) requireHeld(r Release) error {
	var wanted []BlobRef
	for _, f := range r.Files {
		if f.Role != RoleManifest {
			wanted = append(wanted, f.BlobRef)
		}
	}
	missing, err := t.MissingBlobs(r.Name.Product.Vendor, wanted)
	if err != nil || len(missing) == 0 {
		return err
	}
	return fault.Preconditionf("BLOBS_MISSING", r.Name.String(), "%d files of the release are not held, among them %s of %d bytes",
		len(missing), missing[0].Digest, missing[0].Size).WithAdvice("upload them, then seal again")
}

func (t *Tx) whyNotSealed(name resource.Release) error {
	if _, err := t.ReleaseHead(name); err != nil {
		return err
	}
	return fault.Preconditionf("RELEASE_SEALED", name.String(), "%s is sealed already", name).
		WithAdvice("a sealed release never changes: deposit another version")
}

// SetChecksComplete records that every check and rebuild that was asked for has ended, or that more was asked for.
// It records an event if that is new.
func (t *Tx) SetChecksComplete(name resource.Release, complete bool, now time.Time) error {
	n, err := t.exec(name.String(), `UPDATE releases SET checks_complete = $1 WHERE name = $2 AND checks_complete <> $1`,
		bit(complete), name.String())
	if err != nil || n == 0 {
		return err
	}
	return t.InsertReleaseEvent(ReleaseEvent{Release: name, Created: now})
}
