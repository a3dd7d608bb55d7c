package pipeline

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/resource"
	"github.com/countersign-escrow/countersign/services/internal/jobs"
	"github.com/countersign-escrow/countersign/verifier/attest"
)

// Attestor makes attestations that wait for the log.
type Attestor struct {
	signer    *attest.Signer
	publisher *attest.Publisher
	self      resource.Organization
	jobs      *jobs.Queue
	now       func() time.Time
}

// About says what an attestation is about and who may see it.
type About struct {
	Release  resource.Release
	Audience *resource.Organization // nil: whoever may see the release
}

// Sign attests a statement with the service's own key. Nothing is recorded yet.
func (a *Attestor) Sign(ctx context.Context, about About, s attest.Statement) (*catalog.Attestation, error) {
	env, err := a.signer.Sign(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("attestation: %w", err)
	}
	return a.Take(ctx, about, env, a.self, a.signer.PublicKeyPEM())
}

// Take stamps an envelope that signer signed with the key in keyPEM. Whether that key counts is for the caller to know.
// Nothing is recorded yet.
func (a *Attestor) Take(ctx context.Context, about About, env *attest.Envelope, signer resource.Organization, keyPEM string) (*catalog.Attestation, error) {
	stamp, err := a.publisher.Stamp(ctx, env)
	if err != nil {
		return nil, fmt.Errorf("attestation: %w", err)
	}
	_, leaf, err := a.publisher.Entry(env, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("attestation: %w", err)
	}
	statement, err := env.Statement()
	if err != nil {
		return nil, fmt.Errorf("attestation: %w", err)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, fmt.Errorf("attestation: %w", err)
	}
	return &catalog.Attestation{
		ID: id.String(), Release: about.Release, Owner: about.Release.Product.Vendor, Audience: about.Audience,
		Signer: signer, PublicKeyPEM: keyPEM, PredicateType: statement.PredicateType, Subjects: subjectDigests(statement.Subjects),
		Envelope: env.JSON(), Stamp: stamp, State: catalog.AttestationPending, LeafHash: leaf, Created: a.now().UTC(),
	}, nil
}

// Record records an attestation and makes its publication due.
func (a *Attestor) Record(ctx context.Context, tx *catalog.Tx, att *catalog.Attestation) error {
	if err := tx.InsertAttestation(*att); err != nil {
		return err
	}
	return a.jobs.InsertTx(ctx, tx.SQL(), jobs.Publish{Attestation: att.ID})
}

func subjectDigests(subjects []attest.Subject) []digest.Digest {
	seen := make(map[digest.Digest]bool, len(subjects))
	var list []digest.Digest
	for _, s := range subjects {
		if !seen[s.Digest] {
			seen[s.Digest] = true
			list = append(list, s.Digest)
		}
	}
	return list
}
