package rebuilds_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/manifest"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/rpc/rpcfault"
	"github.com/countersign-escrow/countersign/services/internal/rpc/rpctest"
	"github.com/countersign-escrow/countersign/services/internal/servicetest"
	"github.com/countersign-escrow/countersign/verifier/attest"
	"github.com/countersign-escrow/countersign/verifier/finding"
)

var files = map[string]string{"app": "the app", "tool": "the tool"}

// play is a lab with a rebuild that waits for it.
type play struct {
	*servicetest.Stage
	vendor  *servicetest.Vendor
	lab     *servicetest.Lab
	release *servicetest.Release
	grant   string
}

func newPlay(t *testing.T) *play {
	t.Helper()
	s := servicetest.New(t)
	s.Sandbox.Makes(files)
	s.Start(t)
	p := &play{Stage: s, vendor: s.Vendor(t, "acme"), lab: s.Lab(t, "lab-se", "SE", servicetest.PolicyOwn)}
	p.grant = p.vendor.Grant(t, p.lab.Name, time.Hour)
	p.release = p.vendor.Release(t, "1.0", files)
	servicetest.Eventually(t, "a rebuild for the lab", func() bool {
		resp, err := p.lab.Rebuilds.ListRebuilds(t.Context(), &pb.ListRebuildsRequest{Parent: p.lab.Name.String()})
		if err != nil {
			t.Fatal(err)
		}
		return len(resp.GetRebuilds()) == 1
	})
	return p
}

