package servicetest

import (
	"crypto/ecdsa"
	"testing"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/resource"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
)

// Policies of labs.
const (
	PolicyMatch = "rules:\n  - name: all-match\n    accept: artifacts.all(a, size(a.verdicts) > 0 && a.verdicts.all(v, v.verdict == 'MATCH'))\n"
	PolicyOwn   = "rebuild: own\nrules:\n  - name: two-countries\n    accept: artifacts.all(a, countriesMatching(a) >= 2)\n"
)

// Lab is an evaluator with a key that counts for its rebuilds.
type Lab struct {
	Name         resource.Organization
	Key          *ecdsa.PrivateKey
	Evaluation   pb.EvaluationServiceClient
	Rebuilds     pb.RebuildServiceClient
	Attestations pb.AttestationServiceClient
}

// Lab registers an evaluator, with a policy where one is given.
func (s *Stage) Lab(t testing.TB, id, country, policy string) *Lab {
	t.Helper()
	name, conn := s.Connect(t, id, catalog.Evaluator, country)
	l := &Lab{Name: name, Key: newKey(t), Evaluation: pb.NewEvaluationServiceClient(conn),
		Rebuilds: pb.NewRebuildServiceClient(conn), Attestations: pb.NewAttestationServiceClient(conn)}
	s.Anchor(t, name, catalog.PurposeRebuild, l.Key, nil)
	if policy != "" {
		l.SetPolicy(t, policy)
	}
	return l
}

// SetPolicy gives the lab a policy.
func (l *Lab) SetPolicy(t testing.TB, policy string) {
	t.Helper()
	_, err := l.Evaluation.SetPolicy(t.Context(), &pb.SetPolicyRequest{Parent: l.Name.String(), Source: policy})
	check(t, err)
}

// Newest returns the lab's newest report on a release, nil if it has none.
func (l *Lab) Newest(t testing.TB, r *Release) *pb.Report {
	t.Helper()
	resp, err := l.Evaluation.ListReports(t.Context(), &pb.ListReportsRequest{Parent: l.Name.String(), Release: r.Name.String()})
	check(t, err)
	if n := len(resp.GetReports()); n > 0 {
		return resp.GetReports()[n-1]
	}
	return nil
}

// Decides waits until the lab's newest report says so.
func (l *Lab) Decides(t testing.TB, r *Release, want pb.Decision) *pb.Report {
	t.Helper()
	var last *pb.Report
	Eventually(t, l.Name.String()+" decides "+want.String(), func() bool {
		last = l.Newest(t, r)
		return last.GetDecision() == want
	})
	return last
}
