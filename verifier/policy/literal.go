package policy

import (
	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/parser"
)

// literalValidator refuses a literal that the field it is compared with can never hold: a misspelt verdict would
// otherwise be a rule that never rejects.
type literalValidator struct{}

// Name is needed by CEL.
func (literalValidator) Name() string { return "countersign.policy.literals" }

// Validate reports every such literal, and every attempt to make up a value of the input's types.
func (literalValidator) Validate(_ *cel.Env, _ cel.ValidatorConfig, a *ast.AST, issues *cel.Issues) {
	root := ast.NavigateAST(a)
	for _, e := range ast.MatchDescendants(root, ast.KindMatcher(ast.StructKind)) {
		issues.ReportErrorAtID(e.ID(), "values of type %s come from the input only", e.AsStruct().TypeName())
	}
	for _, e := range ast.MatchDescendants(root, ast.KindMatcher(ast.CallKind)) {
		switch e.AsCall().FunctionName() {
		case operators.Equals, operators.NotEquals:
			checkEquality(a, e.AsCall(), issues)
		case operators.In:
			checkMembership(a, e.AsCall(), issues)
		case operators.Add:
			checkAddition(a, e, issues)
		case "dyn":
			issues.ReportErrorAtID(e.ID(), "dyn would hide misspelt fields")
		}
	}
}

func checkEquality(a *ast.AST, call ast.CallExpr, issues *cel.Issues) {
	left, right := call.Args()[0], call.Args()[1]
	checkLiteral(checkOf(a, left), right, issues)
	checkLiteral(checkOf(a, right), left, issues)
}

func checkMembership(a *ast.AST, call ast.CallExpr, issues *cel.Issues) {
	check, list := checkOf(a, call.Args()[0]), call.Args()[1]
	if list.Kind() != ast.ListKind {
		return
	}
	for _, e := range list.AsList().Elements() {
		checkLiteral(check, e, issues)
	}
}

// checkAddition refuses to add lists: CEL charges next to nothing for it, however long the lists become. What map and
// filter are expanded to adds to a variable of their own, which nobody can write.
func checkAddition(a *ast.AST, e ast.NavigableExpr, issues *cel.Issues) {
	left := e.AsCall().Args()[0]
	own := left.Kind() == ast.IdentKind && left.AsIdent() == parser.HiddenAccumulatorName
	if k := a.GetType(e.ID()).Kind(); (k == types.ListKind || k == types.DynKind) && !own {
		issues.ReportErrorAtID(e.ID(), "lists cannot be added")
	}
}

// checkOf returns what literals compared with e must be like, nil if anything.
func checkOf(a *ast.AST, e ast.Expr) func(string) error {
	switch e.Kind() {
	case ast.SelectKind:
		return fieldCheck(a.GetType(e.AsSelect().Operand().ID()), e.AsSelect().FieldName())
	case ast.CallKind:
		if e.AsCall().FunctionName() == verdictOf {
			return verdict
		}
	}
	return nil
}

func fieldCheck(t *types.Type, name string) func(string) error {
	for _, k := range []*kind{releaseKind, evaluatorKind, signatureKind, signedFileKind, sourceKind, environmentKind, verdictKind, rebuildKind} {
		if t.IsExactType(k.celType) {
			return k.fields[name].check
		}
	}
	return nil
}

// checkLiteral lets the empty text pass: it stands for "none yet".
func checkLiteral(check func(string) error, e ast.Expr, issues *cel.Issues) {
	if check == nil || e.Kind() != ast.LiteralKind {
		return
	}
	s, ok := e.AsLiteral().(types.String)
	if !ok || s == "" {
		return
	}
	if err := check(string(s)); err != nil {
		issues.ReportErrorAtID(e.ID(), "%s", err.Error())
	}
}
