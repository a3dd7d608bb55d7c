package compare

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/countersign-escrow/countersign/verifier/finding"
)

func file(b []byte) File { return File{ReaderAt: bytes.NewReader(b), Size: int64(len(b))} }

// changed returns a copy of b with the byte at each offset changed.
func changed(b []byte, at ...int) []byte {
	c := bytes.Clone(b)
	for _, i := range at {
		c[i] ^= 0xff
	}
	return c
}

func TestCompare(t *testing.T) {
	base := bytes.Repeat([]byte("0123456789abcdef"), 3*chunk/16)
	for _, tc := range []struct {
		name    string
		rebuilt []byte
		bytes   int64
		ranges  int
		causes  []finding.Cause
	}{
		{"equal", base, 0, 0, nil},
		{"one byte", changed(base, 5), 1, 1, []finding.Cause{
			{Type: finding.Content, Place: "offset 0x5", Offset: 5, Length: 1, ShippedExcerpt: "35", RebuiltExcerpt: "ca"}}},
		{"close together", changed(base, 16, 20, 35), 3, 1, []finding.Cause{
			{Type: finding.Content, Place: "offset 0x10", Offset: 16, Length: 20,
				ShippedExcerpt: "3031323334353637383961626364656630313233", RebuiltExcerpt: "cf313233cb3536373839616263646566303132cc"}}},
		{"far apart", changed(base, 0, 17), 2, 2, []finding.Cause{
			{Type: finding.Content, Place: "offset 0x0", Offset: 0, Length: 1, ShippedExcerpt: "30", RebuiltExcerpt: "cf"},
			{Type: finding.Content, Place: "offset 0x11", Offset: 17, Length: 1, ShippedExcerpt: "31", RebuiltExcerpt: "ce"}}},
		{"across a chunk's end", changed(base, chunk-1, chunk), 2, 1, []finding.Cause{
			{Type: finding.Content, Place: "offset 0xfffff", Offset: chunk - 1, Length: 2, ShippedExcerpt: "6630", RebuiltExcerpt: "99cf"}}},
		{"shorter", base[:len(base)-2], 2, 1, []finding.Cause{
			{Type: finding.Size, Place: "shipped file has 3145728 bytes, rebuilt file 3145726", Offset: 3*chunk - 2, Length: 2, ShippedExcerpt: "6566"}}},
		{"longer and other", append(changed(base, 1), 'x'), 2, 2, []finding.Cause{
			{Type: finding.Content, Place: "offset 0x1", Offset: 1, Length: 1, ShippedExcerpt: "31", RebuiltExcerpt: "ce"},
			{Type: finding.Size, Place: "shipped file has 3145728 bytes, rebuilt file 3145729", Offset: 3 * chunk, Length: 1, RebuiltExcerpt: "78"}}},
		{"nothing left", nil, 3 * chunk, 1, []finding.Cause{
			{Type: finding.Size, Place: "shipped file has 3145728 bytes, rebuilt file 0", Offset: 0, Length: 3 * chunk,
				ShippedExcerpt: "3031323334353637383961626364656630313233343536373839616263646566"}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := Compare(t.Context(), file(base), file(tc.rebuilt))
			if err != nil {
				t.Fatal(err)
			}
			if got.Equal != (tc.ranges == 0) || got.DifferingBytes != tc.bytes || got.Ranges != tc.ranges {
				t.Errorf("equal %v, %d bytes in %d ranges; want %d in %d", got.Equal, got.DifferingBytes, got.Ranges, tc.bytes, tc.ranges)
			}
			if len(got.Causes) != len(tc.causes) {
				t.Fatalf("causes %+v, want %+v", got.Causes, tc.causes)
			}
			for i := range tc.causes {
				if got.Causes[i] != tc.causes[i] {
					t.Errorf("cause %d: %+v, want %+v", i, got.Causes[i], tc.causes[i])
				}
			}
		})
	}
}

// The counts agree with a plain count over random differences, and the list stays bounded.
func TestCompareCounts(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	base := make([]byte, 2*chunk+77)
	other := bytes.Clone(base)
	for range 5000 {
		other[rnd.IntN(len(other))] = 1
	}
	wantBytes, wantRanges, last := int64(0), 0, -mergeGap-1
	for i, b := range other {
		if b == 1 {
			wantBytes++
			if i-last > mergeGap {
				wantRanges++
			}
			last = i
		}
	}
	got, err := Compare(t.Context(), file(base), file(other))
	if err != nil {
		t.Fatal(err)
	}
	if got.DifferingBytes != wantBytes || got.Ranges != wantRanges {
		t.Errorf("%d bytes in %d ranges, want %d in %d", got.DifferingBytes, got.Ranges, wantBytes, wantRanges)
	}
	if len(got.Causes) != MaxCauses {
		t.Errorf("%d causes listed, want %d", len(got.Causes), MaxCauses)
	}
}

func TestCompareErrors(t *testing.T) {
	b := []byte("four")
	if _, err := Compare(t.Context(), file(b), File{bytes.NewReader(b), 9}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a file that ends early: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Compare(ctx, file(b), file(b)); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
