package pipeline_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/manifest"
	"github.com/countersign-escrow/countersign/escrow/resource"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/jobs"
	"github.com/countersign-escrow/countersign/services/internal/servicetest"
	"github.com/countersign-escrow/countersign/verifier/attest"
	"github.com/countersign-escrow/countersign/verifier/finding"
)

// found is the findings about a release by check, or by artifact for comparisons.
func found(t *testing.T, s *servicetest.Stage, name resource.Release) map[string]finding.Finding {
	t.Helper()
	all := map[string]finding.Finding{}
	view(t, s, func(tx *catalog.Tx) error {
		rows, err := tx.Findings(name, 0, 1000)
		for _, row := range rows {
			var f finding.Finding
			if err := json.Unmarshal(row.Finding, &f); err != nil {
				return err
			}
			key := string(f.Check)
			if f.Artifact != "" {
				key = f.Artifact
			}
			key += " by " + row.Rebuilder.ID
			if _, twice := all[key]; twice {
				t.Errorf("%s is recorded twice", key)
			}
			all[key] = f
		}
		return err
	})
	return all
}

func view(t *testing.T, s *servicetest.Stage, f func(*catalog.Tx) error) {
	t.Helper()
	if err := s.Catalog.View(t.Context(), f); err != nil {
		t.Fatal(err)
	}
}

// attestations waits until all attestations are in the log and returns those about a release.
func attestations(t *testing.T, s *servicetest.Stage, viewer resource.Organization, release resource.Release) (list []catalog.Attestation) {
	t.Helper()
	servicetest.Eventually(t, "every attestation in the log", func() bool {
		var pending []catalog.Attestation
		view(t, s, func(tx *catalog.Tx) (err error) {
			pending, err = tx.PendingAttestations()
			return err
		})
		return len(pending) == 0
	})
	view(t, s, func(tx *catalog.Tx) error {
		heads, err := tx.AttestationsPage(catalog.AttestationFilter{Viewer: viewer, Now: s.Clock.Now(), Release: release, Limit: 1000})
		for _, h := range heads {
			whole, err := tx.Attestation(h.ID)
			if err != nil {
				return err
			}
			list = append(list, *whole)
		}
		return err
	})
	return list
}

func TestAReleaseGoesItsWay(t *testing.T) {
	s := servicetest.New(t)
	s.Start(t)
	s.Sandbox.Makes(map[string]string{"app": "the app", "tool": "another tool"})
	v, lab := s.Vendor(t, "acme"), s.Lab(t, "lab-se", "SE", servicetest.PolicyMatch)
	v.Grant(t, lab.Name, time.Hour)
	r := v.Release(t, "1.0", map[string]string{"app": "the app", "tool": "the tool"})
	v.Checked(t, r)

	f := found(t, s, r.Name)
	for about, want := range map[string]finding.Outcome{"SIGNATURE": finding.Passed, "SOURCE": finding.Passed, "ENVIRONMENT": finding.Passed,
		"REBUILD": finding.Passed, "app": finding.Passed, "tool": finding.Failed} {
		if got, ok := f[about+" by operator"]; !ok || got.Outcome != want {
			t.Errorf("%s: %s (%s), want %s", about, got.Outcome, got.Summary, want)
		}
	}
	if f["app by operator"].Verdict != finding.Match || f["tool by operator"].Verdict != finding.DiffersStable || len(f) != 6 {
		t.Errorf("findings: %v", f)
	}
	if e := f["SOURCE by operator"].Evidence.Sources; len(e) != 1 || !strings.HasPrefix(e[0].Tree, "git-sha256:") || e[0].Files != 1 {
		t.Errorf("source evidence: %+v", e)
	}
	if e := f["ENVIRONMENT by operator"].Evidence.Environment; e.Platform != "linux/amd64" || e.Blobs != 3 {
		t.Errorf("environment evidence: %+v", e)
	}
	lab.Decides(t, r, pb.Decision_DECISION_INCONCLUSIVE)
	requireVerified(t, s, v.Name, r)
}

