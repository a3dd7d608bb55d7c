package seal_test

import (
	"io"
	"testing"

	"github.com/countersign-escrow/countersign/escrow/blob"
	"github.com/countersign-escrow/countersign/escrow/blob/blobtest"
	"github.com/countersign-escrow/countersign/escrow/blob/seal/sealtest"
	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/resource"
)

var acme = resource.Organization{ID: "acme"}

// noise yields n bytes of a block that repeats, which costs next to nothing to make.
func noise(block []byte, n int64) io.Reader {
	return io.LimitReader(&repeat{block: block}, n)
}

type repeat struct {
	block []byte
	at    int
}

func (r *repeat) Read(p []byte) (int, error) {
	n := copy(p, r.block[r.at:])
	r.at = (r.at + n) % len(r.block)
	return n, nil
}

const benchBytes = 1 << 30

func BenchmarkPut(b *testing.B) {
	block := blobtest.Content(1, 1<<20+1)
	d, _, err := digest.FromReader(noise(block, benchBytes))
	if err != nil {
		b.Fatal(err)
	}
	ref := blob.Ref{Holder: acme, Digest: d}
	b.SetBytes(benchBytes)
	for b.Loop() {
		b.StopTimer()
		s := sealtest.Open(b)
		b.StartTimer()
		if err := blob.Put(b.Context(), s, ref, benchBytes, noise(block, benchBytes)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRead(b *testing.B) {
	const size = 256 << 20
	block := blobtest.Content(1, 1<<20+1)
	d, _, err := digest.FromReader(noise(block, size))
	if err != nil {
		b.Fatal(err)
	}
	s, ref := sealtest.Open(b), blob.Ref{Holder: acme, Digest: d}
	if err := blob.Put(b.Context(), s, ref, size, noise(block, size)); err != nil {
		b.Fatal(err)
	}
	held, err := s.Open(b.Context(), ref)
	if err != nil {
		b.Fatal(err)
	}
	defer held.Close()
	for name, step := range map[string]int{"step=32KiB": 32 << 10, "step=1MiB": 1 << 20} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(size)
			buffer := make([]byte, step)
			for b.Loop() {
				if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{io.NewSectionReader(held, 0, size)}, buffer); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
