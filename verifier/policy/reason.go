package policy

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/countersign-escrow/countersign/verifier/finding"
)

// How many artifacts, and verdicts of each, a reason names before it counts the rest.
const (
	mostNamed    = 3
	mostVerdicts = 4
)

// rejected says why reject holds. What contradicts the rule is told by trying: where reject does not hold of a release
// without artifacts but holds of one that has this artifact alone, then this artifact contradicts the rule; and
// likewise for its verdicts.
func (r rule) rejected(ctx context.Context, v *view) (RuleResult, error) {
	res := RuleResult{Name: r.name, Decision: Rejected}
	uses := func(variable string) bool { return r.reject.uses[variable] }
	culprits, err := r.contradicting(ctx, v)
	if err != nil {
		return res, err
	}
	facts := describe(culprits)
	for _, a := range culprits {
		for _, vv := range a.verdicts {
			res.Evidence = append(res.Evidence, vv.attestation)
		}
	}
	if len(culprits) == 0 {
		facts = v.notPassed(uses)
	}
	res.Evidence = distinct(res.Evidence)
	if len(res.Evidence) == 0 {
		res.Evidence = v.evidence(uses)
	}
	res.Reason = r.say("reject holds", facts)
	return res, nil
}

func (r rule) contradicting(ctx context.Context, v *view) ([]artifactView, error) {
	if !r.reject.uses["artifacts"] {
		return nil, nil
	}
	without, err := r.reject.holds(ctx, v.with())
	if without || err != nil {
		return nil, err
	}
	var found []artifactView
	for _, a := range v.artifacts {
		alone, err := r.reject.holds(ctx, v.with(a))
		if err != nil {
			return nil, err
		}
		if !alone {
			continue
		}
		if a.verdicts, err = r.contradictingVerdicts(ctx, v, a); err != nil {
			return nil, err
		}
		found = append(found, a)
	}
	return found, nil
}

// contradictingVerdicts returns the verdicts each of which alone makes reject hold; all of them where none does.
func (r rule) contradictingVerdicts(ctx context.Context, v *view, a artifactView) ([]verdictView, error) {
	all := a.verdicts
	a.verdicts = nil
	if bare, err := r.reject.holds(ctx, v.with(a)); bare || err != nil {
		return all, err
	}
	var found []verdictView
	for i := range all {
		a.verdicts = all[i : i+1]
		alone, err := r.reject.holds(ctx, v.with(a))
		if err != nil {
			return nil, err
		}
		if alone {
			found = append(found, all[i])
		}
	}
	if len(found) == 0 {
		return all, nil
	}
	return found, nil
}

// undecided says why accept does not hold though nothing is awaited: of which artifacts, where that can be told by
// trying each alone.
func (r rule) undecided(ctx context.Context, v *view) (string, error) {
	facts := v.notPassed(r.speaksOf)
	if r.accept.uses["artifacts"] {
		lacking, err := r.lacking(ctx, v)
		if err != nil {
			return "", err
		}
		facts = append(facts, describe(lacking)...)
		facts = append(facts, v.noRebuild()...)
	}
	return say("all evidence is there, accept does not hold", facts), nil
}

func (r rule) lacking(ctx context.Context, v *view) ([]artifactView, error) {
	able, err := r.accept.holds(ctx, v.with())
	if err != nil {
		return nil, err
	}
	var found []artifactView
	for _, a := range v.artifacts {
		alone, err := r.accept.holds(ctx, v.with(a))
		if err != nil {
			return nil, err
		}
		if alone {
			able = true
		} else {
			found = append(found, a)
		}
	}
	if !able { // accept holds of no artifact and not without any: something else is lacking
		return nil, nil
	}
	return found, nil
}

// holds is test for trying: what cannot be told does not hold.
func (p *program) holds(ctx context.Context, vars map[string]any) (bool, error) {
	holds, _, err := p.test(ctx, vars)
	return holds, err
}

func (r rule) say(otherwise string, facts []string) string {
	if r.reason != "" {
		return say(r.reason, facts)
	}
	return say(otherwise, facts)
}

