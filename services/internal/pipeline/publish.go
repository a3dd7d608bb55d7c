package pipeline

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/retention"
	"github.com/countersign-escrow/countersign/services/internal/jobs"
	"github.com/countersign-escrow/countersign/verifier/attest"
)

// begun remembers what this process has begun to append: when that ended badly, the entry may be in the log all the same.
// What an earlier writer of the log had begun, RecoverLog has settled.
type begun struct {
	mu  sync.Mutex
	ids map[string]bool // whether it is under way
}

// enter begins to append an attestation, and says whether that was begun before. It is refused while it is under way: a
// process that was taken for dead is given its own jobs a second time.
func (b *begun) enter(id string) (before, free bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	underWay, before := b.ids[id]
	if underWay {
		return before, false
	}
	if b.ids == nil {
		b.ids = map[string]bool{}
	}
	b.ids[id] = true
	return before, true
}

// leave ends what enter began.
func (b *begun) leave(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, open := b.ids[id]; open {
		b.ids[id] = false
	}
}

// settled forgets an attestation that is recorded to be in the log.
func (b *begun) settled(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.ids, id)
}

// publish puts one attestation into the log, once. It runs only in the process that writes the log.
func (p *Pipeline) publish(ctx context.Context, job jobs.Publish) error {
	before, free := p.begun.enter(job.Attestation)
	if !free {
		return jobs.Later(time.Second)
	}
	defer p.begun.leave(job.Attestation)
	att, err := p.attestation(ctx, job.Attestation)
	if err != nil {
		return err
	}
	if att.State == catalog.AttestationPublished {
		p.begun.settled(att.ID)
		return nil
	}
	env, err := attest.ParseEnvelope(att.Envelope)
	if err != nil {
		return fmt.Errorf("attestation %s: %w", att.ID, err)
	}
	if before {
		found, err := p.settle(ctx, att, env)
		if err != nil || found {
			return err
		}
	}
	pub, err := p.Publisher.Publish(ctx, env, att.PublicKeyPEM, att.Stamp)
	if err != nil {
		return fmt.Errorf("attestation %s: %w", att.ID, err)
	}
	return p.published(ctx, att, pub)
}

// settle marks an attestation as published if its entry is in the log already.
func (p *Pipeline) settle(ctx context.Context, att *catalog.Attestation, env *attest.Envelope) (bool, error) {
	from, err := p.firstUnrecorded(ctx)
	if err != nil {
		return false, err
	}
	index, found, err := p.Log.Find(ctx, att.LeafHash, from)
	if err != nil || !found {
		return false, err
	}
	pub, err := p.Publisher.Assemble(ctx, env, att.PublicKeyPEM, att.Stamp, int64(index))
	if err != nil {
		return false, fmt.Errorf("attestation %s at index %d: %w", att.ID, index, err)
	}
	return true, p.published(ctx, att, pub)
}

// firstUnrecorded returns the lowest index in the log that no attestation is recorded to have. An entry that is in the
// log and not recorded lies there or behind.
func (p *Pipeline) firstUnrecorded(ctx context.Context) (first uint64, err error) {
	err = p.Catalog.View(ctx, func(tx *catalog.Tx) error {
		n, err := tx.FirstFreeLogIndex()
		first = uint64(n)
		return err
	})
	return first, err
}

// published records that an attestation is in the log, with everything that follows from it.
func (p *Pipeline) published(ctx context.Context, att *catalog.Attestation, pub attest.Published) error {
	var report *catalog.Report
	err := p.Catalog.Update(ctx, func(tx *catalog.Tx) error {
		report = nil
		now, err := tx.Attestation(att.ID)
		if err != nil || now.State == catalog.AttestationPublished {
			return err
		}
		if err := tx.MarkPublished(att.ID, pub.LogIndex, pub.Bundle); err != nil {
			return err
		}
		if att.Audience != nil {
			if report, err = tx.MarkReportVisible(att.ID); err != nil {
				return err
			}
			if err := p.NoteEvent(ctx, tx, att.Release, retention.Reported); err != nil {
				return err
			}
		}
		if err := p.Settle(tx, att.Release); err != nil {
			return err
		}
		return p.reportsAfter(ctx, tx, att)
	})
	if err != nil {
		return fmt.Errorf("attestation %s: %w", att.ID, err)
	}
	p.begun.settled(att.ID)
	p.Hub.Notify(TopicAttestation(att.ID))
	p.Hub.Notify(TopicRelease(att.Release))
	if report != nil {
		p.Hub.Notify(TopicReports(report.Evaluator))
	}
	return nil
}

func (p *Pipeline) attestation(ctx context.Context, id string) (att *catalog.Attestation, err error) {
	err = p.Catalog.View(ctx, func(tx *catalog.Tx) error {
		att, err = tx.Attestation(id)
		return err
	})
	return att, err
}

// reportsAfter makes due the reports that may change now that an attestation is in the log. An evaluator's own report
// held back whatever became known while it was on its way.
func (p *Pipeline) reportsAfter(ctx context.Context, tx *catalog.Tx, att *catalog.Attestation) error {
	switch att.PredicateType {
	case attest.TypeReceipt:
		return nil
	case attest.TypeSummary:
		return p.Jobs.InsertTx(ctx, tx.SQL(), jobs.Evaluate{Release: att.Release.String(), Evaluator: att.Audience.String()})
	default:
		return p.reportsDue(ctx, tx, att.Release)
	}
}
