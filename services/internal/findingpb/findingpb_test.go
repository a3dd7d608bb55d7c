package findingpb

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/digest"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/verifier/finding"
)

func TestEveryWordHasItsEnum(t *testing.T) {
	for _, c := range []finding.Check{finding.Signature, finding.Source, finding.Environment, finding.Rebuild, finding.Comparison} {
		if m := message(t, finding.Finding{Check: c}); m.GetCheck() == pb.Check_CHECK_UNSPECIFIED {
			t.Errorf("check %s has no enum", c)
		}
	}
	for _, o := range []finding.Outcome{finding.Passed, finding.Failed, finding.Undecided} {
		if m := message(t, finding.Finding{Outcome: o}); m.GetOutcome() == pb.Outcome_OUTCOME_UNSPECIFIED {
			t.Errorf("outcome %s has no enum", o)
		}
	}
	for _, v := range []finding.Verdict{finding.Match, finding.MatchNormalized, finding.DiffersStable, finding.DiffersUnstable,
		finding.BuildFailed, finding.TimedOut, finding.ResourceExceeded, finding.NotProduced, finding.Incomplete} {
		if m := message(t, finding.Finding{Verdict: v}); m.GetVerdict() == pb.Verdict_VERDICT_UNSPECIFIED {
			t.Errorf("verdict %s has no enum", v)
		}
	}
}

func TestCausesAreKept(t *testing.T) {
	f := finding.Finding{Causes: []finding.Cause{{Type: finding.Content, Place: ".text", Offset: 7, Length: 1, ShippedExcerpt: "00", RebuiltExcerpt: "01"}}}
	got := message(t, f).GetCauses()
	if len(got) != 1 || got[0].GetType() != "CONTENT" || got[0].GetPlace() != ".text" || got[0].GetOffset() != 7 || got[0].GetLength() != 1 ||
		got[0].GetShippedExcerpt() != "00" || got[0].GetRebuiltExcerpt() != "01" {
		t.Errorf("causes: %v", got)
	}
}

func TestSignaturesAreKept(t *testing.T) {
	f := finding.Finding{Evidence: finding.Evidence{Signatures: []finding.SignatureEvidence{{
		Kind: "openpgp", File: "a.asc", Valid: true, Anchor: "organizations/acme/trustAnchors/a", Roots: []string{"r"}, KeyID: "k", Signer: "s", Covers: "c",
		Files: []finding.CoveredFile{{Role: "MANIFEST", Name: "manifest", Digest: digest.Of([]byte("m"))}, {Role: "SOURCE"}, {Role: "ARTIFACT"}},
		Time:  "2026-03-01T12:00:00Z", TimeBy: "the deposit", Claimed: "2026-02-01T12:00:00Z", Weak: []string{"SHA-1"}, Notes: []string{"n"}, Problem: "p",
	}}}}
	want := &pb.SignatureEvidence{
		Kind: "openpgp", File: "a.asc", Valid: true, Anchor: "organizations/acme/trustAnchors/a", Roots: []string{"r"}, KeyId: "k", Signer: "s", Covers: "c",
		Files: []*pb.CoveredFile{{Role: pb.FileRole_FILE_ROLE_MANIFEST, Name: "manifest", Digest: digest.Of([]byte("m")).String()},
			{Role: pb.FileRole_FILE_ROLE_SOURCE}, {Role: pb.FileRole_FILE_ROLE_ARTIFACT}},
		Time: timestamppb.New(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)), TimeBy: "the deposit",
		ClaimedTime: timestamppb.New(time.Date(2026, 2, 1, 12, 0, 0, 0, time.UTC)), Weak: []string{"SHA-1"}, Notes: []string{"n"}, Problem: "p",
	}
	got := message(t, f).GetSignatures()
	if len(got) != 1 || !proto.Equal(got[0], want) {
		t.Errorf("signatures %v", got)
	}
}

// Whatever a release's signatures cover, the message about it is one that can be sent, and names every signature.
func TestCoveredFilesAreBounded(t *testing.T) {
	e := finding.SignatureEvidence{Kind: "openpgp", Files: make([]finding.CoveredFile, 1000)}
	for i := range e.Files {
		e.Files[i] = finding.CoveredFile{Role: "ARTIFACT", Name: strings.Repeat("x", 1000), Digest: digest.Of([]byte("a"))}
	}
	m := message(t, finding.Finding{Evidence: finding.Evidence{Signatures: slices.Repeat([]finding.SignatureEvidence{e}, 64)}})
	if n := len(m.GetSignatures()); n != 64 {
		t.Errorf("%d signatures", n)
	}
	if n := proto.Size(m); n < maxCoveredBytes || n > 1<<20 {
		t.Errorf("the message has %d bytes", n)
	}
}

func TestStoredNonsenseIsAnError(t *testing.T) {
	if m, err := Message(&catalog.Finding{Finding: []byte("{")}); err == nil {
		t.Errorf("made %v of it", m)
	}
}

func message(t *testing.T, f finding.Finding) *pb.Finding {
	t.Helper()
	raw, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	m, err := Message(&catalog.Finding{Finding: raw})
	if err != nil {
		t.Fatal(err)
	}
	return m
}