func say(what string, facts []string) string {
	if len(facts) == 0 {
		return what
	}
	return what + ": " + strings.Join(facts, "; ")
}

func describe(artifacts []artifactView) []string {
	var out []string
	for _, a := range artifacts[:min(len(artifacts), mostNamed)] {
		out = append(out, a.path+" "+describeVerdicts(a.verdicts))
	}
	if more := len(artifacts) - mostNamed; more > 0 {
		out = append(out, fmt.Sprintf("and %d more", more))
	}
	return out
}

func describeVerdicts(verdicts []verdictView) string {
	if len(verdicts) == 0 {
		return "has no verdict"
	}
	var out []string
	for _, vv := range verdicts[:min(len(verdicts), mostVerdicts)] {
		out = append(out, fmt.Sprintf("%s by %s", vv.verdict, vv.by))
	}
	if more := len(verdicts) - mostVerdicts; more > 0 {
		out = append(out, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(out, ", ")
}

// String names a party for people.
func (p Party) String() string {
	if p.Country == "" {
		return p.Organization.String()
	}
	return p.Organization.String() + " (" + p.Country + ")"
}

// notPassed tells of the checks concerned that did not pass.
func (v *view) notPassed(concerns func(string) bool) []string {
	var out []string
	for _, c := range v.checks {
		if concerns(c.variable) && c.outcome != "" && c.outcome != finding.Passed {
			out = append(out, strings.TrimSuffix(fmt.Sprintf("%s %s: %s", c.variable, c.outcome, c.summary), ": "))
		}
	}
	return out
}

// noRebuild tells why nothing was rebuilt, where a check forbade it.
func (v *view) noRebuild() []string {
	if len(v.rebuilds) > 0 || v.canRebuild() {
		return nil
	}
	var failed []string
	for _, c := range v.checks[1:] {
		if c.outcome != finding.Passed {
			failed = append(failed, c.variable)
		}
	}
	return []string{"nothing was rebuilt, because of " + strings.Join(failed, " and ")}
}

// awaited names the evidence that is concerned and still to come, and from whom.
func (v *view) awaited(concerns func(string) bool) []string {
	built := concerns("artifacts") || concerns("rebuilds")
	var out []string
	for i, c := range v.checks {
		if c.outcome == "" && (concerns(c.variable) || built && i > 0) {
			out = append(out, "the "+c.variable+" check")
		}
	}
	if built {
		out = append(out, v.awaitedRebuilds()...)
	}
	return append(out, v.pending...)
}

// awaitedRebuilds does not say how far a rebuild is: a reason that changes without new evidence would be a new report.
func (v *view) awaitedRebuilds() []string {
	var out []string
	for _, r := range v.rebuilds {
		if r.State != Done {
			out = append(out, "the rebuild by "+r.By.String())
		}
	}
	if v.ownAwaited != nil {
		out = append(out, "the rebuild by "+v.ownAwaited.String())
	}
	if len(v.rebuilds) == 0 && len(out) == 0 && v.canRebuild() {
		out = append(out, "a rebuild")
	}
	return out
}

// evidence returns the attestations of all findings concerned.
func (v *view) evidence(concerns func(string) bool) []string {
	var out []string
	for _, c := range v.checks {
		if concerns(c.variable) {
			out = append(out, c.attestation)
		}
	}
	if concerns("rebuilds") {
		for _, r := range v.rebuilds {
			out = append(out, r.attestation)
		}
	}
	if concerns("artifacts") {
		for _, a := range v.artifacts {
			for _, vv := range a.verdicts {
				out = append(out, vv.attestation)
			}
		}
	}
	return distinct(out)
}

// distinct drops repeats and empty ids, keeping the order.
func distinct(ids []string) []string {
	seen := make(map[string]bool, len(ids))
	return slices.DeleteFunc(ids, func(id string) bool {
		drop := id == "" || seen[id]
		seen[id] = true
		return drop
	})
}
