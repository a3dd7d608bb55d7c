package pipeline_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/manifest"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/anchorpb/anchortest"
	"github.com/countersign-escrow/countersign/services/internal/rpc"
	"github.com/countersign-escrow/countersign/services/internal/servicetest"
	"github.com/countersign-escrow/countersign/verifier/finding"
	"github.com/countersign-escrow/countersign/verifier/signature/gitobject"
	"github.com/countersign-escrow/countersign/verifier/signature/openpgp"
	"github.com/countersign-escrow/countersign/verifier/signature/sshsig"
)

const forSource = pb.TrustAnchorPurpose_TRUST_ANCHOR_PURPOSE_SOURCE

// sealed signs and deposits a release, and returns what its checks found of its signatures.
func sealed(t *testing.T, s *servicetest.Stage, v *servicetest.Vendor, r *servicetest.Release) finding.Finding {
	t.Helper()
	v.Open(t, r)
	if _, err := v.Seal(t.Context(), t, r); err != nil {
		t.Fatal(err)
	}
	v.Checked(t, r)
	return found(t, s, r.Name)["SIGNATURE by operator"]
}

// covered names what a signature covers.
func covered(e finding.SignatureEvidence) (names []string) {
	for _, f := range e.Files {
		names = append(names, f.Role+" "+f.Name)
	}
	slices.Sort(names)
	return names
}

// source returns the bytes of the one source of a release.
func source(r *servicetest.Release) []byte { return r.Blobs[r.Manifest.Sources[0].Digest] }

// The author signs the source with OpenPGP, the builder a list of what is shipped, the vendor the manifest with SSH: each is found, and says
// what it covers.
func TestSignaturesOfSeveralKinds(t *testing.T) {
	s := servicetest.New(t)
	s.Start(t)
	s.Sandbox.Makes(map[string]string{"app": "the app", "tool": "the tool"})
	v := s.Vendor(t, "acme")
	author, vendor, stranger := anchortest.New(t), anchortest.New(t), anchortest.New(t)
	authorKey := v.Trust(t, &pb.TrustAnchor{Purpose: forSource, OpenpgpKeyring: author.KeyRing(t)})
	vendorKey := v.Trust(t, &pb.TrustAnchor{SshAllowedSigners: vendor.AllowedSigners()})

	r := v.Prepare(t, "1.0", map[string]string{"app": "the app", "tool": "the tool"})
	list := []byte(fmt.Sprintf("%s  app\n%s *tool\n%s  not-shipped\n", digest.Of([]byte("the app")).Hex(), digest.Of([]byte("the tool")).Hex(),
		digest.Of([]byte("else")).Hex()))
	subject := r.Manifest.Sources[0].Digest.String()
	r.Signatures = []*pb.Signature{
		{Name: "source.tar.asc", MediaType: openpgp.MediaTypeSignature, Content: author.SignOpenPGP(t, source(r)), Subject: subject},
		{Name: "SHA256SUMS.sig", MediaType: sshsig.MediaType, Content: vendor.SignSSH(t, list), List: list, ListName: "SHA256SUMS"},
		{Name: "manifest.sig", MediaType: sshsig.MediaType, Content: vendor.SignSSH(t, r.Raw(t))},
		{Name: "stranger.asc", MediaType: openpgp.MediaTypeSignature, Content: stranger.SignOpenPGP(t, source(r)), Subject: subject},
		{Name: "author.asc", MediaType: openpgp.MediaTypeSignature, Content: author.SignOpenPGP(t, r.Raw(t))},
		{Name: "nonsense", MediaType: "text/plain", Content: []byte("hello")},
	}
	f := sealed(t, s, v, r)
	if f.Outcome != finding.Passed || !strings.Contains(f.Summary, vendorKey) {
		t.Errorf("%s: %s", f.Outcome, f.Summary)
	}
	for i, want := range []struct {
		anchor  string
		covers  []string
		problem string
	}{
		{authorKey, []string{"SOURCE source.tar"}, ""},
		{vendorKey, []string{"ARTIFACT app", "ARTIFACT tool"}, ""},
		{vendorKey, []string{"MANIFEST manifest"}, ""},
		{"", nil, "trust anchor"},
		{authorKey, nil, "SOURCE"},
		{"", nil, "text/plain"},
	} {
		if i >= len(f.Evidence.Signatures) {
			t.Fatalf("evidence of %d signatures: %+v", len(f.Evidence.Signatures), f.Evidence.Signatures)
		}
		e := f.Evidence.Signatures[i]
		if e.File != r.Signatures[i].GetName() || e.Valid != (want.problem == "") || e.Anchor != want.anchor || !slices.Equal(covered(e), want.covers) ||
			!strings.Contains(e.Problem, want.problem) || (want.problem == "" && e.Problem != "") {
			t.Errorf("%s: %+v", r.Signatures[i].GetName(), e)
		}
	}
	overAPI(t, v, r, f)
}

