package sigstorebundle

import (
	"testing"

	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
)

func FuzzProve(f *testing.F) {
	key, i := newKey(f), newInstance(f)
	attestation, _, attester := attest(f, []byte("{}"))
	v := verifier(f, append(i.anchors(f), keyAnchor(f, "key", key.Public()), attester)...)
	for _, seed := range [][]byte{sign(f, key), attestation, compact(f, i.certified(f)), []byte(`{}`)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		list, err := v.Prove(t.Context(), content, manifest(theManifest))
		if err != nil || len(list) == 0 {
			t.Fatalf("%+v, %v", list, err)
		}
		others, err := v.Prove(t.Context(), content, manifest([]byte("other bytes")))
		for n, p := range list {
			if (p.Problem == "") != (len(p.Anchors) > 0) || len(p.Problem) > 500 {
				t.Errorf("%+v", p)
			}
			if p.Problem == "" && p.Signed == nil && (err != nil || others[n].Problem == "") {
				t.Errorf("%q holds for any bytes", content)
			}
		}
	})
}

func FuzzNew(f *testing.F) {
	i := newInstance(f)
	content := compact(f, i.certified(f))
	f.Add(i.root)
	f.Add(`{}`)
	f.Fuzz(func(t *testing.T, material string) {
		a := rootAnchor("fuzzed", material)
		v, err := New([]anchor.Anchor{i.anchors(t)[0], a})
		if _, bad := Describe(a); (err == nil) != (bad == nil) {
			t.Errorf("%v, %v", err, bad)
		}
		if _, err := v.Prove(t.Context(), content, manifest(theManifest)); err != nil {
			t.Error(err)
		}
	})
}