// requireVerified checks every attestation about a release offline, and that none stands in the log twice.
func requireVerified(t *testing.T, s *servicetest.Stage, viewer resource.Organization, r *servicetest.Release) {
	t.Helper()
	types, indexes := map[string]int{}, map[int64]bool{}
	for _, a := range attestations(t, s, viewer, r.Name) {
		got, err := attest.Verify(a.Bundle, s.Root, s.Statement, attest.Policy{PredicateType: a.PredicateType})
		if err != nil {
			t.Errorf("%s, %s: %v", a.Name(), a.PredicateType, err)
			continue
		}
		if got.LogIndex != a.LogIndex || indexes[a.LogIndex] {
			t.Errorf("%s: index %d, recorded %d, taken: %v", a.Name(), got.LogIndex, a.LogIndex, indexes[a.LogIndex])
		}
		indexes[a.LogIndex] = true
		types[a.PredicateType]++
	}
	if types[attest.TypeReceipt] != 1 || types[attest.TypeFinding] != 4 || types[attest.TypeComparison] != 2 || types[attest.TypeProvenance] != 1 {
		t.Errorf("attestations by type: %v", types)
	}
}

func TestABadSignatureStopsNoRebuild(t *testing.T) {
	s := servicetest.New(t)
	s.Start(t)
	s.Sandbox.Makes(map[string]string{"app": "the app"})
	v := s.Vendor(t, "acme")
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	r := v.Prepare(t, "1.0", map[string]string{"app": "the app"})
	r.Sign(t, stranger)
	v.Open(t, r)
	if _, err := v.Seal(t.Context(), t, r); err != nil {
		t.Fatal(err)
	}
	v.Checked(t, r)
	f := found(t, s, r.Name)
	if f["SIGNATURE by operator"].Outcome != finding.Failed || f["app by operator"].Verdict != finding.Match {
		t.Errorf("findings: %v", f)
	}
}

func TestAnAnchorForAnotherProductDoesNotCount(t *testing.T) {
	s := servicetest.New(t)
	s.Start(t)
	v := s.Vendor(t, "acme")
	router := resource.Product{Vendor: v.Name, ID: "router"}
	if _, err := v.Deposit.CreateProduct(t.Context(), &pb.CreateProductRequest{Parent: v.Name.String(), ProductId: router.ID}); err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s.Anchor(t, v.Name, catalog.PurposeRelease, key, &router)
	for version, product := range map[string]resource.Product{"1.0": v.Product, "2.0": router} {
		v := *v
		v.Product = product
		r := v.Prepare(t, version, map[string]string{"app": "the app"})
		r.Sign(t, key)
		v.Open(t, r)
		if _, err := v.Seal(t.Context(), t, r); err != nil {
			t.Fatal(err)
		}
		v.Checked(t, r)
		want := finding.Failed
		if product == router {
			want = finding.Passed
		}
		if got := found(t, s, r.Name)["SIGNATURE by operator"]; got.Outcome != want {
			t.Errorf("signature of %s: %s (%s), want %s", r.Name, got.Outcome, got.Summary, want)
		}
	}
}

func TestASourceThatCannotBeUsedStopsTheRebuild(t *testing.T) {
	s := servicetest.New(t)
	s.Start(t)
	v, lab := s.Vendor(t, "acme"), s.Lab(t, "lab-se", "SE", servicetest.PolicyOwn)
	v.Grant(t, lab.Name, time.Hour)
	r := v.Prepare(t, "1.0", map[string]string{"app": "the app", "tool": "the tool"})
	nonsense := []byte("this is no archive at all, whatever one takes it for")
	r.Manifest.Sources[0] = manifest.Source{Kind: manifest.Archive, Name: "source.tar", Digest: r.Blobs.Put(nonsense), Size: int64(len(nonsense))}
	r.Sign(t, v.Key)
	v.Open(t, r)
	if _, err := v.Seal(t.Context(), t, r); err != nil {
		t.Fatal(err)
	}
	v.Checked(t, r)
	f := found(t, s, r.Name)
	source := f["SOURCE by operator"]
	if source.Outcome != finding.Failed || source.Evidence.Sources[0].Problem == "" || !strings.Contains(source.Summary, "source.tar") {
		t.Errorf("source: %+v", source)
	}
	if f["app by operator"].Verdict != finding.Incomplete || f["tool by operator"].Verdict != finding.Incomplete || s.Sandbox.Runs() != 0 {
		t.Errorf("findings: %v, %d runs", f, s.Sandbox.Runs())
	}
	if rows := rebuildsOf(t, s, r.Name); len(rows) != 0 {
		t.Errorf("rebuilds were asked for: %v", rows)
	}
}

