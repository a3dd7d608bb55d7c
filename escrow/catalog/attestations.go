package catalog

import (
	"fmt"
	"time"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
)

// AttestationState says whether an attestation is in the log.
type AttestationState string

// The states of an attestation.
const (
	AttestationPending   AttestationState = "PENDING"
	AttestationPublished AttestationState = "PUBLISHED"
)

// Attestation is a signed statement, on its way into the log or there.
type Attestation struct {
	ID            string
	Release       resource.Release
	Owner         resource.Organization  // the vendor
	Audience      *resource.Organization // nil: all with a grant; else only that evaluator and auditors with a grant
	Signer        resource.Organization
	PublicKeyPEM  string
	PredicateType string
	Subjects      []digest.Digest
	Envelope      []byte // DSSE, JSON; in lists left out, as Stamp and Bundle
	Stamp         []byte // RFC 3161
	Bundle        []byte // Sigstore bundle, JSON; once published
	State         AttestationState
	LogIndex      int64         // once published
	LeafHash      digest.Digest // of the log entry
	Created       time.Time
}

// Name returns the resource name.
func (a Attestation) Name() string { return attestationName(a.ID) }

const (
	attestationHeadColumns = `a.id, a.release, a.owner, a.audience, a.signer, a.public_key_pem, a.predicate_type, a.subjects, a.state, a.log_index, a.leaf_hash, a.created`
	attestationColumns     = attestationHeadColumns + `, a.envelope, a.stamp, a.bundle`
)

func (a *Attestation) headDest() []any {
	return []any{&a.ID, releaseInto(&a.Release), organizationInto(&a.Owner), pointerInto(&a.Audience, resource.ParseOrganization),
		organizationInto(&a.Signer), &a.PublicKeyPEM, &a.PredicateType, jsonInto(&a.Subjects), &a.State,
		numberInto(&a.LogIndex), digestInto(&a.LeafHash), timeInto(&a.Created)}
}

func scanAttestationHead(r row) (*Attestation, error) {
	var a Attestation
	return &a, r.Scan(a.headDest()...)
}

func scanAttestation(r row) (*Attestation, error) {
	var a Attestation
	return &a, r.Scan(append(a.headDest(), &a.Envelope, &a.Stamp, &a.Bundle)...)
}

func attestationName(id string) string { return resource.Attestation{ID: id}.String() }