// overAPI requires the evidence of a finding in what its vendor sees.
func overAPI(t *testing.T, v *servicetest.Vendor, r *servicetest.Release, f finding.Finding) {
	t.Helper()
	stream, err := v.Deposit.WatchRelease(t.Context(), &pb.WatchReleaseRequest{Name: r.Name.String()})
	if err != nil {
		t.Fatal(err)
	}
	for {
		m, err := stream.Recv()
		if err != nil {
			t.Fatalf("no finding about signatures: %v", err)
		}
		if m.GetFinding().GetCheck() != pb.Check_CHECK_SIGNATURE {
			continue
		}
		for i, got := range m.GetFinding().GetSignatures() {
			want := f.Evidence.Signatures[i]
			if got.GetFile() != want.File || got.GetValid() != want.Valid || got.GetAnchor() != want.Anchor || len(got.GetFiles()) != len(want.Files) {
				t.Errorf("signature %d is %v, want %+v", i, got, want)
			}
		}
		if len(m.GetFinding().GetSignatures()) != len(f.Evidence.Signatures) {
			t.Errorf("%d signatures", len(m.GetFinding().GetSignatures()))
		}
		return
	}
}

// Anchors of other products, of rebuilders and of other vendors are no vendor's word for a release.
func TestOnlyTheProductsAnchorsCount(t *testing.T) {
	s := servicetest.New(t)
	s.Start(t)
	v, rival := s.Vendor(t, "acme"), s.Vendor(t, "rival")
	keys := anchortest.New(t)
	rival.Trust(t, &pb.TrustAnchor{SshAllowedSigners: keys.AllowedSigners()})
	if _, err := v.Deposit.CreateProduct(t.Context(), &pb.CreateProductRequest{Parent: v.Name.String(), ProductId: "other"}); err != nil {
		t.Fatal(err)
	}
	v.Trust(t, &pb.TrustAnchor{SshAllowedSigners: keys.AllowedSigners(), Product: v.Name.String() + "/products/other"})
	r := v.Prepare(t, "1.0", map[string]string{"app": "the app"})
	r.Signatures = []*pb.Signature{{MediaType: sshsig.MediaType, Content: keys.SignSSH(t, r.Raw(t))}}
	if f := sealed(t, s, v, r); f.Outcome != finding.Failed || len(f.Evidence.Signatures) != 1 || f.Evidence.Signatures[0].Valid {
		t.Errorf("%+v", f)
	}
}

// As many signatures as there may be, over as many files as there may be, with names as long as they fit, still end in an attestation.
func TestTheLargestEvidenceIsPublished(t *testing.T) {
	s := servicetest.New(t)
	s.Start(t)
	v, keys := s.Vendor(t, "acme"), anchortest.New(t)
	v.Trust(t, &pb.TrustAnchor{SshAllowedSigners: keys.AllowedSigners()})
	r := v.Prepare(t, "1.0", nil)
	same := r.Blobs.Put([]byte("same"))
	var list strings.Builder
	for i := range manifest.MaxArtifacts {
		path := fmt.Sprintf("%04d/%s", i, strings.Repeat("x", 800))
		r.Manifest.Artifacts = append(r.Manifest.Artifacts, manifest.Artifact{Path: path, Digest: same, Size: 4, Rebuilt: "/build/out/" + path[:4], Platform: "linux/amd64"})
		if list.Len() < 40<<10 {
			fmt.Fprintf(&list, "%s  %s\n", same.Hex(), path)
		}
	}
	r.Signatures = []*pb.Signature{{MediaType: sshsig.MediaType, Content: keys.SignSSH(t, r.Raw(t)), Name: "manifest.sig"}}
	over := keys.SignSSH(t, []byte(list.String()))
	for range 3 { // each covers everything: all artifacts are the same file
		r.Signatures = append(r.Signatures, &pb.Signature{MediaType: sshsig.MediaType, Content: keys.SignSSH(t, []byte("same")), Subject: same.String()})
	}
	for len(r.Signatures) < 64 {
		r.Signatures = append(r.Signatures, &pb.Signature{MediaType: sshsig.MediaType, Content: over, List: []byte(list.String()), Name: "list.sig"})
	}
	v.Open(t, r)
	if _, err := v.Deposit.SealRelease(t.Context(), &pb.SealReleaseRequest{Name: r.Name.String(), Manifest: r.Raw(t), Signatures: r.Signatures},
		grpc.MaxCallRecvMsgSize(rpc.MaxMessage)); err != nil { // the receipt names every artifact
		t.Fatal(err)
	}
	servicetest.Eventually(t, "the finding about signatures", func() bool { return found(t, s, r.Name)["SIGNATURE by operator"].Outcome != "" })
	f := found(t, s, r.Name)["SIGNATURE by operator"]
	n := 0
	for _, e := range f.Evidence.Signatures {
		n += len(e.Files)
	}
	if f.Outcome != finding.Passed || len(f.Evidence.Signatures) != 64 || s.Failures.Load() != 0 {
		t.Errorf("%s: %s, with %d signatures and %d covered files", f.Outcome, f.Summary, len(f.Evidence.Signatures), n)
	}
	attestations(t, s, v.Name, r.Name)
}

