// Package policy evaluates an evaluator's validation model, named rules of CEL, over the findings about a release.
// It knows nothing of where findings are kept or of how a decision is signed.
package policy

import (
	"context"
	"errors"
	"time"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

// Caps on a policy, which is an evaluator's input.
const (
	MaxBytes           = 64 << 10 // of the YAML source
	MaxRules           = 64
	MaxExpressionBytes = 4 << 10 // of one CEL expression
	MaxReasonBytes     = 512     // of a rule's own reason
	MaxCost            = 4 << 20 // CEL cost units for one evaluation of one expression
	MaxDuration        = 10 * time.Second
)

// Decision is the word of a report, or of one of its rules.
type Decision string

// The decisions.
const (
	Accepted     Decision = "ACCEPTED"     // the evidence satisfies the rule
	Rejected     Decision = "REJECTED"     // the evidence contradicts the rule
	Pending      Decision = "PENDING"      // evidence that the rule speaks of is still awaited
	Inconclusive Decision = "INCONCLUSIVE" // all evidence is there and decides nothing
)

// Result is what a policy says of a release.
type Result struct {
	Decision Decision
	Rules    []RuleResult // in the policy's order
}

// RuleResult is what one rule says.
type RuleResult struct {
	Name     string   `json:"rule"`
	Decision Decision `json:"decision"`
	Reason   string   `json:"reason"`             // one line for people
	Evidence []string `json:"evidence,omitempty"` // ids of the attestations that the decision rests on, without repeats
}

// Policy is a compiled policy. It can be used from many goroutines at once.
type Policy struct {
	ownRebuild bool
	rules      []rule
	budget     budget
}

// budget bounds an evaluation.
type budget struct {
	cost uint64        // of one program
	time time.Duration // of all
}

// Compile reads a policy's YAML source and checks its programs. What is wrong is a fault.Invalid whose field names
// line and rule, such as policy.yaml:7 rules[signed].accept.
func Compile(source []byte) (*Policy, error) {
	return compileWithin(source, budget{cost: MaxCost, time: MaxDuration})
}

func compileWithin(source []byte, b budget) (*Policy, error) {
	doc, err := parseDocument(source)
	if err != nil {
		return nil, err
	}
	env, err := newEnvironment()
	if err != nil {
		return nil, err
	}
	p := &Policy{ownRebuild: doc.ownRebuild, budget: b}
	for _, text := range doc.rules {
		r, err := compileRule(env, text, b.cost)
		if err != nil {
			return nil, err
		}
		p.rules = append(p.rules, r)
	}
	return p, nil
}

// Rebuild says whether the evaluator's own agent must rebuild each release too.
func (p *Policy) Rebuild() (own bool) { return p.ownRebuild }

// Evaluate applies every rule to in. A rule whose program errs or costs too much decides nothing and says so;
// Evaluate itself fails only when ctx ends or MaxDuration has passed.
func (p *Policy) Evaluate(ctx context.Context, in Input) (Result, error) {
	limited, cancel := context.WithTimeout(ctx, p.budget.time)
	defer cancel()
	v := newView(in, p.ownRebuild)
	res := Result{Rules: make([]RuleResult, 0, len(p.rules))}
	for _, r := range p.rules {
		rr, err := r.judge(limited, v)
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			return Result{}, fault.Exhaustedf(r.place, "evaluation takes longer than %v", p.budget.time)
		}
		if err != nil {
			return Result{}, err
		}
		res.Rules = append(res.Rules, rr)
	}
	res.Decision = combine(res.Rules)
	return res, nil
}

// combine gives the word of the whole: the gravest of the rules' words.
func combine(rules []RuleResult) Decision {
	for _, d := range []Decision{Rejected, Pending, Inconclusive} {
		for _, r := range rules {
			if r.Decision == d {
				return d
			}
		}
	}
	return Accepted
}
