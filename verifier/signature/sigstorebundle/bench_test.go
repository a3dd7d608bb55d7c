package sigstorebundle

import (
	"testing"

	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
)

func benchmark(b *testing.B, content []byte, anchors ...anchor.Anchor) {
	v, of := verifier(b, anchors...), manifest(theManifest)
	for b.Loop() {
		if list, err := v.Prove(b.Context(), content, of); err != nil || list[0].Problem != "" {
			b.Fatal(list, err)
		}
	}
}

func BenchmarkVerifyKeyed(b *testing.B) {
	key := newKey(b)
	benchmark(b, sign(b, key), keyAnchor(b, "key", key.Public()))
}

func BenchmarkVerifyIdentity(b *testing.B) {
	i := newInstance(b)
	benchmark(b, compact(b, i.certified(b)), i.anchors(b)...)
}
