package attest

import (
	"fmt"
	"sync"
	"testing"
)

// BenchmarkPublish signs, stamps, logs and proves, as many callers do at once.
func BenchmarkPublish(b *testing.B) {
	for _, callers := range []int{16, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			w := newWorld(b)
			work := make(chan struct{})
			var all sync.WaitGroup
			for range callers {
				all.Go(func() {
					for range work {
						w.publish(b, comparison())
					}
				})
			}
			for b.Loop() {
				work <- struct{}{}
			}
			close(work)
			all.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "attestations/s")
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	w := newWorld(b)
	bundle := w.pair(b, comparison())
	key := w.key.Public()
	for b.Loop() {
		if _, err := Verify(bundle, w.root, key, Policy{artifact.Digest, TypeComparison}); err != nil {
			b.Fatal(err)
		}
	}
}
