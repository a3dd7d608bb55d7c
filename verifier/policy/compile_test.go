package policy

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

func TestWrongPolicies(t *testing.T) {
	for name, tc := range map[string]struct{ source, field, message string }{
		"empty":               {"", "policy.yaml", "is empty"},
		"no YAML":             {"rules: [", "policy.yaml", "line 1"},
		"two documents":       {"rules: [{name: r, accept: 'true'}]\n---\nrules: []\n", "policy.yaml", "follows"},
		"too long":            {strings.Repeat("#", MaxBytes+1), "policy.yaml", "at most"},
		"no mapping":          {"- a\n", "policy.yaml:1", "must be a mapping"},
		"unknown field":       {"rules: []\nrebiuld: own\n", "policy.yaml:2 rebiuld", "is no field"},
		"field twice":         {"rules: []\nrules: []\n", "policy.yaml:2 rules", "twice"},
		"alias":               {"a: &x own\nrebuild: *x\n", "policy.yaml:1 a", "is no field"},
		"rebuild by whom":     {"rebuild: theirs\nrules: []\n", "policy.yaml:1 rebuild", `must be "own"`},
		"no rules":            {"rebuild: own\n", "policy.yaml:1 rules", "missing"},
		"empty rules":         {"rules: []\n", "policy.yaml:1 rules", "1 to 64"},
		"too many rules":      {"rules:\n" + strings.Repeat("  - {name: r}\n", MaxRules+1), "policy.yaml:2 rules", "1 to 64"},
		"rule without name":   {"rules:\n  - accept: 'true'\n", "policy.yaml:2 rules[0].name", "missing"},
		"malformed name":      {"rules:\n  - name: Signed\n    accept: 'true'\n", "policy.yaml:2 rules[0].name", "must be 1 to 63"},
		"name twice":          {"rules:\n  - {name: r, accept: 'true'}\n  - {name: r, accept: 'true'}\n", "policy.yaml:3 rules[r].name", "line 2"},
		"no accept":           {"rules:\n  - name: signed\n", "policy.yaml:2 rules[signed].accept", "missing"},
		"empty accept":        {"rules:\n  - name: signed\n    accept: ' '\n", "policy.yaml:3 rules[signed].accept", "empty"},
		"accept is a list":    {"rules:\n  - name: signed\n    accept: []\n", "policy.yaml:3 rules[signed].accept", "must be a text"},
		"unknown rule field":  {"rules:\n  - name: signed\n    acept: 'true'\n", "policy.yaml:3 rules[0].acept", "is no field"},
		"long program":        {"rules:\n  - name: r\n    accept: '" + strings.Repeat(" ", MaxExpressionBytes) + "true'\n", "policy.yaml:3 rules[r].accept", "4096 at most"},
		"long reason":         {"rules:\n  - name: r\n    accept: 'true'\n    reason: " + strings.Repeat("x", MaxReasonBytes+1), "policy.yaml:4 rules[r].reason", "512 at most"},
		"syntax":              {signed(`signature.outcome ==`), "policy.yaml:3 rules[signed].accept", "column 21"},
		"unknown variable":    {signed(`signatur.outcome == 'PASSED'`), "policy.yaml:3 rules[signed].accept", "column 1: undeclared reference to 'signatur'"},
		"misspelt role":       {signed(`signature.files.exists(f, f.role == 'SOURCES')`), "policy.yaml:3 rules[signed].accept", "\"SOURCES\" is no role"},
		"unknown field in it": {signed(`signature.outcom == 'PASSED'`), "policy.yaml:3 rules[signed].accept", "column 10: undefined field 'outcom'"},
		"deep unknown field":  {signed(`artifacts.all(a, a.verdicts.exists(v, v.verdit == 'MATCH'))`), "policy.yaml:3 rules[signed].accept", "undefined field 'verdit'"},
		"unknown function":    {signed(`artifacts.all(a, countryMatching(a) > 1)`), "policy.yaml:3 rules[signed].accept", "countryMatching"},
		"types":               {signed(`size(artifacts) > 'x'`), "policy.yaml:3 rules[signed].accept", "column 17"},
		"not a bool":          {signed(`size(artifacts)`), "policy.yaml:3 rules[signed].accept", "gives int, must give bool"},
		"misspelt verdict":    {signed(`artifacts.all(a, a.verdicts.exists(v, v.verdict == 'MACTH'))`), "policy.yaml:3 rules[signed].accept", `"MACTH" is no verdict; there are MATCH,`},
		"misspelt in a list":  {signed(`artifacts.all(a, a.verdicts.exists(v, v.verdict in ['MATCH', 'UNSTABLE']))`), "policy.yaml:3 rules[signed].accept", `"UNSTABLE" is no verdict`},
		"misspelt by a call":  {signed(`rebuilds.all(r, artifacts.all(a, 'match' == verdictOf(a, r)))`), "policy.yaml:3 rules[signed].accept", `"match" is no verdict`},
		"misspelt outcome":    {signed(`source.outcome != 'OK'`), "policy.yaml:3 rules[signed].accept", `"OK" is no outcome`},
		"misspelt state":      {signed(`rebuilds.all(r, r.state == 'FINISHED')`), "policy.yaml:3 rules[signed].accept", `"FINISHED" is no state`},
		"country by name":     {signed(`evaluator.country == 'Sweden'`), "policy.yaml:3 rules[signed].accept", `"Sweden" is no country`},
		"organization by id":  {signed(`rebuilds.all(r, r.rebuilder == 'lab-se')`), "policy.yaml:3 rules[signed].accept", "organizations/{…}"},
		"made-up value":       {signed(`artifact{path: 'x'} in artifacts`), "policy.yaml:3 rules[signed].accept", "come from the input only"},
		"lists added":         {signed(`size([1] + artifacts.map(a, size(a.verdicts))) > 2`), "policy.yaml:3 rules[signed].accept", "column 10: lists cannot be added"},
		"mixed added":         {signed(`size([[1], 'x'][0] + [2]) > 2`), "policy.yaml:3 rules[signed].accept", "lists cannot be added"},
		"untyped":             {signed(`dyn(source).outcom == 'PASSED'`), "policy.yaml:3 rules[signed].accept", "dyn would hide"},
		"malformed time":      {signed(`now < timestamp('tomorrow')`), "policy.yaml:3 rules[signed].accept", "invalid timestamp"},
		"deep nesting":        {signed(strings.Repeat("(", 500) + "true" + strings.Repeat(")", 500)), "policy.yaml:3 rules[signed].accept", "recursion"},
		"deep loops":          {signed(strings.Repeat("artifacts.all(a, ", 6) + "true" + strings.Repeat(")", 6)), "policy.yaml:3 rules[signed].accept", "nesting"},
		"line of a block":     {"rules:\n  - name: signed\n    accept: |\n      true &&\n        sgnature.outcome == 'PASSED'\n", "policy.yaml:5 rules[signed].accept", "column 3: undeclared"},
		"line of a fold":      {"rules:\n  - name: signed\n    accept: >\n      true &&\n      sgnature.outcome == 'PASSED'\n", "policy.yaml:4 rules[signed].accept", "column 9: undeclared"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Compile([]byte(tc.source))
			var f *fault.Error
			if !errors.As(err, &f) || f.Kind != fault.Invalid {
				t.Fatalf("got %v, want a fault.Invalid", err)
			}
			if f.Field != tc.field || !strings.Contains(f.Message, tc.message) {
				t.Errorf("got  %s: %s\nwant %s: …%s…", f.Field, f.Message, tc.field, tc.message)
			}
		})
	}
}

