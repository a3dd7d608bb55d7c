package policy

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/manifest"
	"github.com/countersign-escrow/countersign/escrow/resource"
	"github.com/countersign-escrow/countersign/verifier/finding"
)

// The parties of the tests: the service in NO, and two labs.
var (
	escrow = Party{resource.Organization{ID: "escrow"}, "NO"}
	labSE  = Party{resource.Organization{ID: "lab-se"}, "SE"}
	labFI  = Party{resource.Organization{ID: "lab-fi"}, "FI"}
)

// scene builds an input the way things happen: checks, then rebuilds, then verdicts.
type scene struct{ in Input }

func newScene(paths ...string) *scene {
	m := new(manifest.Manifest)
	for _, p := range paths {
		m.Artifacts = append(m.Artifacts, manifest.Artifact{Path: p, Platform: "linux/amd64"})
	}
	product := resource.Product{Vendor: resource.Organization{ID: "acme"}, ID: "router"}
	return &scene{Input{
		Release:   resource.Release{Product: product, Version: "1.2.3"},
		Evaluator: labSE,
		Manifest:  m,
		Now:       time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC),
	}}
}

func (s *scene) check(c finding.Check, o finding.Outcome) *scene {
	f := finding.Finding{Check: c, Outcome: o, Summary: "as the check says"}
	switch c {
	case finding.Signature:
		f.Evidence.Signatures = []finding.SignatureEvidence{{Valid: o == finding.Passed, Anchor: "organizations/acme/trustAnchors/a1"}}
	case finding.Source:
		f.Evidence.Sources = []finding.SourceEvidence{{Tree: "git-sha256:00"}}
	case finding.Environment:
		f.Evidence.Environment = &finding.EnvironmentEvidence{Image: digest.Of([]byte("image"))}
	}
	return s.record(f, escrow, strings.ToLower(string(c)))
}

func (s *scene) record(f finding.Finding, by Party, id string) *scene {
	s.in.Findings = append(s.in.Findings, Finding{Finding: f, By: by, Attestation: id})
	return s
}

func (s *scene) checked() *scene {
	return s.check(finding.Signature, finding.Passed).check(finding.Source, finding.Passed).check(finding.Environment, finding.Passed)
}

func (s *scene) rebuild(by Party, st RebuildState) *scene {
	s.in.Rebuilds = append(s.in.Rebuilds, Rebuild{By: by, State: st})
	return s
}

// rebuilt adds a rebuild that is done, with a verdict for each artifact.
func (s *scene) rebuilt(by Party, verdicts ...finding.Verdict) *scene {
	s.rebuild(by, Done).record(finding.Finding{Check: finding.Rebuild, Outcome: finding.Passed}, by, "rebuild-"+by.Organization.ID)
	for i, v := range verdicts {
		path := s.in.Manifest.Artifacts[i].Path
		s.record(finding.Finding{Check: finding.Comparison, Outcome: v.Outcome(), Verdict: v, Artifact: path}, by, path+"-"+by.Organization.ID)
	}
	return s
}

