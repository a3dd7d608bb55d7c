package policy

import (
	"context"
	"fmt"
	"testing"

	"github.com/countersign-escrow/countersign/escrow/resource"
	"github.com/countersign-escrow/countersign/verifier/finding"
)

// bigScene is a release with many artifacts that all match in the rebuilds of many rebuilders.
func bigScene(artifacts, rebuilders int) *scene {
	paths := make([]string, artifacts)
	verdicts := make([]finding.Verdict, artifacts)
	for i := range paths {
		paths[i], verdicts[i] = fmt.Sprintf("bin/tool-%d", i), finding.Match
	}
	s := newScene(paths...).checked()
	for i := range rebuilders {
		by := Party{resource.Organization{ID: fmt.Sprintf("lab-%d", i)}, string([]byte{'A' + byte(i/26), 'A' + byte(i%26)})}
		s.rebuilt(by, verdicts...)
	}
	return s
}

func BenchmarkEvaluate(b *testing.B) {
	for _, size := range []struct{ artifacts, rebuilders int }{{3, 2}, {100, 3}, {4096, 3}, {4096, 20}} {
		s := bigScene(size.artifacts, size.rebuilders)
		for _, name := range []string{"signature-and-rebuild", "match-only", "two-countries"} {
			p := example(b, name)
			b.Run(fmt.Sprintf("%s/artifacts=%d/rebuilders=%d", name, size.artifacts, size.rebuilders), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					res, err := p.Evaluate(context.Background(), s.in)
					if err != nil || res.Decision != Accepted {
						b.Fatal(res.Decision, err)
					}
				}
			})
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	source := []byte(signed(`artifacts.all(a, a.verdicts.exists(v, v.verdict == 'MATCH'))`))
	for b.Loop() {
		if _, err := Compile(source); err != nil {
			b.Fatal(err)
		}
	}
}