func rebuildsOf(t *testing.T, s *servicetest.Stage, name resource.Release) (rows []catalog.Rebuild) {
	t.Helper()
	view(t, s, func(tx *catalog.Tx) (err error) {
		rows, err = tx.RebuildsOf(name)
		return err
	})
	return rows
}

// A job may run twice, also side by side.
func TestAJobThatRunsTwiceRecordsOnce(t *testing.T) {
	s := servicetest.New(t)
	s.Start(t)
	s.Sandbox.Makes(map[string]string{"app": "the app"})
	v, lab := s.Vendor(t, "acme"), s.Lab(t, "lab-se", "SE", servicetest.PolicyMatch)
	v.Grant(t, lab.Name, time.Hour)
	r := v.Release(t, "1.0", map[string]string{"app": "the app"})
	report := func() *pb.Report { return lab.Decides(t, r, pb.Decision_DECISION_ACCEPTED) }
	v.Checked(t, r)
	beforeReport := report().GetSequence()
	before := len(attestations(t, s, v.Name, r.Name))
	row := rebuildsOf(t, s, r.Name)[0]
	h := s.Pipeline.Handlers()
	errs := make(chan error, 20)
	for range 2 {
		go func() { errs <- h.Check(t.Context(), jobs.Check{Release: r.Name.String()}) }()
		go func() { errs <- h.Rebuild(t.Context(), jobs.Rebuild{Rebuild: row.ID}) }()
		go func() {
			errs <- h.Evaluate(t.Context(), jobs.Evaluate{Release: r.Name.String(), Evaluator: lab.Name.String()})
		}()
	}
	for _, a := range attestations(t, s, v.Name, r.Name) {
		go func() { errs <- h.Publish(t.Context(), jobs.Publish{Attestation: a.ID}) }()
	}
	for range 6 + before {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	found(t, s, r.Name)
	if after := len(attestations(t, s, v.Name, r.Name)); after != before || report().GetSequence() != beforeReport || s.Sandbox.Runs() != 1 {
		t.Errorf("%d attestations became %d, the report has number %d, %d runs", before, after, report().GetSequence(), s.Sandbox.Runs())
	}
}

func TestLaterGrantsAndPoliciesAskForRebuilds(t *testing.T) {
	s := servicetest.New(t)
	s.Start(t)
	s.Sandbox.Makes(map[string]string{"app": "the app"})
	v := s.Vendor(t, "acme")
	r := v.Release(t, "1.0", map[string]string{"app": "the app"})
	v.Checked(t, r)
	waits := func(lab *servicetest.Lab) bool {
		for _, row := range rebuildsOf(t, s, r.Name) {
			if row.Rebuilder == lab.Name {
				return row.State == catalog.RebuildWaiting && row.Platform == "linux/amd64"
			}
		}
		return false
	}
	late := s.Lab(t, "lab-late", "NO", servicetest.PolicyOwn)
	if waits(late) {
		t.Error("a lab without a grant was asked to rebuild")
	}
	grant := v.Grant(t, late.Name, time.Hour)
	if !waits(late) {
		t.Error("a grant asked for no rebuild")
	}
	modest := s.Lab(t, "lab-modest", "DK", servicetest.PolicyMatch)
	v.Grant(t, modest.Name, time.Hour)
	if waits(modest) {
		t.Error("a lab was asked to rebuild whose policy does not want it")
	}
	modest.SetPolicy(t, servicetest.PolicyOwn)
	if !waits(modest) {
		t.Error("a policy asked for no rebuild")
	}
	late.Decides(t, r, pb.Decision_DECISION_PENDING)

	// Nobody waits for who may not see the release any more.
	complete := func() bool {
		resp, err := v.Deposit.GetRelease(t.Context(), &pb.GetReleaseRequest{Name: r.Name.String()})
		if err != nil {
			t.Fatal(err)
		}
		return resp.GetRelease().GetChecksComplete()
	}
	if complete() {
		t.Error("the checks are complete while rebuilds are awaited")
	}
	v.Revoke(t, grant)
	if complete() {
		t.Error("the checks are complete while the other lab's rebuild is awaited")
	}
}

func TestAGrantThatBeginsLaterWorksThen(t *testing.T) {
	s := servicetest.New(t)
	s.Start(t)
	s.Sandbox.Makes(map[string]string{"app": "the app"})
	v, lab := s.Vendor(t, "acme"), s.Lab(t, "lab-se", "SE", servicetest.PolicyMatch)
	from := time.Now().Add(2 * time.Second)
	err := s.Catalog.Update(t.Context(), func(tx *catalog.Tx) error {
		g := catalog.Grant{ID: "later", Vendor: v.Name, Grantee: lab.Name, Product: v.Product, From: from, Until: from.Add(time.Hour), Created: time.Now()}
		if err := tx.InsertGrant(g); err != nil {
			return err
		}
		return s.Pipeline.GrantChanged(t.Context(), tx, g)
	})
	if err != nil {
		t.Fatal(err)
	}
	r := v.Release(t, "1.0", map[string]string{"app": "the app"})
	v.Checked(t, r)
	time.Sleep(time.Until(from))
	lab.Decides(t, r, pb.Decision_DECISION_ACCEPTED)
}

func TestARebuildMayOutlastItsFirstLease(t *testing.T) {
	s := servicetest.NewWithLeases(t, 2*time.Second)
	s.Sandbox.Does(func(ctx context.Context, dir string) error {
		select {
		case <-time.After(5 * time.Second):
			return os.WriteFile(filepath.Join(dir, "out", "app"), []byte("the app"), 0o644)
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	s.Start(t)
	v := s.Vendor(t, "acme")
	r := v.Release(t, "1.0", map[string]string{"app": "the app"})
	v.Checked(t, r)
	if row := rebuildsOf(t, s, r.Name)[0]; row.Attempts != 1 || s.Sandbox.Runs() != 1 {
		t.Errorf("%d attempts, %d runs", row.Attempts, s.Sandbox.Runs())
	}
}

// Nobody waits for the rebuild of a lab whose grant has run out.
func TestAGrantThatRunsOutEndsTheWaiting(t *testing.T) {
	s := servicetest.New(t)
	s.Start(t)
	s.Sandbox.Makes(map[string]string{"app": "the app"})
	v, lab := s.Vendor(t, "acme"), s.Lab(t, "lab-se", "SE", servicetest.PolicyOwn)
	v.Grant(t, lab.Name, 3*time.Second)
	r := v.Release(t, "1.0", map[string]string{"app": "the app"})
	servicetest.Eventually(t, "two rebuilds", func() bool { return len(rebuildsOf(t, s, r.Name)) == 2 })
	v.Checked(t, r)
	for _, row := range rebuildsOf(t, s, r.Name) {
		if row.Rebuilder == lab.Name && row.State != catalog.RebuildWaiting {
			t.Errorf("the lab's rebuild is %s", row.State)
		}
	}
}

// A worker that loses its lease drops what it has found.
func TestARebuildWithoutItsLeaseIsDropped(t *testing.T) {
	s := servicetest.New(t)
	v := s.Vendor(t, "acme")
	started, finish := make(chan struct{}, 1), make(chan struct{})
	s.Sandbox.Does(func(ctx context.Context, _ string) error {
		started <- struct{}{}
		<-finish
		return nil
	})
	s.Start(t)
	r := v.Release(t, "1.0", map[string]string{"app": "the app"})
	<-started
	s.Clock.Forward(time.Minute) // as if the process had stood still
	row := rebuildsOf(t, s, r.Name)[0]
	err := s.Catalog.Update(t.Context(), func(tx *catalog.Tx) error {
		_, err := tx.LeaseRebuildByID(row.ID, s.Clock.Now(), time.Hour)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	close(finish)
	time.Sleep(300 * time.Millisecond)
	if f := found(t, s, r.Name); len(f) != 3 {
		t.Errorf("findings of a rebuild without its lease: %v", f)
	}
}
