package signature

import (
	"context"
	"strings"
	"testing"

	"github.com/countersign-escrow/countersign/verifier/finding"
	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

// endless is a file as long as it says, all of zeros, of which nothing is kept.
type endless struct{ read *int64 }

func (e endless) ReadAt(b []byte, _ int64) (int, error) {
	*e.read += int64(len(b))
	clear(b)
	return len(b), nil
}

func (endless) Close() error { return nil }

// TestReadingIsBounded makes sure that many signatures over one large file do not keep a worker for long, and that the ones before are judged.
func TestReadingIsBounded(t *testing.T) {
	s := newSigner(t)
	var read int64
	large := proof.Bytes(proof.Artifact, "large", []byte("its digest is not looked at"))
	large.Size = 64 << 20
	large.Open = func(context.Context) (proof.Content, error) { return endless{&read}, nil }
	r := newRelease(t, s.bundle(theManifest))
	r.Files = append(r.Files, large)
	one := s.file(theSource)
	one.Subject = large.Digest
	for len(r.Signatures) < MaxSignatures {
		r.Signatures = append(r.Signatures, one)
	}
	f := check1(t, s.anchors(anchor.Release), r)
	most := int64(leastRead) + timesRead*(large.Size+r.Files[0].Size+r.Files[1].Size)
	if read > most || read < most/2 {
		t.Errorf("%d bytes were read, %d at most", read, most)
	}
	last := f.Evidence.Signatures[MaxSignatures-1]
	if f.Outcome != finding.Passed || !strings.Contains(last.Problem, "more often than is allowed") || strings.Contains(f.Evidence.Signatures[1].Problem, "often") {
		t.Errorf("%s: %+v", f.Summary, last)
	}
}