func compile(t testing.TB, source string) *Policy {
	t.Helper()
	p, err := Compile([]byte(source))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func evaluate(t testing.TB, p *Policy, s *scene) Result {
	t.Helper()
	res, err := p.Evaluate(context.Background(), s.in)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func example(t testing.TB, name string) *Policy {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../../deploy/policies", name+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return compile(t, string(b))
}

func TestExamples(t *testing.T) {
	const (
		match    = finding.Match
		stable   = finding.DiffersStable
		unstable = finding.DiffersUnstable
	)
	two := func() *scene { return newScene("gofmt", "vet").checked() }
	for name, tc := range map[string]struct {
		scene                      *scene
		signature, matchOnly, both Decision
	}{
		"nothing yet":             {newScene("gofmt"), Pending, Pending, Pending},
		"checked, not rebuilt":    {two().rebuild(escrow, Waiting).rebuild(labSE, Waiting), Pending, Pending, Pending},
		"one rebuild of two":      {two().rebuilt(escrow, match, match).rebuild(labSE, Leased), Accepted, Accepted, Pending},
		"both match":              {two().rebuilt(escrow, match, match).rebuilt(labSE, match, match), Accepted, Accepted, Accepted},
		"both of one country":     {two().rebuilt(escrow, match, match).rebuilt(Party{labSE.Organization, "NO"}, match, match), Accepted, Accepted, Inconclusive},
		"one of no known country": {two().rebuilt(Party{escrow.Organization, "ZZ"}, match, match).rebuilt(labSE, match, match), Accepted, Accepted, Inconclusive},
		"one artifact matches":    {two().rebuilt(escrow, match, unstable).rebuilt(labSE, match, match), Accepted, Rejected, Inconclusive},
		"alarm by one":            {two().rebuilt(escrow, match, stable).rebuilt(labSE, match, match), Rejected, Rejected, Rejected},
		"alarm while one awaited": {two().rebuilt(escrow, match, stable).rebuild(labSE, Waiting), Rejected, Rejected, Rejected},
		"not deterministic":       {two().rebuilt(escrow, unstable, unstable).rebuilt(labSE, unstable, unstable), Accepted, Rejected, Inconclusive},
		"build failed":            {two().rebuilt(escrow, finding.BuildFailed, finding.BuildFailed).rebuilt(labSE, match, match), Accepted, Rejected, Inconclusive},
		"not produced":            {two().rebuilt(escrow, match, finding.NotProduced).rebuilt(labSE, match, finding.NotProduced), Inconclusive, Rejected, Inconclusive},
		"normalized":              {newScene("gofmt").checked().rebuilt(escrow, finding.MatchNormalized).rebuilt(labSE, match), Accepted, Rejected, Inconclusive},
		"bad signature": {newScene("gofmt").check(finding.Signature, finding.Failed).check(finding.Source, finding.Passed).
			check(finding.Environment, finding.Passed).rebuilt(escrow, match).rebuilt(labSE, match), Rejected, Rejected, Rejected},
		"source not whole": {newScene("gofmt").check(finding.Signature, finding.Passed).check(finding.Source, finding.Failed).
			check(finding.Environment, finding.Passed), Inconclusive, Inconclusive, Inconclusive},
	} {
		t.Run(name, func(t *testing.T) {
			for file, want := range map[string]Decision{"signature-and-rebuild": tc.signature, "match-only": tc.matchOnly, "two-countries": tc.both} {
				if got := evaluate(t, example(t, file), tc.scene); got.Decision != want {
					t.Errorf("%s: %s, want %s: %+v", file, got.Decision, want, got.Rules)
				}
			}
		})
	}
	if !example(t, "two-countries").Rebuild() || example(t, "match-only").Rebuild() {
		t.Error("two-countries wants its own rebuild, match-only does not")
	}
}

func TestDecisions(t *testing.T) {
	s := newScene("gofmt").checked().rebuilt(escrow, finding.Match)
	for name, tc := range map[string]struct {
		rules string
		want  Decision
	}{
		"accept":                 {`[{name: r, accept: "true"}]`, Accepted},
		"reject before accept":   {`[{name: r, accept: "true", reject: "true"}]`, Rejected},
		"neither":                {`[{name: r, accept: "false", reject: "false"}]`, Inconclusive},
		"one rule rejects":       {`[{name: r, accept: "false"}, {name: s, accept: "true", reject: "true"}]`, Rejected},
		"accept errs":            {`[{name: r, accept: "artifacts[7].path == ''"}]`, Inconclusive},
		"reject errs":            {`[{name: r, accept: "true", reject: "artifacts[7].path == ''"}]`, Inconclusive},
		"all variables":          {`[{name: r, accept: "release.version == '1.2.3' && release.product == 'organizations/acme/products/router' && release.vendor == 'organizations/acme' && evaluator.name == 'organizations/lab-se' && evaluator.country == 'SE' && now < timestamp('2025-03-02T00:00:00Z')"}]`, Accepted},
		"check details":          {`[{name: r, accept: "signature.anchors == ['organizations/acme/trustAnchors/a1'] && source.trees.all(x, x.startsWith('git-sha256:')) && environment.image.startsWith('sha256:') && has(environment.image)"}]`, Accepted},
		"artifacts and verdicts": {`[{name: r, accept: "artifacts.all(a, a.path == 'gofmt' && a.platform == 'linux/amd64' && a.verdicts.exists(v, v.verdict == 'MATCH' && v.rebuilder == 'organizations/escrow' && v.country == 'NO' && !v.own))"}]`, Accepted},
		"rebuilds":               {`[{name: r, accept: "rebuilds.exists_one(r, r.rebuilder == 'organizations/escrow' && r.country == 'NO' && !r.own && r.state == 'DONE' && r.outcome == 'PASSED')"}]`, Accepted},
		"verdictOf":              {`[{name: r, accept: "rebuilds.all(r, artifacts.all(a, verdictOf(a, r) == 'MATCH'))"}]`, Accepted},
		"countriesMatching":      {`[{name: r, accept: "artifacts.map(a, countriesMatching(a)) == [1]"}]`, Accepted},
		"objects compare":        {`[{name: r, accept: "artifacts[0] == artifacts[0] && artifacts[0].verdicts[0] in artifacts[0].verdicts"}]`, Accepted},
	} {
		t.Run(name, func(t *testing.T) {
			if got := evaluate(t, compile(t, "rules: "+tc.rules), s); got.Decision != tc.want {
				t.Errorf("%s, want %s: %+v", got.Decision, tc.want, got.Rules)
			}
		})
	}
}

// A rule waits only for evidence that it speaks of.
func TestPendingIsByRule(t *testing.T) {
	p := compile(t, `
rules:
  - {name: signed, accept: "signature.outcome == 'PASSED'"}
  - {name: built, accept: "artifacts.all(a, countriesMatching(a) > 0)"}`)
	s := newScene("gofmt").check(finding.Signature, finding.Undecided).check(finding.Source, finding.Passed).
		check(finding.Environment, finding.Passed).rebuild(escrow, Leased)
	got := evaluate(t, p, s)
	if got.Decision != Pending || got.Rules[0].Decision != Inconclusive || got.Rules[1].Decision != Pending {
		t.Errorf("%+v", got)
	}
}

func TestReasonsAndEvidence(t *testing.T) {
	const match, stable, unstable = finding.Match, finding.DiffersStable, finding.DiffersUnstable
	many := newScene("a", "b", "c", "d", "e").checked().rebuilt(escrow, stable, stable, stable, stable, stable)
	for name, tc := range map[string]struct {
		policy, rule string
		scene        *scene
		reason       string
		evidence     []string
	}{
		"which verdict contradicts": {"match-only", "every-verdict-matches", newScene("gofmt", "vet").checked().
			rebuilt(escrow, match, stable).rebuilt(labFI, match, match),
			"a verdict is not MATCH: vet DIFFERS_STABLE by organizations/escrow (NO)", []string{"vet-escrow"}},
		"bad signature": {"match-only", "signed", newScene("vet").check(finding.Signature, finding.Failed),
			"no signature over the manifest counts: signature FAILED: as the check says", []string{"signature"}},
		"whose rebuild is awaited": {"two-countries", "two-countries-match", newScene("vet").checked().rebuilt(escrow, match).rebuild(labSE, Waiting),
			"awaits the rebuild by organizations/lab-se (SE)", []string{"vet-escrow"}},
		"own rebuild not asked for": {"two-countries", "two-countries-match", newScene("vet").checked().rebuilt(escrow, match),
			"awaits the rebuild by organizations/lab-se (SE)", []string{"vet-escrow"}},
		"no rebuild asked for": {"match-only", "every-verdict-matches", newScene("vet").checked(),
			"awaits a rebuild", nil},
		"checks awaited": {"match-only", "every-verdict-matches", newScene("vet").check(finding.Signature, finding.Passed),
			"awaits the source check; the environment check", nil},
		"which artifact lacks": {"two-countries", "two-countries-match", newScene("gofmt", "vet").checked().rebuilt(escrow, match, unstable).rebuilt(labSE, match, unstable),
			"all evidence is there, accept does not hold: vet DIFFERS_UNSTABLE by organizations/escrow (NO), DIFFERS_UNSTABLE by organizations/lab-se (SE)",
			[]string{"gofmt-escrow", "gofmt-lab-se", "vet-escrow", "vet-lab-se"}},
		"why nothing was rebuilt": {"match-only", "every-verdict-matches", newScene("vet").check(finding.Signature, finding.Passed).
			check(finding.Source, finding.Failed).check(finding.Environment, finding.Passed),
			"all evidence is there, accept does not hold: vet has no verdict; nothing was rebuilt, because of source", nil},
		"no more than can be read": {"match-only", "every-verdict-matches", many,
			"a verdict is not MATCH: a DIFFERS_STABLE by organizations/escrow (NO); b DIFFERS_STABLE by organizations/escrow (NO); c DIFFERS_STABLE by organizations/escrow (NO); and 2 more",
			[]string{"a-escrow", "b-escrow", "c-escrow", "d-escrow", "e-escrow"}},
		"accepted": {"match-only", "every-verdict-matches", newScene("vet").checked().rebuilt(escrow, match), "accept holds", []string{"vet-escrow"}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, r := range evaluate(t, example(t, tc.policy), tc.scene).Rules {
				if r.Name == tc.rule && (r.Reason != tc.reason || !slices.Equal(r.Evidence, tc.evidence)) {
					t.Errorf("got  %q %q\nwant %q %q", r.Reason, r.Evidence, tc.reason, tc.evidence)
				}
			}
		})
	}
}

func TestLaterFindingHolds(t *testing.T) {
	s := newScene("vet").checked().rebuilt(escrow, finding.BuildFailed)
	s.record(finding.Finding{Check: finding.Comparison, Verdict: finding.Match, Artifact: "vet"}, escrow, "again")
	got := evaluate(t, example(t, "match-only"), s)
	if got.Decision != Accepted || !slices.Equal(got.Rules[1].Evidence, []string{"again"}) {
		t.Errorf("%+v", got)
	}
}

func TestCallerNamesWhatElseIsAwaited(t *testing.T) {
	s := newScene("vet").checked()
	s.in.Pending = []string{"the vendor's answer"}
	got := evaluate(t, compile(t, `rules: [{name: r, accept: "false"}]`), s)
	if got.Decision != Pending || got.Rules[0].Reason != "awaits the vendor's answer" {
		t.Errorf("%+v", got)
	}
}
