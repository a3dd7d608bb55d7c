package rebuild

import (
	"context"
	"fmt"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/manifest"
	"github.com/countersign-escrow/countersign/verifier/compare"
	"github.com/countersign-escrow/countersign/verifier/finding"
)

// stopped gives the findings of a rebuild that came to no outputs: the same verdict for every artifact.
func (j *job) stopped(v finding.Verdict, reason string) []finding.Finding {
	out := finding.Undecided
	if v == finding.BuildFailed {
		out = finding.Failed
	}
	found := []finding.Finding{{Check: finding.Rebuild, Outcome: out, Summary: summary(v, reason), Evidence: finding.Evidence{Runs: j.evidence()}}}
	for i, a := range j.manifest.Artifacts {
		found = append(found, j.verdict(i, a, v, summary(v, reason)))
	}
	return found
}

func summary(v finding.Verdict, reason string) string {
	if v == finding.Incomplete {
		return "could not be rebuilt: " + reason
	}
	return "the recipe " + reason
}

func (j *job) evidence() []finding.RunEvidence {
	var all []finding.RunEvidence
	for _, r := range j.runs {
		if r.evidence.Result != "" {
			all = append(all, r.evidence)
		}
	}
	return all
}

// verdict makes the finding for one artifact. Of the runs it holds what concerns this artifact alone.
func (j *job) verdict(i int, a manifest.Artifact, v finding.Verdict, words string) finding.Finding {
	f := finding.Finding{Check: finding.Comparison, Outcome: v.Outcome(), Verdict: v, Artifact: a.Path, Summary: a.Path + ": " + words}
	c := &finding.ComparisonEvidence{Shipped: a.Digest, Rebuilt: []digest.Digest{}}
	f.Evidence = finding.Evidence{Comparison: c}
	for _, e := range j.evidence() {
		e.LogTail = ""
		if i < len(e.Outputs) {
			o := e.Outputs[i]
			if e.Outputs = []finding.OutputEvidence{o}; o.Problem == "" {
				c.Rebuilt = append(c.Rebuilt, o.Digest)
			}
		}
		f.Evidence.Runs = append(f.Evidence.Runs, e)
	}
	return f
}

// judge compares what the runs made with what the vendor ships; second is nil where all that the first made is equal.
func (j *job) judge(ctx context.Context, first, second *run) ([]finding.Finding, error) {
	found := make([]finding.Finding, 1, 1+len(j.manifest.Artifacts))
	matching := 0
	for i, a := range j.manifest.Artifacts {
		f, err := j.judgeOne(ctx, i, a, first, second)
		if err != nil {
			return nil, fmt.Errorf("comparing %s: %w", a.Path, err)
		}
		if f.Verdict == finding.Match {
			matching++
		}
		found = append(found, f)
	}
	found[0] = finding.Finding{
		Check:    finding.Rebuild,
		Outcome:  finding.Passed,
		Summary:  fmt.Sprintf("the recipe %s; %d of %d artifacts have the same bytes", describe(first), matching, len(j.manifest.Artifacts)),
		Evidence: finding.Evidence{Runs: j.evidence()},
	}
	return found, nil
}

func (j *job) judgeOne(ctx context.Context, i int, a manifest.Artifact, first, second *run) (finding.Finding, error) {
	switch o := first.evidence.Outputs[i]; {
	case o.Problem != "":
		return j.verdict(i, a, finding.NotProduced, o.Problem), nil
	case o.Digest == a.Digest:
		return j.verdict(i, a, finding.Match, "the rebuilt file has the same bytes"), nil
	}
	j.cfg.Progress("comparing " + a.Path)
	res, err := j.compare(ctx, i, a, first)
	if err != nil {
		return finding.Finding{}, err
	}
	if res.Equal {
		return finding.Finding{}, fault.Corruptf(a.Path, "the shipped file as held does not have its digest %s", a.Digest)
	}
	v, words := stability(i, first, second)
	words = fmt.Sprintf("%s; %d bytes differ from the shipped file, first at %s", words, res.DifferingBytes, res.Causes[0].Place)
	f := j.verdict(i, a, v, words)
	f.Causes = res.Causes
	f.Evidence.Comparison.DifferingBytes = res.DifferingBytes
	f.Evidence.Comparison.DifferingRanges = res.Ranges
	return f, nil
}

// stability says what two runs tell of an artifact of which the first run's twin differs.
func stability(i int, first, second *run) (finding.Verdict, string) {
	switch second.stopped {
	case "":
	case finding.BuildFailed:
		return finding.DiffersUnstable, "the build depends on its surroundings: in other conditions it " + describe(second)
	default:
		return second.stopped, "the first rebuild differs from the shipped file; the second, which tells why, " + describe(second)
	}
	a, b := first.evidence.Outputs[i], second.evidence.Outputs[i]
	switch {
	case b.Problem != "":
		return finding.DiffersUnstable, "the build depends on its surroundings: in other conditions " + b.Problem
	case a.Digest != b.Digest:
		return finding.DiffersUnstable, "two rebuilds differ from each other: the build is not deterministic"
	default:
		return finding.DiffersStable, "two rebuilds in different conditions agree with each other and not with the shipped file"
	}
}

func (j *job) compare(ctx context.Context, i int, a manifest.Artifact, r *run) (compare.Result, error) {
	shipped, size, closer, err := j.cfg.Materials.Artifact(ctx, a)
	if err != nil {
		return compare.Result{}, err
	}
	defer closer.Close()
	twin, err := r.space.open(i)
	if err != nil {
		return compare.Result{}, err
	}
	defer twin.Close()
	return compare.Compare(ctx, compare.File{ReaderAt: shipped, Size: size}, compare.File{ReaderAt: twin, Size: r.evidence.Outputs[i].Size})
}
