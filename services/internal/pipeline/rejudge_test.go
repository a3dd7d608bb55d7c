package pipeline_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/anchorpb/anchortest"
	"github.com/countersign-escrow/countersign/services/internal/servicetest"
	"github.com/countersign-escrow/countersign/verifier/finding"
	"github.com/countersign-escrow/countersign/verifier/signature/sshsig"
)

const accepted, rejected = pb.Decision_DECISION_ACCEPTED, pb.Decision_DECISION_REJECTED

// policySigned is of a lab that asks for nothing but a signature that counts.
const policySigned = "rules:\n  - name: signed\n    accept: signature.outcome == 'PASSED'\n    reject: signature.outcome == 'FAILED'\n"

// said is what was found of who signed a release, one after the other.
func said(t *testing.T, s *servicetest.Stage, r *servicetest.Release) (outcomes []finding.Outcome) {
	t.Helper()
	view(t, s, func(tx *catalog.Tx) error {
		rows, err := tx.Findings(r.Name, 0, 1000)
		for _, row := range rows {
			var f finding.Finding
			if err := json.Unmarshal(row.Finding, &f); err != nil {
				return err
			}
			if f.Check == finding.Signature {
				outcomes = append(outcomes, f.Outcome)
			}
		}
		return err
	})
	return outcomes
}

// An anchor that is revoked ends for what comes; one that is compromised takes with it what was accepted by it before.
func TestCompromisedAnchor(t *testing.T) {
	s := servicetest.New(t)
	s.Start(t)
	s.Sandbox.Makes(map[string]string{"app": "the app"})
	v, lab := s.Vendor(t, "acme"), s.Lab(t, "lab-se", "SE", policySigned)
	v.Grant(t, lab.Name, time.Hour)
	other := anchortest.New(t)
	key := v.Trust(t, &pb.TrustAnchor{SshAllowedSigners: other.AllowedSigners()})

	first, second, plain := v.Prepare(t, "1.0", map[string]string{"app": "the app"}), v.Prepare(t, "1.1", map[string]string{"app": "the app"}),
		v.Prepare(t, "1.2", map[string]string{"app": "the app"})
	for _, r := range []*servicetest.Release{first, second} {
		r.Signatures = []*pb.Signature{{MediaType: sshsig.MediaType, Content: other.SignSSH(t, r.Raw(t))}}
	}
	plain.Sign(t, v.Key)
	for _, r := range []*servicetest.Release{first, second, plain} {
		sealed(t, s, v, r)
		lab.Decides(t, r, accepted)
	}

	revoke := func(compromised bool) {
		t.Helper()
		if _, err := v.Directory.RevokeTrustAnchor(t.Context(), &pb.RevokeTrustAnchorRequest{Name: key, Compromised: compromised}); err != nil {
			t.Fatal(err)
		}
	}
	revoke(false)
	revoke(true)
	revoke(true)
	for _, r := range []*servicetest.Release{first, second} {
		report := lab.Decides(t, r, rejected)
		if got := said(t, s, r); len(got) != 2 || got[0] != finding.Passed || got[1] != finding.Failed {
			t.Errorf("%s: found %v, reported %v", r.Name, got, report)
		}
	}
	if got := said(t, s, plain); len(got) != 1 {
		t.Errorf("%s, which another key signed: found %v", plain.Name, got)
	}
	lab.Decides(t, plain, accepted)
}