// What the service lost of a release after it was sealed is no reason to try for ever, and no word against its signer.
func TestASignedFileThatIsGone(t *testing.T) {
	s := servicetest.New(t)
	v, keys := s.Vendor(t, "acme"), anchortest.New(t)
	v.Trust(t, &pb.TrustAnchor{OpenpgpKeyring: keys.KeyRing(t)})
	r := v.Prepare(t, "1.0", map[string]string{"app": "the app"})
	r.Sign(t, v.Key)
	app := r.Manifest.Artifacts[0].Digest
	r.Signatures = append(r.Signatures, &pb.Signature{MediaType: openpgp.MediaTypeSignature, Content: keys.SignOpenPGP(t, []byte("the app")), Subject: app.String()})
	v.Open(t, r)
	receipt := make(chan error, 1)
	go func() { // it ends when the log has the receipt: when the jobs have started
		_, err := v.Seal(t.Context(), t, r)
		receipt <- err
	}()
	servicetest.Eventually(t, "the seal", func() bool {
		resp, err := v.Deposit.GetRelease(t.Context(), &pb.GetReleaseRequest{Name: r.Name.String()})
		return err == nil && resp.GetRelease().GetState() == pb.ReleaseState_RELEASE_STATE_SEALED
	})
	loseAll(t, s)
	s.Start(t)
	if err := <-receipt; err != nil {
		t.Fatal(err)
	}
	v.Checked(t, r)
	if f := found(t, s, r.Name)["SIGNATURE by operator"]; f.Outcome != finding.Undecided || !strings.Contains(f.Summary, app.Hex()) {
		t.Errorf("%s: %s", f.Outcome, f.Summary)
	}
}

// loseAll removes every object.
func loseAll(t *testing.T, s *servicetest.Stage) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(s.Dir, "objects"), func(path string, e os.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		return os.Remove(path)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A tag of a git source that its author signed covers the source; one by a stranger does not.
func TestTheTagOfAGitSource(t *testing.T) {
	if _, err := exec.LookPath("ssh-keygen"); err != nil {
		t.Skip("skipped: ssh-keygen signs the tag, and is not installed")
	}
	s := servicetest.New(t)
	s.Start(t)
	v := s.Vendor(t, "acme")
	bundle, signers := signedTag(t)
	anchor := v.Trust(t, &pb.TrustAnchor{Purpose: forSource, SshAllowedSigners: signers})
	r := v.Prepare(t, "1.0", map[string]string{"app": "the app"})
	r.Manifest.Sources = append(r.Manifest.Sources, manifest.Source{Kind: manifest.GitBundle, Name: "app.bundle", Tag: "v1", Into: "app",
		Digest: r.Blobs.Put(bundle), Size: int64(len(bundle))})
	r.Sign(t, v.Key)
	f := sealed(t, s, v, r)
	i := slices.IndexFunc(f.Evidence.Signatures, func(e finding.SignatureEvidence) bool { return e.Kind == gitobject.KindTag })
	if i < 0 {
		t.Fatalf("no evidence of a tag: %+v", f.Evidence.Signatures)
	}
	e := f.Evidence.Signatures[i]
	if !e.Valid || e.Anchor != anchor || !slices.Equal(covered(e), []string{"SOURCE app.bundle"}) {
		t.Errorf("%+v", e)
	}
	if f := found(t, s, r.Name)["SOURCE by operator"]; f.Outcome != finding.Passed || len(f.Evidence.Sources) != 2 {
		t.Errorf("sources: %+v", f)
	}
}

// signedTag makes a git bundle with a tag that is signed by SSH, and a line of allowed signers for it.
func signedTag(t *testing.T) (bundle []byte, signers string) {
	t.Helper()
	dir := t.TempDir()
	script := `set -e
export HOME=$PWD GIT_CONFIG_NOSYSTEM=1
ssh-keygen -q -t ed25519 -N '' -C '' -f key
git init -q repo
cd repo
git config user.name Ann && git config user.email ann@acme.example
git config gpg.format ssh && git config user.signingKey "$HOME/key"
echo 'int main;' >main.c
git add main.c
git commit -q -m first
git tag -s -m one v1
git bundle create -q ../app.bundle v1
`
	cmd := exec.Command("sh", "-c", script)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	return read("app.bundle"), "ann@acme.example " + string(read("key.pub"))
}
