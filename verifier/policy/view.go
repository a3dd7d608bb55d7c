package policy

import (
	"github.com/countersign-escrow/countersign/verifier/finding"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
)

// view is an input arranged for judging: as CEL values, and as what reasons and evidence are taken from.
type view struct {
	vars       map[string]any // for CEL, all variables
	checks     []checkView    // signature, source, environment, in this order
	artifacts  []artifactView
	rebuilds   []rebuildView
	pending    []string // what the caller says is awaited besides
	ownAwaited *Party   // the evaluator, where it must rebuild and was not asked yet
}

type checkView struct {
	variable    string
	outcome     finding.Outcome // "" while there is no finding
	summary     string
	attestation string
}

type artifactView struct {
	path     string
	verdicts []verdictView
	platform string
}

type verdictView struct {
	verdict     finding.Verdict
	by          Party
	attestation string
	value       ref.Val
}

type rebuildView struct {
	Rebuild
	outcome     finding.Outcome
	attestation string
}

func newView(in Input, ownRebuild bool) *view {
	v := &view{pending: in.Pending, vars: map[string]any{
		"release":   releaseKind.object(text(in.Release.Product.String()), text(in.Release.Version), text(in.Release.Product.Vendor.String())),
		"evaluator": evaluatorKind.object(text(in.Evaluator.Organization.String()), text(in.Evaluator.Country)),
		"now":       types.Timestamp{Time: in.Now},
	}}
	v.addChecks(in)
	v.addArtifacts(in)
	v.addRebuilds(in)
	if ownRebuild && v.canRebuild() && !asked(in) {
		v.ownAwaited = &in.Evaluator
	}
	return v
}

// latest returns the newest finding of a check by anybody.
func latest(in Input, check finding.Check) *Finding {
	for i := len(in.Findings) - 1; i >= 0; i-- {
		if in.Findings[i].Check == check {
			return &in.Findings[i]
		}
	}
	return new(Finding)
}

func (v *view) addChecks(in Input) {
	var trees []ref.Val
	sig := latest(in, finding.Signature)
	src := latest(in, finding.Source)
	for _, s := range src.Evidence.Sources {
		trees = append(trees, text(s.Tree))
	}
	env, image := latest(in, finding.Environment), ""
	if e := env.Evidence.Environment; e != nil {
		image = e.Image.String()
	}
	v.addCheck("signature", sig, signatureKind, signatureDetails(in, sig.Evidence.Signatures)...)
	v.addCheck("source", src, sourceKind, list(trees))
	v.addCheck("environment", env, environmentKind, text(image))
}

func (v *view) addCheck(variable string, f *Finding, k *kind, details ...ref.Val) {
	v.checks = append(v.checks, checkView{variable: variable, outcome: f.Outcome, summary: f.Summary, attestation: f.Attestation})
	v.vars[variable] = k.object(append([]ref.Val{text(f.Outcome)}, details...)...)
}

func (v *view) addArtifacts(in Input) {
	if in.Manifest == nil {
		v.vars["artifacts"] = list(nil)
		return
	}
	index := make(map[string]int, len(in.Manifest.Artifacts))
	for i, a := range in.Manifest.Artifacts {
		index[a.Path] = i
		v.artifacts = append(v.artifacts, artifactView{path: a.Path, platform: a.Platform})
	}
	for _, f := range in.Findings {
		if i, ok := index[f.Artifact]; ok && f.Check == finding.Comparison {
			v.artifacts[i].add(f, in.Evaluator)
		}
	}
	v.vars["artifacts"] = artifactList(v.artifacts)
}

// add puts a verdict in place of an earlier one by the same rebuilder.
func (a *artifactView) add(f Finding, evaluator Party) {
	nv := verdictView{verdict: f.Verdict, by: f.By, attestation: f.Attestation}
	nv.value = verdictKind.object(text(f.Verdict), text(f.By.Organization.String()), text(f.By.Country),
		types.Bool(f.By.Organization == evaluator.Organization))
	for i, old := range a.verdicts {
		if old.by.Organization == f.By.Organization {
			a.verdicts[i] = nv
			return
		}
	}
	a.verdicts = append(a.verdicts, nv)
}

func (v *view) addRebuilds(in Input) {
	values := make([]ref.Val, 0, len(in.Rebuilds))
	for _, r := range in.Rebuilds {
		rv := rebuildView{Rebuild: r}
		for _, f := range in.Findings {
			if f.Check == finding.Rebuild && f.By.Organization == r.By.Organization {
				rv.outcome, rv.attestation = f.Outcome, f.Attestation
			}
		}
		v.rebuilds = append(v.rebuilds, rv)
		values = append(values, rebuildKind.object(text(r.By.Organization.String()), text(r.By.Country),
			types.Bool(r.By.Organization == in.Evaluator.Organization), text(r.State), text(rv.outcome)))
	}
	v.vars["rebuilds"] = list(values)
}

// canRebuild says whether the checks that come before a rebuild passed.
func (v *view) canRebuild() bool {
	return v.checks[1].outcome == finding.Passed && v.checks[2].outcome == finding.Passed
}

func asked(in Input) bool {
	for _, r := range in.Rebuilds {
		if r.By.Organization == in.Evaluator.Organization {
			return true
		}
	}
	return false
}

// with returns the variables with other artifacts in place of the release's.
func (v *view) with(artifacts ...artifactView) map[string]any {
	vars := make(map[string]any, len(v.vars))
	for k, val := range v.vars {
		vars[k] = val
	}
	vars["artifacts"] = artifactList(artifacts)
	return vars
}

func artifactList(artifacts []artifactView) ref.Val {
	values := make([]ref.Val, len(artifacts))
	for i, a := range artifacts {
		verdicts := make([]ref.Val, len(a.verdicts))
		for j, vv := range a.verdicts {
			verdicts[j] = vv.value
		}
		values[i] = artifactKind.object(text(a.path), text(a.platform), list(verdicts))
	}
	return list(values)
}

func list(values []ref.Val) ref.Val { return types.NewRefValList(types.DefaultTypeAdapter, values) }

func text[T ~string](s T) ref.Val { return types.String(s) }
