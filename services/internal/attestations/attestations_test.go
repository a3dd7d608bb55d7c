package attestations_test

import (
	"bytes"
	"encoding/pem"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/digest"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/rpc/rpctest"
	"github.com/countersign-escrow/countersign/services/internal/servicetest"
	"github.com/countersign-escrow/countersign/verifier/attest"
)

var files = map[string]string{"app": "the app"}

func list(t *testing.T, c pb.AttestationServiceClient, r *pb.ListAttestationsRequest) (all []*pb.Attestation) {
	t.Helper()
	for r.PageSize = 3; ; {
		resp, err := c.ListAttestations(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, resp.GetAttestations()...)
		if r.PageToken = resp.GetNextPageToken(); r.PageToken == "" {
			return all
		}
	}
}

func byType(all []*pb.Attestation) map[string]int {
	n := map[string]int{}
	for _, a := range all {
		n[a.GetPredicateType()]++
	}
	return n
}

func TestWhoSeesWhat(t *testing.T) {
	s := servicetest.New(t)
	s.Sandbox.Makes(files)
	s.Start(t)
	v := s.Vendor(t, "acme")
	lab, other, outsider := s.Lab(t, "lab-se", "SE", servicetest.PolicyMatch), s.Lab(t, "lab-no", "NO", servicetest.PolicyMatch), s.Lab(t, "lab-dk", "DK", servicetest.PolicyMatch)
	auditorName, conn := s.Connect(t, "auditor", catalog.Auditor, "FI")
	auditor := pb.NewAttestationServiceClient(conn)
	v.Grant(t, lab.Name, time.Hour)
	v.Grant(t, other.Name, time.Hour)
	grant := v.Grant(t, auditorName, time.Hour)
	r := v.Release(t, "1.0", files)
	report := lab.Decides(t, r, pb.Decision_DECISION_ACCEPTED)
	otherReport := other.Decides(t, r, pb.Decision_DECISION_ACCEPTED)
	v.Checked(t, r)
	ctx := t.Context()
	everything := &pb.ListAttestationsRequest{Release: r.Name.String()}

	if n := byType(list(t, lab.Attestations, everything)); n[attest.TypeReceipt] != 1 || n[attest.TypeFinding] != 4 || n[attest.TypeComparison] != 1 || n[attest.TypeSummary] == 0 {
		t.Errorf("a lab with a grant sees %v", n)
	}
	for _, a := range list(t, lab.Attestations, everything) {
		if a.GetName() == otherReport.GetAttestation() {
			t.Error("a lab sees another lab's report")
		}
	}
	_, err := lab.Attestations.GetAttestation(ctx, &pb.GetAttestationRequest{Name: otherReport.GetAttestation()})
	rpctest.WantCode(t, "another lab's report", err, codes.NotFound, "")
	if n := list(t, outsider.Attestations, everything); len(n) != 0 {
		t.Errorf("a lab without a grant sees %v", n)
	}
	for what, name := range map[string]string{"one that is there": report.GetAttestation(), "one that is not": "attestations/none"} {
		_, err := outsider.Attestations.GetAttestation(ctx, &pb.GetAttestationRequest{Name: name})
		rpctest.WantCode(t, what, err, codes.NotFound, "")
	}

	for _, name := range []string{report.GetAttestation(), otherReport.GetAttestation()} {
		got, err := auditor.GetAttestation(ctx, &pb.GetAttestationRequest{Name: name})
		if err != nil {
			t.Fatalf("an auditor with a grant: %v", err)
		}
		if _, err := attest.Verify(got.GetAttestation().GetBundle(), s.Root, s.Statement, attest.Policy{PredicateType: attest.TypeSummary}); err != nil {
			t.Error(err)
		}
	}
	trail, err := v.Deposit.ListAccessRecords(ctx, &pb.ListAccessRecordsRequest{Parent: v.Name.String()})
	if err != nil || len(trail.GetAccessRecords()) != 2 || trail.GetAccessRecords()[0].GetGrant() != grant {
		t.Errorf("trail: %v, %v", trail, err)
	}
	v.Revoke(t, grant)
	if n := list(t, auditor, everything); len(n) != 0 {
		t.Errorf("an auditor after its grant sees %v", n)
	}
}

func TestFilters(t *testing.T) {
	s := servicetest.New(t)
	s.Sandbox.Makes(files)
	s.Start(t)
	v := s.Vendor(t, "acme")
	r := v.Release(t, "1.0", files)
	v.Checked(t, r)
	own := pb.NewAttestationServiceClient(s.Member(t, v.Name))
	servicetest.Eventually(t, "all in the log", func() bool { return len(list(t, own, &pb.ListAttestationsRequest{})) == 7 })
	for _, a := range list(t, own, &pb.ListAttestationsRequest{Subject: digest.Of([]byte("the app")).String(), PredicateType: attest.TypeComparison}) {
		if a.GetPredicateType() != attest.TypeComparison || len(a.GetBundle()) != 0 || len(a.GetSubjects()) != 1 {
			t.Errorf("%v", a)
		}
	}
	if n := len(list(t, own, &pb.ListAttestationsRequest{PredicateType: attest.TypeComparison})); n != 1 {
		t.Errorf("%d comparisons, want 1", n)
	}
	if n := len(list(t, own, &pb.ListAttestationsRequest{Subject: digest.Of([]byte("unknown")).String()})); n != 0 {
		t.Errorf("%d attestations of an unknown file", n)
	}
	_, err := own.ListAttestations(t.Context(), &pb.ListAttestationsRequest{Release: "nonsense"})
	rpctest.WantCode(t, "a malformed name", err, codes.InvalidArgument, "")
}

func TestWhatItTakesToCheck(t *testing.T) {
	s := servicetest.New(t)
	s.Start(t)
	_, conn := s.Connect(t, "auditor", catalog.Auditor, "FI")
	auditor := pb.NewAttestationServiceClient(conn)
	root, err := auditor.GetTrustedRoot(t.Context(), &pb.GetTrustedRootRequest{})
	if err != nil || !bytes.Equal(root.GetTrustedRoot(), s.Root) {
		t.Errorf("trusted root: %v", err)
	}
	if block, _ := pem.Decode([]byte(root.GetStatementKeyPem())); block == nil || block.Type != "PUBLIC KEY" {
		t.Errorf("statement key: %s", root.GetStatementKeyPem())
	}
	v := s.Vendor(t, "acme")
	v.Release(t, "1.0", files)
	got, err := auditor.GetCheckpoint(t.Context(), &pb.GetCheckpointRequest{})
	if err != nil || !bytes.HasPrefix(got.GetCheckpoint(), []byte(s.Log.Origin()+"\n")) {
		t.Errorf("checkpoint: %s, %v", got.GetCheckpoint(), err)
	}
}
