package findingpb

import (
	"encoding/json"
	"testing"

	"github.com/countersign-escrow/countersign/escrow/catalog"
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