// rule1 writes a policy whose rule "signed" has that program as accept, in line 3.
func signed(cel string) string {
	return "rules:\n  - name: signed\n    accept: \"" + cel + "\"\n"
}

func TestCostLimit(t *testing.T) {
	for name, cel := range map[string]string{
		"loops": `artifacts.all(a, artifacts.all(b, artifacts.all(c, a.path + b.path + c.path != '')))`,
		"texts": `['aaaaaaaa']` + strings.Repeat(`.map(x, x`+strings.Repeat("+x", 50)+`)`, 4) + `[0] == ''`,
		"calls": `artifacts.all(a, artifacts.all(b, rebuilds.all(r, verdictOf(a, r) == verdictOf(b, r))))`,
	} {
		t.Run(name, func(t *testing.T) {
			p, err := compileWithin([]byte(signed(cel)), budget{cost: 20_000, time: time.Minute})
			if err != nil {
				t.Fatal(err)
			}
			got := evaluate(t, p, bigScene(50, 10))
			if got.Decision != Inconclusive || !strings.Contains(got.Rules[0].Reason, "costs more than 20000 units") {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestTimeLimit(t *testing.T) {
	p, err := compileWithin([]byte(signed(`artifacts.all(a, a.path != '')`)), budget{cost: MaxCost, time: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Evaluate(context.Background(), bigScene(50, 1).in); !fault.Is(err, fault.Exhausted) {
		t.Errorf("got %v", err)
	}
}

func TestEvaluateStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := example(t, "match-only").Evaluate(ctx, bigScene(50, 3).in)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func FuzzCompile(f *testing.F) {
	files, err := filepath.Glob("../../deploy/policies/*.yaml")
	if err != nil || len(files) == 0 {
		f.Fatal("no examples", err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(signed(`artifacts.map(a, a.verdicts)[0][0].verdict.matches('M.*')`)))
	f.Add([]byte("rules: &a [*a]"))
	s := newScene("gofmt", "vet").checked().rebuilt(escrow, "MATCH", "DIFFERS_STABLE")
	f.Fuzz(func(t *testing.T, source []byte) {
		p, err := Compile(source)
		if err != nil {
			if !fault.Is(err, fault.Invalid) {
				t.Fatalf("%v is no fault.Invalid", err)
			}
			return
		}
		res, err := p.Evaluate(context.Background(), s.in)
		if err != nil || len(res.Rules) == 0 {
			t.Fatalf("%+v, %v", res, err)
		}
	})
}
