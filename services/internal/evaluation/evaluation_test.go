package evaluation_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/digest"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/rpc/rpcfault"
	"github.com/countersign-escrow/countersign/services/internal/rpc/rpctest"
	"github.com/countersign-escrow/countersign/services/internal/servicetest"
	"github.com/countersign-escrow/countersign/verifier/attest"
)

var files = map[string]string{"app": "the app"}

func started(t *testing.T) (*servicetest.Stage, *servicetest.Vendor, *servicetest.Lab) {
	t.Helper()
	s := servicetest.New(t)
	s.Sandbox.Makes(files)
	s.Start(t)
	return s, s.Vendor(t, "acme"), s.Lab(t, "lab-se", "SE", servicetest.PolicyMatch)
}

func TestAReportIsAnAttestationForItsLab(t *testing.T) {
	s, v, lab := started(t)
	v.Grant(t, lab.Name, time.Hour)
	r := v.Release(t, "1.0", files)
	report := lab.Decides(t, r, pb.Decision_DECISION_ACCEPTED)
	if len(report.GetRules()) != 1 || report.GetRules()[0].GetRule() != "all-match" || len(report.GetRules()[0].GetEvidence()) == 0 {
		t.Errorf("rules: %v", report.GetRules())
	}
	resp, err := lab.Attestations.GetAttestation(t.Context(), &pb.GetAttestationRequest{Name: report.GetAttestation()})
	if err != nil {
		t.Fatal(err)
	}
	got, err := attest.Verify(resp.GetAttestation().GetBundle(), s.Root, s.Statement, attest.Policy{Artifact: digest.Of([]byte("the app")), PredicateType: attest.TypeSummary})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"PASSED"`, `"ACCEPTED"`, lab.Name.String(), report.GetPolicy(), report.GetRules()[0].GetEvidence()[0]} {
		if !strings.Contains(string(got.Statement.Predicate), want) {
			t.Errorf("the summary does not say %s: %s", want, got.Statement.Predicate)
		}
	}
	if one, err := lab.Evaluation.GetReport(t.Context(), &pb.GetReportRequest{Name: report.GetName()}); err != nil || one.GetReport().GetDecision() != report.GetDecision() {
		t.Errorf("GetReport: %v, %v", one, err)
	}
}

// read reads up to n reports from a stream.
func read(t *testing.T, lab *servicetest.Lab, after int64, n int) (list []*pb.Report) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	stream, err := lab.Evaluation.WatchReports(ctx, &pb.WatchReportsRequest{Parent: lab.Name.String(), AfterSequence: after})
	if err != nil {
		t.Fatal(err)
	}
	for len(list) < n {
		resp, err := stream.Recv()
		if err != nil {
			t.Fatalf("after %d reports: %v", len(list), err)
		}
		list = append(list, resp.GetReport())
	}
	return list
}

func TestTheStreamOfReportsGoesOnAfterACut(t *testing.T) {
	_, v, lab := started(t)
	v.Grant(t, lab.Name, time.Hour)
	var last int64
	for _, version := range []string{"1.0", "2.0", "3.0"} {
		r := v.Release(t, version, files)
		last = lab.Decides(t, r, pb.Decision_DECISION_ACCEPTED).GetSequence()
	}
	whole := read(t, lab, 0, int(last))
	for i, r := range whole {
		if r.GetSequence() != int64(i+1) {
			t.Fatalf("report %d has the number %d", i, r.GetSequence())
		}
	}
	rest := read(t, lab, whole[1].GetSequence(), len(whole)-2)
	for i, r := range rest {
		if r.GetName() != whole[i+2].GetName() {
			t.Errorf("after the cut: %s, want %s", r.GetName(), whole[i+2].GetName())
		}
	}
	// On each release, the reports come in the order in which they were made: the last one holds.
	newest := map[string]*pb.Report{}
	for _, r := range whole {
		if before := newest[r.GetRelease()]; before != nil && !before.GetSuperseded() {
			t.Errorf("%s is not superseded by %s", before.GetName(), r.GetName())
		}
		newest[r.GetRelease()] = r
	}
	for release, r := range newest {
		if r.GetDecision() != pb.Decision_DECISION_ACCEPTED || r.GetSuperseded() {
			t.Errorf("the last report on %s: %v", release, r)
		}
	}
}

func TestTheStreamBringsReportsAsTheyAreMade(t *testing.T) {
	_, v, lab := started(t)
	v.Grant(t, lab.Name, time.Hour)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	stream, err := lab.Evaluation.WatchReports(ctx, &pb.WatchReportsRequest{Parent: lab.Name.String()})
	if err != nil {
		t.Fatal(err)
	}
	v.Release(t, "1.0", files)
	for {
		resp, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if resp.GetReport().GetDecision() == pb.Decision_DECISION_ACCEPTED {
			return
		}
	}
}

func TestALabWithoutAGrantSeesNothing(t *testing.T) {
	s, v, lab := started(t)
	r := v.Release(t, "1.0", files)
	v.Checked(t, r)
	outsider := s.Lab(t, "lab-no", "NO", servicetest.PolicyMatch)
	grant := v.Grant(t, lab.Name, time.Hour)
	lab.Decides(t, r, pb.Decision_DECISION_ACCEPTED)
	unknown := "organizations/acme/products/unknown/releases/1.0"
	ctx := t.Context()
	calls := func(l *servicetest.Lab, release string) map[string]error {
		errs := map[string]error{}
		_, errs["ListFindings"] = l.Evaluation.ListFindings(ctx, &pb.ListFindingsRequest{Parent: release})
		_, errs["TestPolicy"] = l.Evaluation.TestPolicy(ctx, &pb.TestPolicyRequest{Parent: l.Name.String(), Source: servicetest.PolicyMatch, Release: release})
		_, errs["ListReports"] = l.Evaluation.ListReports(ctx, &pb.ListReportsRequest{Parent: l.Name.String(), Release: release})
		_, errs["GetSealedRelease"] = l.Evaluation.GetSealedRelease(ctx, &pb.GetSealedReleaseRequest{Name: release})
		_, errs["ReadBlob"] = readBlob(ctx, l, &pb.ReadBlobRequest{Release: release, Digest: digest.Of([]byte("the app")).String()})
		return errs
	}
	refused := func(l *servicetest.Lab) {
		t.Helper()
		there, notThere := calls(l, r.Name.String()), calls(l, unknown)
		for what, err := range there {
			rpctest.WantCode(t, what, err, codes.PermissionDenied, "NO_GRANT")
			same := strings.ReplaceAll(rpcfault.FromStatus(err).Error(), v.Product.String(), "organizations/acme/products/unknown")
			if err != nil && same != rpcfault.FromStatus(notThere[what]).Error() {
				t.Errorf("%s tells what is there from what is not: %v, %v", what, err, notThere[what])
			}
		}
		found, err := l.Evaluation.LookupArtifact(ctx, &pb.LookupArtifactRequest{Digest: digest.Of([]byte("the app")).String()})
		if err != nil || len(found.GetMatches()) != 0 {
			t.Errorf("LookupArtifact: %v, %v", found, err)
		}
	}
	refused(outsider)
	for what, err := range calls(lab, r.Name.String()) {
		if err != nil {
			t.Errorf("%s with a grant: %v", what, err)
		}
	}
	report := lab.Newest(t, r)
	v.Revoke(t, grant)
	refused(lab)
	all, err := lab.Evaluation.ListReports(ctx, &pb.ListReportsRequest{Parent: lab.Name.String()})
	if err != nil || len(all.GetReports()) != 0 {
		t.Errorf("after the grant, all reports: %v, %v", all, err)
	}
	_, err = lab.Evaluation.GetReport(ctx, &pb.GetReportRequest{Name: report.GetName()})
	rpctest.WantCode(t, "a report after the grant", err, codes.PermissionDenied, "NO_GRANT")
	_, err = outsider.Evaluation.GetReport(ctx, &pb.GetReportRequest{Name: report.GetName()})
	rpctest.WantCode(t, "another lab's report", err, codes.PermissionDenied, "NOT_YOURS")
	_, err = outsider.Evaluation.SetPolicy(ctx, &pb.SetPolicyRequest{Parent: lab.Name.String(), Source: servicetest.PolicyMatch})
	rpctest.WantCode(t, "another lab's policy", err, codes.PermissionDenied, "NOT_YOURS")
}

func TestAnOpenReleaseIsNobodysBusiness(t *testing.T) {
	_, v, lab := started(t)
	v.Grant(t, lab.Name, time.Hour)
	r := v.Prepare(t, "1.0", files)
	v.Open(t, r)
	_, err := lab.Evaluation.ListFindings(t.Context(), &pb.ListFindingsRequest{Parent: r.Name.String()})
	rpctest.WantCode(t, "ListFindings", err, codes.NotFound, "")
	_, err = lab.Evaluation.GetSealedRelease(t.Context(), &pb.GetSealedReleaseRequest{Name: r.Name.String()})
	rpctest.WantCode(t, "GetSealedRelease", err, codes.NotFound, "")
}

func readBlob(ctx context.Context, lab *servicetest.Lab, r *pb.ReadBlobRequest) ([]byte, error) {
	stream, err := lab.Evaluation.ReadBlob(ctx, r)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	for {
		resp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return b.Bytes(), nil
		}
		if err != nil {
			return b.Bytes(), err
		}
		b.Write(resp.GetData())
	}
}

func TestReadBlobByRange(t *testing.T) {
	_, v, lab := started(t)
	grant := v.Grant(t, lab.Name, time.Hour)
	content := make([]byte, 3<<20+5)
	_, _ = rand.Read(content)
	r := v.Release(t, "1.0", map[string]string{"app": string(content)})
	d := digest.Of(content).String()
	for what, c := range map[string]struct {
		from, limit int64
		want        []byte
	}{
		"whole":      {0, 0, content},
		"end":        {3 << 20, 0, content[3<<20:]},
		"part":       {1000, 300 << 10, content[1000 : 1000+300<<10]},
		"beyond":     {3 << 20, 1 << 40, content[3<<20:]},
		"at the end": {int64(len(content)), 0, nil},
	} {
		got, err := readBlob(t.Context(), lab, &pb.ReadBlobRequest{Release: r.Name.String(), Digest: d, ReadOffset: c.from, ReadLimit: c.limit})
		if err != nil || !bytes.Equal(got, c.want) {
			t.Errorf("%s: %d bytes, want %d, %v", what, len(got), len(c.want), err)
		}
	}
	for what, q := range map[string]*pb.ReadBlobRequest{
		"offset beyond":   {ReadOffset: int64(len(content)) + 1},
		"negative offset": {ReadOffset: -1},
		"negative limit":  {ReadLimit: -1},
	} {
		q.Release, q.Digest = r.Name.String(), d
		_, err := readBlob(t.Context(), lab, q)
		rpctest.WantCode(t, what, err, codes.InvalidArgument, "")
	}
	_, err := readBlob(t.Context(), lab, &pb.ReadBlobRequest{Release: r.Name.String(), Digest: digest.Of([]byte("not of this release")).String()})
	rpctest.WantCode(t, "a file of no release", err, codes.NotFound, "")
	for what, digest := range map[string]digest.Digest{"manifest": digest.Of(r.Raw(t)), "source": r.Manifest.Sources[0].Digest, "image": r.Manifest.Environment.Image} {
		if got, err := readBlob(t.Context(), lab, &pb.ReadBlobRequest{Release: r.Name.String(), Digest: digest.String()}); err != nil || len(got) == 0 {
			t.Errorf("%s: %d bytes, %v", what, len(got), err)
		}
	}

	trail, err := v.Deposit.ListAccessRecords(t.Context(), &pb.ListAccessRecordsRequest{Parent: v.Name.String(), PageSize: 5})
	if err != nil || len(trail.GetAccessRecords()) != 5 || trail.GetNextPageToken() == "" {
		t.Fatalf("trail: %v, %v", trail, err)
	}
	var bytesRead []int64
	for token := ""; ; {
		page, err := v.Deposit.ListAccessRecords(t.Context(), &pb.ListAccessRecordsRequest{Parent: v.Name.String(), PageSize: 5, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range page.GetAccessRecords() {
			if a.GetReader() != lab.Name.String() || a.GetMember() != "member" || a.GetGrant() != grant || !strings.HasPrefix(a.GetResource(), r.Name.String()) {
				t.Errorf("access record: %v", a)
			}
			bytesRead = append(bytesRead, a.GetBytes())
		}
		if token = page.GetNextPageToken(); token == "" {
			break
		}
	}
	if len(bytesRead) != 8 {
		t.Errorf("%d readings are recorded, want 8: %v", len(bytesRead), bytesRead)
	}
}

// A grant that ends in the middle of a stream ends the stream, and the trail says how far it came.
func TestAGrantThatEndsEndsTheStream(t *testing.T) {
	_, v, lab := started(t)
	grant := v.Grant(t, lab.Name, time.Hour)
	content := make([]byte, 24<<20)
	_, _ = rand.Read(content)
	r := v.Prepare(t, "1.0", map[string]string{"app": "the app"})
	d := digest.Of(content)
	r.Manifest.Artifacts[0].Digest, r.Manifest.Artifacts[0].Size = d, int64(len(content))
	v.Open(t, r)
	if err := v.Upload(t.Context(), d, content); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Seal(t.Context(), t, r); err != nil {
		t.Fatal(err)
	}
	stream, err := lab.Evaluation.ReadBlob(t.Context(), &pb.ReadBlobRequest{Release: r.Name.String(), Digest: d.String()})
	if err != nil {
		t.Fatal(err)
	}
	first, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	v.Revoke(t, grant)
	got := len(first.GetData())
	for err == nil {
		var resp *pb.ReadBlobResponse
		resp, err = stream.Recv()
		got += len(resp.GetData())
	}
	rpctest.WantCode(t, "the stream", err, codes.PermissionDenied, "NO_GRANT")
	if got >= len(content) {
		t.Errorf("%d of %d bytes came", got, len(content))
	}
	trail, err := v.Deposit.ListAccessRecords(t.Context(), &pb.ListAccessRecordsRequest{Parent: v.Name.String()})
	if err != nil || len(trail.GetAccessRecords()) != 1 || trail.GetAccessRecords()[0].GetBytes() != int64(got) {
		t.Errorf("%d bytes came; trail: %v, %v", got, trail, err)
	}
}

func TestPolicies(t *testing.T) {
	_, v, lab := started(t)
	v.Grant(t, lab.Name, time.Hour)
	r := v.Release(t, "1.0", files)
	lab.Decides(t, r, pb.Decision_DECISION_ACCEPTED)
	ctx := t.Context()

	_, err := lab.Evaluation.SetPolicy(ctx, &pb.SetPolicyRequest{Parent: lab.Name.String(), Source: "rules:\n  - name: x\n    accept: nonsense(\n"})
	rpctest.WantCode(t, "a policy that is none", err, codes.InvalidArgument, "")
	if err != nil && !strings.Contains(rpcfault.FromStatus(err).Error(), "policy.yaml:3") {
		t.Errorf("%v does not name the place", rpcfault.FromStatus(err))
	}

	const strict = "rules:\n  - name: never\n    accept: 'false'\n    reject: 'true'\n    reason: nothing is good enough\n"
	tried, err := lab.Evaluation.TestPolicy(ctx, &pb.TestPolicyRequest{Parent: lab.Name.String(), Source: strict, Release: r.Name.String()})
	if err != nil || tried.GetReport().GetDecision() != pb.Decision_DECISION_REJECTED || tried.GetReport().GetName() != "" {
		t.Errorf("TestPolicy: %v, %v", tried, err)
	}
	if got := lab.Newest(t, r); got.GetDecision() != pb.Decision_DECISION_ACCEPTED {
		t.Errorf("a policy that was only tried made a report: %v", got)
	}

	request := &pb.SetPolicyRequest{Parent: lab.Name.String(), Source: strict, RequestId: uuid.NewString()}
	var set *pb.SetPolicyResponse
	for range 2 {
		if set, err = lab.Evaluation.SetPolicy(ctx, request); err != nil || set.GetPolicy().GetVersion() != 2 {
			t.Fatalf("SetPolicy: %v, %v", set, err)
		}
	}
	rejected := lab.Decides(t, r, pb.Decision_DECISION_REJECTED)
	if rejected.GetPolicy() != set.GetPolicy().GetName() || rejected.GetPolicyDigest() != digest.Of([]byte(strict)).String() {
		t.Errorf("report under the new policy: %v", rejected)
	}
	one, err := lab.Evaluation.GetPolicy(ctx, &pb.GetPolicyRequest{Name: lab.Name.String() + "/policies/1"})
	if err != nil || one.GetPolicy().GetSource() != servicetest.PolicyMatch {
		t.Errorf("GetPolicy: %v, %v", one, err)
	}
	list, err := lab.Evaluation.ListPolicies(ctx, &pb.ListPoliciesRequest{Parent: lab.Name.String(), PageSize: 1})
	if err != nil || len(list.GetPolicies()) != 1 || list.GetPolicies()[0].GetVersion() != 2 || list.GetNextPageToken() == "" {
		t.Fatalf("ListPolicies: %v, %v", list, err)
	}
	list, err = lab.Evaluation.ListPolicies(ctx, &pb.ListPoliciesRequest{Parent: lab.Name.String(), PageSize: 1, PageToken: list.GetNextPageToken()})
	if err != nil || len(list.GetPolicies()) != 1 || list.GetPolicies()[0].GetVersion() != 1 || list.GetNextPageToken() != "" {
		t.Errorf("the second page: %v, %v", list, err)
	}
}

func TestFindingsAndLookup(t *testing.T) {
	s, v, lab := started(t)
	v.Grant(t, lab.Name, time.Hour)
	r := v.Release(t, "1.0", files)
	report := lab.Decides(t, r, pb.Decision_DECISION_ACCEPTED)
	var checks []string
	for token := ""; ; {
		page, err := lab.Evaluation.ListFindings(t.Context(), &pb.ListFindingsRequest{Parent: r.Name.String(), PageSize: 2, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range page.GetFindings() {
			checks = append(checks, strings.TrimPrefix(f.GetCheck().String(), "CHECK_"))
		}
		if token = page.GetNextPageToken(); token == "" {
			break
		}
	}
	if strings.Join(checks, " ") != "SIGNATURE SOURCE ENVIRONMENT REBUILD COMPARISON" {
		t.Errorf("findings: %v", checks)
	}
	found, err := lab.Evaluation.LookupArtifact(t.Context(), &pb.LookupArtifactRequest{Digest: digest.Of([]byte("the app")).String()})
	if err != nil || len(found.GetMatches()) != 1 {
		t.Fatalf("lookup: %v, %v", found, err)
	}
	if m := found.GetMatches()[0]; m.GetRelease() != r.Name.String() || m.GetArtifact() != "app" || m.GetReport().GetName() != report.GetName() {
		t.Errorf("match: %v", m)
	}
	// The vendor reads its own, and that is nobody's news; findings were read twice and more by the lab.
	_, conn := v.Name, s.Member(t, v.Name)
	if _, err := pb.NewEvaluationServiceClient(conn).ListFindings(t.Context(), &pb.ListFindingsRequest{Parent: r.Name.String()}); err != nil {
		t.Errorf("the vendor's own findings: %v", err)
	}
	err = s.Catalog.View(t.Context(), func(tx *catalog.Tx) error {
		records, err := tx.AccessRecords(v.Name, 0, 100)
		for _, a := range records {
			if a.Reader != lab.Name {
				t.Errorf("recorded: %+v", a)
			}
		}
		if len(records) != 3 {
			t.Errorf("%d readings, want 3", len(records))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
