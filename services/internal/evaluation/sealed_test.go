package evaluation_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/escrow/digest"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
)

// A lab gets a sealed release with its signatures, and the vendor sees that it did.
func TestASealedReleaseAndItsSignatures(t *testing.T) {
	_, v, lab := started(t)
	grant := v.Grant(t, lab.Name, time.Hour)
	r := v.Release(t, "1.0", files)
	resp, err := lab.Evaluation.GetSealedRelease(t.Context(), &pb.GetSealedReleaseRequest{Name: r.Name.String()})
	if err != nil {
		t.Fatal(err)
	}
	got := resp.GetRelease()
	if got.GetName() != r.Name.String() || got.GetManifestDigest() != digest.Of(r.Raw(t)).String() || got.GetReceipt() == "" ||
		got.GetState() != pb.ReleaseState_RELEASE_STATE_SEALED {
		t.Errorf("release %v", got)
	}
	if s := resp.GetSignatures(); len(s) != 1 || !bytes.Equal(s[0].GetContent(), r.Signatures[0].GetContent()) || s[0].GetMediaType() != r.Signatures[0].GetMediaType() {
		t.Errorf("%d signatures", len(s))
	}
	trail, err := v.Deposit.ListAccessRecords(t.Context(), &pb.ListAccessRecordsRequest{Parent: v.Name.String()})
	if err != nil || len(trail.GetAccessRecords()) != 1 {
		t.Fatalf("trail: %v, %v", trail, err)
	}
	if a := trail.GetAccessRecords()[0]; a.GetResource() != r.Name.String() || a.GetGrant() != grant || a.GetBytes() == 0 {
		t.Errorf("access record: %v", a)
	}
}
