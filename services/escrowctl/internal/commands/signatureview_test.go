package commands

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/verifier/finding"
)

func TestSignaturesBelowTheirFinding(t *testing.T) {
	at := timestamppb.New(time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC))
	line := findingLine("organizations/acme/products/w/releases/1", &pb.Finding{Check: pb.Check_CHECK_SIGNATURE, Outcome: pb.Outcome_OUTCOME_PASSED,
		Rebuilder: "organizations/operator", Summary: "1 of 2 signatures count", Signatures: []*pb.SignatureEvidence{
			{Kind: "openpgp", File: "SHA256SUMS.asc", Valid: true, Anchor: "organizations/acme/trustAnchors/a", Signer: "Ann", KeyId: "AB12", Covers: "2 files",
				Files: []*pb.CoveredFile{{Role: pb.FileRole_FILE_ROLE_SOURCE, Name: "src.tar"}, {Role: pb.FileRole_FILE_ROLE_ARTIFACT, Name: "bin/w"}},
				Time:  at, TimeBy: "a time stamp by X", ClaimedTime: at, Weak: []string{"SHA-1"}, Notes: []string{"text outside\x1b[31m"}, Roots: []string{"root"}},
			{Kind: "ssh", File: "w.sig", Problem: "made by a stranger\nFINDING forged"},
		}})
	want := `FINDING w/1 SIGNATURE PASSED by operator: 1 of 2 signatures count
  SHA256SUMS.asc openpgp counts: by organizations/acme/trustAnchors/a (Ann, AB12)
    over 2 files
      SOURCE src.tar
      ARTIFACT bin/w
    at 2030-01-02T03:04:05Z, known by a time stamp by X
    made, says the signer, at 2030-01-02T03:04:05Z
    rests on root
    weak: SHA-1
    note: text outside\u001b[31m
  w.sig ssh does not count: made by a stranger\u000aFINDING forged
    over -`
	if line != want {
		t.Errorf("got\n%s\nwant\n%s", line, want)
	}
}

func TestForecastLine(t *testing.T) {
	e := finding.SignatureEvidence{Kind: "ssh", File: "release.sshsig", Valid: true, Anchor: "organizations/acme/trustAnchors/a", Covers: "the manifest"}
	if got, want := forecastLine(e), "SIGNATURE release.sshsig ssh over the manifest will count: by organizations/acme/trustAnchors/a"; got != want {
		t.Errorf("%q", got)
	}
	e.Valid, e.Problem = false, "too\nold"
	if got := forecastLine(e); !strings.HasSuffix(got, `over the manifest will not count: too\u000aold`) {
		t.Errorf("%q", got)
	}
}