func (p *play) lease(t *testing.T) *pb.LeaseRebuildResponse {
	t.Helper()
	resp, err := p.lab.Rebuilds.LeaseRebuild(t.Context(), &pb.LeaseRebuildRequest{Parent: p.lab.Name.String(), Platforms: []string{"linux/amd64"}})
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// context is what the lab's honest statements say of themselves.
func (p *play) context(t *testing.T) attest.FindingContext {
	c := attest.FindingContext{Release: p.release.Name, Manifest: digest.Of(p.release.Raw(t)), Rebuilder: p.lab.Name, Country: "SE", Time: time.Now()}
	for _, a := range p.release.Manifest.Artifacts {
		c.Artifacts = append(c.Artifacts, attest.Subject{Name: a.Path, Digest: a.Digest})
	}
	return c
}

func rebuilt() finding.Finding {
	run := finding.RunEvidence{Runtime: "runc", Result: "ENDED", Started: time.Now().Format(time.RFC3339)}
	for path, content := range files {
		run.Outputs = append(run.Outputs, finding.OutputEvidence{Artifact: path, Digest: digest.Of([]byte(content)), Size: int64(len(content))})
	}
	return finding.Finding{Check: finding.Rebuild, Outcome: finding.Passed, Summary: "the recipe ended", Evidence: finding.Evidence{Runs: []finding.RunEvidence{run}}}
}

func matches(path string) finding.Finding {
	d := digest.Of([]byte(files[path]))
	return finding.Finding{Check: finding.Comparison, Outcome: finding.Passed, Verdict: finding.Match, Artifact: path, Summary: "the same bytes",
		Evidence: finding.Evidence{Comparison: &finding.ComparisonEvidence{Shipped: d, Rebuilt: []digest.Digest{d}}}}
}

func sign(t *testing.T, key *ecdsa.PrivateKey, s attest.Statement) []byte {
	t.Helper()
	signer, err := attest.NewSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	env, err := signer.Sign(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return env.JSON()
}

// honest is the envelopes of a rebuild in which everything matched.
func (p *play) honest(t *testing.T) [][]byte {
	t.Helper()
	c := p.context(t)
	provenance, ok := attest.NewProvenance(c, rebuilt(), p.release.Manifest)
	if !ok {
		t.Fatal("no provenance")
	}
	return [][]byte{
		sign(t, p.lab.Key, attest.NewFinding(c, rebuilt())),
		sign(t, p.lab.Key, attest.NewFinding(c, matches("app"))),
		sign(t, p.lab.Key, attest.NewFinding(c, matches("tool"))),
		sign(t, p.lab.Key, provenance),
	}
}

func (p *play) complete(t *testing.T, name string, token int64, envelopes [][]byte) (*pb.CompleteRebuildResponse, error) {
	t.Helper()
	return p.lab.Rebuilds.CompleteRebuild(t.Context(), &pb.CompleteRebuildRequest{Name: name, LeaseToken: token, Envelopes: envelopes})
}

func TestALabsRebuildCounts(t *testing.T) {
	p := newPlay(t)
	lease := p.lease(t)
	if lease.GetRebuild().GetRelease() != p.release.Name.String() || string(lease.GetManifest()) != string(p.release.Raw(t)) || lease.GetLeaseToken() == 0 {
		t.Fatalf("lease: %v", lease)
	}
	if second := p.lease(t); second.GetRebuild() != nil {
		t.Errorf("leased twice: %v", second)
	}
	beat, err := p.lab.Rebuilds.HeartbeatRebuild(t.Context(), &pb.HeartbeatRebuildRequest{Name: lease.GetRebuild().GetName(), LeaseToken: lease.GetLeaseToken()})
	if err != nil || !beat.GetExpireTime().AsTime().After(lease.GetExpireTime().AsTime()) {
		t.Errorf("heartbeat: %v, %v", beat, err)
	}
	envelopes := p.honest(t)
	done, err := p.complete(t, lease.GetRebuild().GetName(), lease.GetLeaseToken(), envelopes)
	if err != nil || len(done.GetFindings()) != 3 {
		t.Fatalf("complete: %v, %v", done, err)
	}
	again, err := p.complete(t, lease.GetRebuild().GetName(), lease.GetLeaseToken(), envelopes)
	if err != nil || len(again.GetFindings()) != 3 || again.GetFindings()[0].GetName() != done.GetFindings()[0].GetName() {
		t.Errorf("the same call again: %v, %v", again, err)
	}
	p.lab.Decides(t, p.release, pb.Decision_DECISION_ACCEPTED) // two countries match
	p.vendor.Checked(t, p.release)

	for _, f := range done.GetFindings() {
		if f.GetRebuilder() != p.lab.Name.String() {
			t.Errorf("found by %s", f.GetRebuilder())
		}
		var got *pb.GetAttestationResponse
		servicetest.Eventually(t, "the attestation of "+f.GetName(), func() bool {
			got, err = p.lab.Attestations.GetAttestation(t.Context(), &pb.GetAttestationRequest{Name: f.GetAttestation()})
			return err == nil
		})
		a := got.GetAttestation()
		if a.GetSigner() != p.lab.Name.String() {
			t.Errorf("signed by %s", a.GetSigner())
		}
		if _, err := attest.Verify(a.GetBundle(), p.Root, &p.lab.Key.PublicKey, attest.Policy{PredicateType: a.GetPredicateType()}); err != nil {
			t.Errorf("%s: %v", a.GetPredicateType(), err)
		}
		if _, err := attest.Verify(a.GetBundle(), p.Root, p.Statement, attest.Policy{}); err == nil {
			t.Error("a lab's finding verifies with the service's key")
		}
	}
}

func TestOnlyTheHolderOfTheLeaseCounts(t *testing.T) {
	p := newPlay(t)
	first := p.lease(t)
	name := first.GetRebuild().GetName()
	p.Clock.Forward(2 * servicetest.LeaseTTL)
	second := p.lease(t)
	if second.GetLeaseToken() <= first.GetLeaseToken() || second.GetRebuild().GetName() != name {
		t.Fatalf("after %v, %v", first, second)
	}
	for what, token := range map[string]int64{"the old token": first.GetLeaseToken(), "a token to come": second.GetLeaseToken() + 1, "no token": 0} {
		_, err := p.complete(t, name, token, p.honest(t))
		rpctest.WantCode(t, what, err, codes.Aborted, "LEASE_LOST")
		_, err = p.lab.Rebuilds.HeartbeatRebuild(t.Context(), &pb.HeartbeatRebuildRequest{Name: name, LeaseToken: token})
		rpctest.WantCode(t, "heartbeat with "+what, err, codes.Aborted, "LEASE_LOST")
	}
	p.Clock.Forward(2 * servicetest.LeaseTTL)
	_, err := p.complete(t, name, second.GetLeaseToken(), p.honest(t))
	rpctest.WantCode(t, "after the lease", err, codes.Aborted, "LEASE_LOST")
	third := p.lease(t)
	if _, err := p.complete(t, name, third.GetLeaseToken(), p.honest(t)); err != nil {
		t.Errorf("the holder: %v", err)
	}

	other := p.Lab(t, "lab-no", "NO", "")
	_, err = other.Rebuilds.HeartbeatRebuild(t.Context(), &pb.HeartbeatRebuildRequest{Name: name, LeaseToken: third.GetLeaseToken()})
	rpctest.WantCode(t, "another lab", err, codes.PermissionDenied, "NOT_YOURS")
	_, err = other.Rebuilds.CompleteRebuild(t.Context(), &pb.CompleteRebuildRequest{Name: strings.Replace(name, "lab-se", "lab-no", 1),
		LeaseToken: third.GetLeaseToken(), Envelopes: p.honest(t)})
	rpctest.WantCode(t, "another lab by its own name", err, codes.NotFound, "")
}

func TestForgedResultsAreRefused(t *testing.T) {
	p := newPlay(t)
	other := p.vendor.Release(t, "2.0", files)
	lease := p.lease(t)
	if lease.GetRebuild().GetRelease() != p.release.Name.String() {
		t.Fatalf("leased %v", lease.GetRebuild())
	}
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	forPurpose := func() *ecdsa.PrivateKey { // a key of the lab that is registered for something else
		p.Anchor(t, p.lab.Name, catalog.PurposeRelease, stranger, nil)
		return stranger
	}()
	comparison := func(change func(*attest.FindingContext, *finding.Finding)) []byte {
		c, f := p.context(t), matches("app")
		f.Evidence.Comparison = &finding.ComparisonEvidence{Shipped: f.Evidence.Comparison.Shipped, Rebuilt: f.Evidence.Comparison.Rebuilt}
		change(&c, &f)
		return sign(t, p.lab.Key, attest.NewFinding(c, f))
	}
	guessable := func(s attest.Statement, nonce ...string) []byte {
		raw, err := json.Marshal(s.Predicate)
		if err != nil {
			t.Fatal(err)
		}
		var predicate map[string]any
		if err := json.Unmarshal(raw, &predicate); err != nil {
			t.Fatal(err)
		}
		at := predicate
		for _, step := range nonce[:len(nonce)-1] {
			at = at[step].(map[string]any)
		}
		at[nonce[len(nonce)-1]] = "1"
		s.Predicate = predicate
		return sign(t, p.lab.Key, s)
	}
	provenance, _ := attest.NewProvenance(p.context(t), rebuilt(), p.release.Manifest)
	honest := p.honest(t)
	with := func(i int, raw []byte) [][]byte {
		list := append([][]byte(nil), honest...)
		list[i] = raw
		return list
	}
	for what, c := range map[string]struct {
		envelopes [][]byte
		code      codes.Code
		says      string
	}{
		"a key that is no anchor":     {with(1, sign(t, newKey(t), attest.NewFinding(p.context(t), matches("app")))), codes.PermissionDenied, "envelopes[1]"},
		"a key for another purpose":   {with(1, sign(t, forPurpose, attest.NewFinding(p.context(t), matches("app")))), codes.PermissionDenied, "envelopes[1]"},
		"another release":             {with(1, comparison(func(c *attest.FindingContext, _ *finding.Finding) { c.Release = other.Name })), codes.InvalidArgument, "release"},
		"another manifest":            {with(1, comparison(func(c *attest.FindingContext, _ *finding.Finding) { c.Manifest = digest.Of(other.Raw(t)) })), codes.InvalidArgument, "manifest"},
		"another rebuilder":           {with(1, comparison(func(c *attest.FindingContext, _ *finding.Finding) { c.Rebuilder = p.Operator })), codes.InvalidArgument, "rebuilder"},
		"another country":             {with(1, comparison(func(c *attest.FindingContext, _ *finding.Finding) { c.Country = "NO" })), codes.InvalidArgument, "country"},
		"another file under its name": {with(1, comparison(func(c *attest.FindingContext, _ *finding.Finding) { c.Artifacts[0].Digest = digest.Of([]byte("x")) })), codes.InvalidArgument, "subject"},
		"a match of other bytes": {with(1, comparison(func(_ *attest.FindingContext, f *finding.Finding) {
			f.Evidence.Comparison.Rebuilt = []digest.Digest{digest.Of(nil)}
		})), codes.InvalidArgument, "MATCH"},
		"a match without evidence":      {with(1, comparison(func(_ *attest.FindingContext, f *finding.Finding) { f.Evidence.Comparison = nil })), codes.InvalidArgument, "MATCH"},
		"another shipped file":          {with(1, comparison(func(_ *attest.FindingContext, f *finding.Finding) { f.Evidence.Comparison.Shipped = digest.Of(nil) })), codes.InvalidArgument, "shipped"},
		"a verdict that is none":        {with(1, comparison(func(_ *attest.FindingContext, f *finding.Finding) { f.Verdict = "FINE" })), codes.InvalidArgument, "verdict"},
		"an outcome that does not fit":  {with(1, comparison(func(_ *attest.FindingContext, f *finding.Finding) { f.Verdict = finding.DiffersStable })), codes.InvalidArgument, "outcome"},
		"a finding without a nonce":     {with(1, guessable(attest.NewFinding(p.context(t), matches("app")), "nonce")), codes.InvalidArgument, "guessed"},
		"a provenance without a nonce":  {with(3, guessable(provenance, "runDetails", "metadata", "invocationId")), codes.InvalidArgument, "guessed"},
		"an artifact twice":             {with(2, honest[1]), codes.InvalidArgument, "twice"},
		"an artifact left out":          {[][]byte{honest[0], honest[1], honest[3]}, codes.InvalidArgument, `"tool"`},
		"no finding of the rebuild":     {honest[1:], codes.InvalidArgument, "REBUILD"},
		"a finding of a check not made": {with(3, sign(t, p.lab.Key, attest.NewFinding(p.context(t), finding.Finding{Check: finding.Signature, Outcome: finding.Passed}))), codes.InvalidArgument, "SIGNATURE"},
		"a receipt":                     {with(3, sign(t, p.lab.Key, attest.NewReceipt(attest.Receipt{Release: p.release.Name, Manifest: digest.Of(p.release.Raw(t)), Sealed: time.Now()}))), codes.InvalidArgument, "predicate type"},
		"two provenances":               {append(append([][]byte(nil), honest...), honest[3]), codes.InvalidArgument, "second provenance"},
		"no envelope":                   {nil, codes.InvalidArgument, "envelopes"},
		"too many":                      {make([][]byte, manifest.MaxArtifacts+3), codes.InvalidArgument, "envelopes"},
		"nonsense":                      {with(1, []byte("{}")), codes.InvalidArgument, "envelopes[1]"},
	} {
		_, err := p.complete(t, lease.GetRebuild().GetName(), lease.GetLeaseToken(), c.envelopes)
		rpctest.WantCode(t, what, err, c.code, "")
		if err != nil && !strings.Contains(rpcfault.FromStatus(err).Error(), c.says) {
			t.Errorf("%s: %v does not say %s", what, rpcfault.FromStatus(err), c.says)
		}
	}
	err = p.Catalog.View(t.Context(), func(tx *catalog.Tx) error {
		rows, err := tx.Findings(p.release.Name, 0, 100)
		for _, f := range rows {
			if f.Rebuilder == p.lab.Name {
				t.Errorf("of a forged result, %s is recorded", f.ID)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.complete(t, lease.GetRebuild().GetName(), lease.GetLeaseToken(), honest); err != nil {
		t.Errorf("the honest result afterwards: %v", err)
	}
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestARevokedKeyCountsNoMore(t *testing.T) {
	p := newPlay(t)
	lease := p.lease(t)
	err := p.Catalog.Update(t.Context(), func(tx *catalog.Tx) error {
		anchors, err := tx.TrustAnchors(p.lab.Name)
		if err != nil {
			return err
		}
		_, err = tx.RevokeTrustAnchor(p.lab.Name, anchors[0].ID, p.Clock.Now(), false)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.complete(t, lease.GetRebuild().GetName(), lease.GetLeaseToken(), p.honest(t))
	rpctest.WantCode(t, "complete", err, codes.PermissionDenied, "UNTRUSTED_SIGNATURE")
}

func TestALeaseEndsWithItsGrant(t *testing.T) {
	p := newPlay(t)
	lease := p.lease(t)
	beat := &pb.HeartbeatRebuildRequest{Name: lease.GetRebuild().GetName(), LeaseToken: lease.GetLeaseToken()}
	if _, err := p.lab.Rebuilds.HeartbeatRebuild(t.Context(), beat); err != nil {
		t.Fatal(err)
	}
	p.vendor.Revoke(t, p.grant)
	_, err := p.lab.Rebuilds.HeartbeatRebuild(t.Context(), beat)
	rpctest.WantCode(t, "after the grant", err, codes.PermissionDenied, "NO_GRANT")
}

func TestALeaseNeedsAGrantAndAPlatform(t *testing.T) {
	p := newPlay(t)
	ctx := t.Context()
	resp, err := p.lab.Rebuilds.LeaseRebuild(ctx, &pb.LeaseRebuildRequest{Parent: p.lab.Name.String(), Platforms: []string{"linux/riscv64"}})
	if err != nil || resp.GetRebuild() != nil {
		t.Errorf("for another platform: %v, %v", resp, err)
	}
	for what, platforms := range map[string][]string{"none": nil, "malformed": {"Linux on a toaster"}, "too many": make([]string, 33)} {
		_, err := p.lab.Rebuilds.LeaseRebuild(ctx, &pb.LeaseRebuildRequest{Parent: p.lab.Name.String(), Platforms: platforms})
		rpctest.WantCode(t, what, err, codes.InvalidArgument, "")
	}
	p.vendor.Revoke(t, p.grant)
	if lease := p.lease(t); lease.GetRebuild() != nil {
		t.Errorf("without a grant: %v", lease)
	}
	servicetest.Eventually(t, "checks that wait for nobody", func() bool {
		resp, err := p.vendor.Deposit.GetRelease(ctx, &pb.GetReleaseRequest{Name: p.release.Name.String()})
		return err == nil && resp.GetRelease().GetChecksComplete()
	})
	p.vendor.Grant(t, p.lab.Name, time.Hour)
	if lease := p.lease(t); lease.GetRebuild() == nil {
		t.Error("with a new grant there is nothing to lease")
	}
}