// InsertAttestation records a signed statement that is yet to be published.
func (t *Tx) InsertAttestation(a Attestation) error {
	subjects, err := jsonText(a.Subjects)
	if err != nil {
		return fmt.Errorf("catalog: %s: %w", a.Name(), err)
	}
	_, err = t.exec(a.Name(), `
		INSERT INTO attestations (id, release, owner, audience, signer, public_key_pem, predicate_type, subjects, envelope, stamp, state, leaf_hash, created)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
		a.ID, a.Release.String(), a.Owner.String(), optional(a.Audience), a.Signer.String(), a.PublicKeyPEM, a.PredicateType,
		subjects, a.Envelope, a.Stamp, string(AttestationPending), text(a.LeafHash), stamp(a.Created))
	if err != nil {
		return err
	}
	return t.insertSubjects(a)
}

func (t *Tx) insertSubjects(a Attestation) error {
	for _, s := range a.Subjects {
		_, err := t.exec(a.Name(), `
			INSERT INTO attestation_subjects (digest, attestation_id) VALUES ($1, $2) ON CONFLICT (digest, attestation_id) DO NOTHING`,
			s.String(), a.ID)
		if err != nil {
			return err
		}
	}
	return nil
}

// Attestation returns one attestation whole, whoever asks.
func (t *Tx) Attestation(id string) (*Attestation, error) {
	return queryOne(t, attestationName(id), scanAttestation, `SELECT `+attestationColumns+` FROM attestations a WHERE a.id = $1`, id)
}

// MarkPublished records that an attestation is in the log. Doing so again with the same index is harmless.
func (t *Tx) MarkPublished(id string, logIndex int64, bundle []byte) error {
	n, err := t.exec(attestationName(id), `
		UPDATE attestations SET state = 'PUBLISHED', log_index = $1, bundle = $2
		WHERE id = $3 AND (state = 'PENDING' OR log_index = $1)`, logIndex, bundle, id)
	if err != nil || n > 0 {
		return err
	}
	if _, err := t.Attestation(id); err != nil {
		return err
	}
	return fault.Preconditionf("ALREADY_PUBLISHED", attestationName(id), "%s is in the log at another index", attestationName(id))
}

// PendingAttestations returns all attestations that are not yet published, whole, oldest first.
func (t *Tx) PendingAttestations() ([]Attestation, error) {
	return queryAll(t, "attestations", scanAttestation,
		`SELECT `+attestationColumns+` FROM attestations a WHERE a.state = 'PENDING' ORDER BY a.id`)
}

// UnpublishedAttestations counts the attestations about a release, for everybody with a grant, that are not in the log
// yet.
func (t *Tx) UnpublishedAttestations(release resource.Release) (int64, error) {
	n, err := queryOne(t, release.String(), scanNumber,
		`SELECT COUNT(*) FROM attestations WHERE release = $1 AND state = 'PENDING' AND audience IS NULL`, release.String())
	if err != nil {
		return 0, err
	}
	return *n, nil
}

// MaxLogIndex returns the highest index in the log that is recorded here; false if there is none.
func (t *Tx) MaxLogIndex() (int64, bool, error) {
	n, err := queryOne(t, "log index", scanNumber, `SELECT COALESCE(MAX(log_index), -1) FROM attestations`)
	if err != nil {
		return 0, false, err
	}
	return *n, *n >= 0, nil
}

// AttestationFilter says which attestations are looked for. Zero fields filter nothing, except Viewer.
type AttestationFilter struct {
	Viewer        resource.Organization // only what this organization may see
	Now           time.Time             // the time at which its grants must live
	Release       resource.Release
	Subject       digest.Digest
	PredicateType string
	After         string // only ids after this one
	Limit         int
}

// AttestationsPage lists published attestations that the viewer may see by id, which is their order in time, without
// envelope, stamp and bundle.
func (t *Tx) AttestationsPage(f AttestationFilter) ([]Attestation, error) {
	args := arguments{f.After}
	query := `SELECT ` + attestationHeadColumns + ` FROM attestations a WHERE a.id > $1 AND ` + visibleTo(&args, f.Viewer, f.Now)
	if f.Release != (resource.Release{}) {
		query += ` AND a.release = ` + args.add(f.Release.String())
	}
	if !f.Subject.IsZero() {
		query += ` AND EXISTS (SELECT 1 FROM attestation_subjects s WHERE s.attestation_id = a.id AND s.digest = ` + args.add(f.Subject.String()) + `)`
	}
	if f.PredicateType != "" {
		query += ` AND a.predicate_type = ` + args.add(f.PredicateType)
	}
	query += ` ORDER BY a.id LIMIT ` + args.add(bound(f.Limit))
	return queryAll(t, "attestations", scanAttestationHead, query, args...)
}

// AttestationFor returns one published attestation whole, if the viewer may see it at the time now; else it is
// fault.NotFound, as if it were not there.
func (t *Tx) AttestationFor(id string, viewer resource.Organization, now time.Time) (*Attestation, error) {
	args := arguments{id}
	return queryOne(t, attestationName(id), scanAttestation,
		`SELECT `+attestationColumns+` FROM attestations a WHERE a.id = $1 AND `+visibleTo(&args, viewer, now), args...)
}

// visibleTo is the condition that an attestation a is published and may be seen: by its owner, unless it is for one
// evaluator alone; and by whom has a live grant on the release's product, if the attestation is for everybody with a
// grant, for the viewer, or the viewer audits.
func visibleTo(args *arguments, viewer resource.Organization, now time.Time) string {
	me := args.add(viewer.String())
	return `a.state = 'PUBLISHED' AND ((a.owner = ` + me + ` AND a.audience IS NULL) OR (
		(a.audience IS NULL OR a.audience = ` + me + ` OR EXISTS (SELECT 1 FROM organizations o WHERE o.name = ` + me + ` AND o.kind = 'AUDITOR'))
		AND EXISTS (SELECT 1 FROM releases r WHERE r.name = a.release AND EXISTS (` + liveGrant(args, "r.product", viewer, now) + `))))`
}
