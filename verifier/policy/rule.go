package policy

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/interpreter"
)

// rule is one compiled rule.
type rule struct {
	name, place, reason string
	accept              *program
	reject              *program // nil where the rule has none
}

// program is one compiled expression and the input variables that it speaks of.
type program struct {
	cel.Program
	uses map[string]bool
	cost uint64 // the most that it may cost
}

func compileRule(env *cel.Env, t ruleText, cost uint64) (r rule, err error) {
	r = rule{name: t.name, place: t.place, reason: t.reason}
	if r.accept, err = compileExpression(env, t.accept, cost); err != nil {
		return rule{}, err
	}
	if t.reject != nil {
		r.reject, err = compileExpression(env, t.reject, cost)
	}
	return r, err
}

func compileExpression(env *cel.Env, e *expressionText, cost uint64) (*program, error) {
	checked, issues := env.Compile(e.cel)
	if issues.Err() != nil {
		return nil, e.wrong(issues)
	}
	if t := checked.OutputType(); !t.IsExactType(types.BoolType) {
		return nil, fault.Invalidf(placeAt(e.line, e.path), "gives %s, must give bool", t)
	}
	prg, err := env.Program(checked, cel.EvalOptions(cel.OptOptimize), cel.CostTracking(callCost{}), cel.CostLimit(cost),
		cel.InterruptCheckFrequency(256))
	if err != nil {
		return nil, fault.Invalidf(placeAt(e.line, e.path), "%s", oneLine(err.Error()))
	}
	return &program{Program: prg, uses: usedVariables(checked.NativeRep()), cost: cost}, nil
}

// wrong turns CEL's first complaint into an error with its place. CEL counts columns from 0, people from 1.
func (e *expressionText) wrong(issues *cel.Issues) error {
	first := issues.Errors()[0]
	line, column := first.Location.Line(), first.Location.Column()+1
	at, where := e.line, fmt.Sprintf("column %d", column)
	switch {
	case e.literal && line > 0:
		at += line - 1
	case line > 1:
		where = fmt.Sprintf("line %d, %s", line, where)
	}
	return fault.Invalidf(placeAt(at, e.path), "%s: %s", where, clipMessage(first.Message))
}

// clipMessage shortens CEL's message; for a syntax error it can list a whole grammar.
func clipMessage(s string) string {
	const most = 300
	if s = oneLine(s); len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

func usedVariables(a *ast.AST) map[string]bool {
	uses := make(map[string]bool)
	for _, r := range a.ReferenceMap() {
		if r.Value == nil && r.Name != "" {
			uses[r.Name] = true
		}
	}
	return uses
}

// test runs the program. unable says why it could not be told; err is for when the evaluation must stop altogether.
func (p *program) test(ctx context.Context, vars map[string]any) (holds bool, unable string, err error) {
	out, _, err := p.ContextEval(ctx, vars)
	if ctx.Err() != nil {
		return false, "", ctx.Err()
	}
	var cancelled interpreter.EvalCancelledError
	switch {
	case errors.As(err, &cancelled) && cancelled.Cause == interpreter.CostLimitExceeded:
		return false, fmt.Sprintf("costs more than %d units", p.cost), nil
	case err != nil:
		return false, clipMessage(err.Error()), nil
	}
	return out == types.True, "", nil
}

// judge gives the rule's word. Where reject cannot be told, the rule never accepts.
func (r rule) judge(ctx context.Context, v *view) (RuleResult, error) {
	var unable string
	if r.reject != nil {
		holds, why, err := r.reject.test(ctx, v.vars)
		if err != nil {
			return RuleResult{}, err
		}
		if holds {
			return r.rejected(ctx, v)
		}
		if why != "" {
			unable = "reject cannot be evaluated: " + why
		}
	}
	holds, why, err := r.accept.test(ctx, v.vars)
	if err != nil {
		return RuleResult{}, err
	}
	if why != "" && unable == "" {
		unable = "accept cannot be evaluated: " + why
	}
	res := RuleResult{Name: r.name, Evidence: v.evidence(r.speaksOf)}
	awaited := v.awaited(r.speaksOf)
	switch {
	case holds && unable == "":
		res.Decision, res.Reason = Accepted, "accept holds"
	case len(awaited) > 0:
		res.Decision, res.Reason = Pending, "awaits "+strings.Join(awaited, "; ")
	case unable != "":
		res.Decision, res.Reason = Inconclusive, unable
	default:
		res.Decision = Inconclusive
		res.Reason, err = r.undecided(ctx, v)
	}
	return res, err
}

func (r rule) speaksOf(variable string) bool {
	return r.accept.uses[variable] || r.reject != nil && r.reject.uses[variable]
}
