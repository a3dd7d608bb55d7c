package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/resource"
	"github.com/countersign-escrow/countersign/services/internal/jobs"
	"github.com/countersign-escrow/countersign/verifier/attest"
	"github.com/countersign-escrow/countersign/verifier/policy"
)

// Rule is what one rule of a policy said, as reports keep it.
type Rule struct {
	Rule     string   `json:"rule"`
	Decision string   `json:"decision"`
	Reason   string   `json:"reason"`
	Evidence []string `json:"evidence,omitempty"` // attestations/{a}
}

// Rules returns a result's rules as reports keep them.
func Rules(r policy.Result) []Rule {
	list := make([]Rule, len(r.Rules))
	for i, rule := range r.Rules {
		list[i] = Rule{Rule: rule.Name, Decision: string(rule.Decision), Reason: rule.Reason}
		for _, id := range rule.Evidence {
			list[i].Evidence = append(list[i].Evidence, resource.Attestation{ID: id}.String())
		}
	}
	return list
}

// evaluate brings one evaluator's report on one release up to date.
func (p *Pipeline) evaluate(ctx context.Context, job jobs.Evaluate) error {
	release, err := resource.ParseRelease(job.Release)
	if err != nil {
		return err
	}
	evaluator, err := resource.ParseOrganization(job.Evaluator)
	if err != nil {
		return err
	}
	var e *evaluation
	err = p.Catalog.View(ctx, func(tx *catalog.Tx) error {
		e, err = p.readEvaluation(tx, release, evaluator)
		return err
	})
	if err != nil || e == nil {
		return err
	}
	draft, err := p.draft(ctx, e)
	if err != nil || draft == nil {
		return err
	}
	return p.recordReport(ctx, e, draft)
}

// evaluation is what a report is made of, read at one moment.
type evaluation struct {
	dossier   *dossier
	evaluator policy.Party
	policy    *catalog.Policy
	input     policy.Input
	newest    *catalog.Report // nil if there is none
	state     string          // differs when anything that the report is made of has changed
}

// readEvaluation reads what a report is made of; nil where none is due: the evaluator has no policy or may not see the
// release, or its last report is still on its way into the log. That one's publication makes this due again, so that an
// evaluator's reports on a release come in order and one at a time.
func (p *Pipeline) readEvaluation(tx *catalog.Tx, release resource.Release, evaluator resource.Organization) (*evaluation, error) {
	grants, err := tx.LiveGrants(evaluator, release.Product, p.Now())
	if err != nil || len(grants) == 0 {
		return nil, err
	}
	row, err := currentPolicy(tx, evaluator)
	if err != nil || row == nil {
		return nil, err
	}
	newest, err := tx.NewestReport(evaluator, release)
	if err != nil || (newest != nil && !newest.Visible) {
		return nil, err
	}
	e := &evaluation{policy: row, newest: newest}
	if e.dossier, err = readDossier(tx, release); err != nil {
		return nil, err
	}
	if e.input, err = p.readInput(tx, e.dossier, evaluator); err != nil {
		return nil, err
	}
	e.evaluator = e.input.Evaluator
	e.state = fmt.Sprint(row.Version, len(e.input.Findings), e.input.Rebuilds, e.input.Pending)
	return e, nil
}

// draft is a report that is not recorded yet.
type draft struct {
	report      catalog.Report
	attestation *catalog.Attestation
}

// draft evaluates and signs; nil where the report would say what the newest one says, or would rest on what is not in
// the log yet: the publication of that makes this due again.
func (p *Pipeline) draft(ctx context.Context, e *evaluation) (*draft, error) {
	compiled, err := p.policies.compile(e.policy)
	if err != nil {
		return nil, err
	}
	result, err := compiled.Evaluate(ctx, e.input)
	if err != nil {
		return nil, fmt.Errorf("policy of %s over %s: %w", e.evaluator.Organization, e.dossier.Name, err)
	}
	rules, err := json.Marshal(Rules(result))
	if err != nil {
		return nil, err
	}
	content := digest.Of(fmt.Appendf(nil, "%s\n%s\n%s", e.policy.Digest, result.Decision, rules))
	if e.newest != nil && e.newest.ContentDigest == content {
		return nil, nil
	}
	inputs, published, err := p.inputs(ctx, result)
	if err != nil || !published {
		return nil, err
	}
	now := p.Now().UTC()
	summary := e.summary(result, json.RawMessage(rules), inputs, now)
	att, err := p.attestor.Sign(ctx, About{Release: e.dossier.Name, Audience: &e.evaluator.Organization}, attest.NewSummary(summary))
	if err != nil {
		return nil, err
	}
	return &draft{attestation: att, report: catalog.Report{
		Evaluator: e.evaluator.Organization, Release: e.dossier.Name, PolicyVersion: e.policy.Version, PolicyDigest: e.policy.Digest,
		Decision: string(result.Decision), Rules: rules, ContentDigest: content, AttestationID: att.ID, Created: now,
	}}, nil
}

func (e *evaluation) summary(r policy.Result, rules json.RawMessage, inputs []attest.Subject, now time.Time) attest.Summary {
	return attest.Summary{
		Evaluator: e.evaluator.Organization, Country: e.evaluator.Country,
		Release: e.dossier.Name, Manifest: e.dossier.ManifestDigest, Artifacts: e.dossier.artifacts(),
		Policy:   attest.Subject{Name: PolicyName(e.policy), Digest: e.policy.Digest},
		Decision: string(r.Decision), Rules: rules, Inputs: inputs, Time: now,
	}
}

// inputs names the statements that a result rests on, and says whether all of them are in the log.
func (p *Pipeline) inputs(ctx context.Context, r policy.Result) (inputs []attest.Subject, published bool, err error) {
	seen := map[string]bool{}
	err = p.Catalog.View(ctx, func(tx *catalog.Tx) error {
		for _, rule := range r.Rules {
			for _, id := range rule.Evidence {
				if seen[id] {
					continue
				}
				seen[id] = true
				att, err := tx.Attestation(id)
				if err != nil {
					return err
				}
				if att.State != catalog.AttestationPublished {
					return nil
				}
				env, err := attest.ParseEnvelope(att.Envelope)
				if err != nil {
					return fmt.Errorf("attestation %s: %w", id, err)
				}
				inputs = append(inputs, attest.Subject{Name: att.Name(), Digest: env.PayloadDigest()})
			}
		}
		published = true
		return nil
	})
	return inputs, published, err
}

// recordReport records a report unless something has changed since it was made.
func (p *Pipeline) recordReport(ctx context.Context, e *evaluation, d *draft) error {
	changed := false
	err := p.Catalog.Update(ctx, func(tx *catalog.Tx) error {
		now, err := p.readEvaluation(tx, e.dossier.Name, e.evaluator.Organization)
		if err != nil {
			return err
		}
		if changed = now == nil || now.state != e.state || !sameReport(now.newest, e.newest); changed {
			return nil
		}
		if err := p.attestor.Record(ctx, tx, d.attestation); err != nil {
			return err
		}
		return tx.InsertReport(d.report)
	})
	if err == nil && changed {
		return jobs.Later(50 * time.Millisecond)
	}
	return err
}

func sameReport(a, b *catalog.Report) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.AttestationID == b.AttestationID
}
