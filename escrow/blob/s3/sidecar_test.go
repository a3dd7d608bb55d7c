package s3

import (
	"bytes"
	"testing"

	"github.com/countersign-escrow/countersign/escrow/blob/object"
)

func FuzzDecodeSidecar(f *testing.F) {
	whole, err := record{Draft: "d", Upload: "u", Offset: 7, Parts: []part{{Size: 4, ETag: "e", SHA256: make([]byte, 32)}}}.encode([]byte("abc"))
	must(f, err)
	f.Add(whole)
	f.Add([]byte(sidecarMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, tail, err := decodeSidecar(b)
		if err != nil {
			return
		}
		again, err := r.encode(tail)
		must(t, err)
		r2, tail2, err := decodeSidecar(again)
		if err != nil || !bytes.Equal(tail, tail2) || r2.Offset != r.Offset || len(r2.Parts) != len(r.Parts) {
			t.Errorf("%+v became %+v: %v", r, r2, err)
		}
	})
}

func TestDecodeSidecar(t *testing.T) {
	good := record{Draft: "d", Upload: "u", Offset: 7, Parts: []part{{Size: 4, ETag: "e", SHA256: make([]byte, 32)}}}
	change := func(f func(*record)) []byte {
		r := good
		r.Parts = append([]part(nil), good.Parts...)
		f(&r)
		b, err := r.encode([]byte("abc"))
		must(t, err)
		return b
	}
	whole := change(func(*record) {})
	if r, tail, err := decodeSidecar(whole); err != nil || r.Offset != 7 || string(tail) != "abc" {
		t.Fatalf("%+v, %q, %v", r, tail, err)
	}
	flipped := bytes.Clone(whole)
	flipped[20] ^= 1
	for what, b := range map[string][]byte{
		"nothing":        nil,
		"cut":            whole[:len(whole)-1],
		"flipped":        flipped,
		"another offset": change(func(r *record) { r.Offset = 8 }),
		"negative part":  change(func(r *record) { r.Parts[0].Size, r.Offset = -4, -1 }),
		"no upload":      change(func(r *record) { r.Upload = "" }),
		"no checksum":    change(func(r *record) { r.Parts[0].SHA256 = nil }),
		"long note":      change(func(r *record) { r.Note = make([]byte, object.MaxNoteBytes+1) }),
	} {
		if r, _, err := decodeSidecar(b); err == nil {
			t.Errorf("%s: taken for %+v", what, r)
		}
	}
}
