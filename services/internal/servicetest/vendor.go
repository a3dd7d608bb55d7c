package servicetest

import (
	"context"
	"crypto/ecdsa"
	"fmt"
	"sort"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/manifest"
	"github.com/countersign-escrow/countersign/escrow/resource"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/rpc/rpctest"
	"github.com/countersign-escrow/countersign/verifier/rebuild/rebuildtest"
	"github.com/countersign-escrow/countersign/verifier/signature/sigstorebundle"
)

// Vendor is a vendor with one product and a key that counts for its releases.
type Vendor struct {
	Name      resource.Organization
	Product   resource.Product
	Key       *ecdsa.PrivateKey
	Directory pb.DirectoryServiceClient
	Deposit   pb.DepositServiceClient
	Grants    pb.GrantServiceClient
}

// Vendor registers a vendor and its product.
func (s *Stage) Vendor(t testing.TB, id string) *Vendor {
	t.Helper()
	name, conn := s.Connect(t, id, catalog.Vendor, "SE")
	v := &Vendor{Name: name, Product: resource.Product{Vendor: name, ID: "switch"}, Key: newKey(t),
		Directory: pb.NewDirectoryServiceClient(conn), Deposit: pb.NewDepositServiceClient(conn), Grants: pb.NewGrantServiceClient(conn)}
	s.Anchor(t, name, catalog.PurposeRelease, v.Key, nil)
	_, err := v.Deposit.CreateProduct(t.Context(), &pb.CreateProductRequest{Parent: name.String(), ProductId: v.Product.ID})
	check(t, err)
	return v
}

// Trust registers a trust anchor for releases, or for the purpose that it has, and returns its name.
func (v *Vendor) Trust(t testing.TB, a *pb.TrustAnchor) string {
	t.Helper()
	if a.GetPurpose() == pb.TrustAnchorPurpose_TRUST_ANCHOR_PURPOSE_UNSPECIFIED {
		a.Purpose = pb.TrustAnchorPurpose_TRUST_ANCHOR_PURPOSE_RELEASE
	}
	resp, err := v.Directory.AddTrustAnchor(t.Context(), &pb.AddTrustAnchorRequest{Parent: v.Name.String(), TrustAnchor: a})
	check(t, err)
	return resp.GetTrustAnchor().GetName()
}

// Grant lets somebody see the vendor's product from now on, and returns the grant's name.
func (v *Vendor) Grant(t testing.TB, to resource.Organization, lasts time.Duration) string {
	t.Helper()
	resp, err := v.Grants.CreateGrant(t.Context(), &pb.CreateGrantRequest{Parent: v.Name.String(), Grant: &pb.Grant{
		Grantee: to.String(), Product: v.Product.String(), ValidUntil: timestamppb.New(time.Now().Add(lasts))}})
	check(t, err)
	return resp.GetGrant().GetName()
}

// Revoke ends a grant.
func (v *Vendor) Revoke(t testing.TB, grant string) {
	t.Helper()
	_, err := v.Grants.RevokeGrant(t.Context(), &pb.RevokeGrantRequest{Name: grant})
	check(t, err)
}

// Release is a release that a vendor has at hand.
type Release struct {
	Name       resource.Release
	Manifest   *manifest.Manifest
	Signatures []*pb.Signature
	Blobs      rebuildtest.Blobs
	RequestID  string
}

// Raw returns the manifest as it is signed.
func (r *Release) Raw(t testing.TB) []byte {
	t.Helper()
	return rpctest.Must[[]byte](t)(r.Manifest.Marshal())
}

// Prepare makes a release that ships files under these paths, built from one small source.
func (v *Vendor) Prepare(t testing.TB, version string, files map[string]string) *Release {
	t.Helper()
	r := &Release{Name: resource.Release{Product: v.Product, Version: version}, Blobs: rebuildtest.Blobs{}, RequestID: uuid.NewString()}
	source := rebuildtest.Layer(t, rebuildtest.File("main.c", 0o644, []byte("int main(void){return 0;} /* "+version+" */\n")))
	r.Manifest = &manifest.Manifest{
		Schema: manifest.Schema, Product: v.Product.String(), Version: version,
		Sources: []manifest.Source{{Kind: manifest.Archive, Name: "source.tar", Digest: r.Blobs.Put(source), Size: int64(len(source))}},
		Environment: manifest.Environment{Image: rebuildtest.Image(t, r.Blobs, "linux", "amd64", []string{"PATH=/bin"},
			rebuildtest.Plain(rebuildtest.Layer(t, rebuildtest.File("bin/cc", 0o755, []byte("#!")))))},
		Recipe: manifest.Recipe{Argv: []string{"/bin/cc", "main.c"}},
	}
	for path, content := range files {
		r.Manifest.Artifacts = append(r.Manifest.Artifacts, manifest.Artifact{Path: path, Digest: r.Blobs.Put([]byte(content)),
			Size: int64(len(content)), Rebuilt: "/build/out/" + path, Platform: "linux/amd64"})
	}
	sort.Slice(r.Manifest.Artifacts, func(i, j int) bool { return r.Manifest.Artifacts[i].Path < r.Manifest.Artifacts[j].Path })
	return r
}

// Sign adds a signature over the manifest as it is now.
func (r *Release) Sign(t testing.TB, key *ecdsa.PrivateKey) {
	t.Helper()
	bundle := rpctest.Must[[]byte](t)(sigstorebundle.Sign(key, r.Raw(t)))
	r.Signatures = append(r.Signatures, &pb.Signature{MediaType: sigstorebundle.MediaType, Content: bundle})
}

// Open opens the release and uploads its blobs.
func (v *Vendor) Open(t testing.TB, r *Release) {
	t.Helper()
	_, err := v.Deposit.CreateRelease(t.Context(), &pb.CreateReleaseRequest{Parent: v.Product.String(), ReleaseId: r.Name.Version})
	check(t, err)
	for d, content := range r.Blobs {
		check(t, v.Upload(t.Context(), d, content))
	}
}

// UploadName is the resource name of an upload.
func (v *Vendor) UploadName(d digest.Digest, size int) string {
	return fmt.Sprintf("%s/uploads/%s/%d", v.Name, d.Hex(), size)
}

// Upload sends a blob whole.
func (v *Vendor) Upload(ctx context.Context, d digest.Digest, content []byte) error {
	stream, err := v.Deposit.Write(ctx)
	if err != nil {
		return err
	}
	const piece = 1 << 20
	for at := 0; at == 0 || at < len(content); at += piece {
		end := min(at+piece, len(content))
		m := &pb.WriteRequest{ResourceName: v.UploadName(d, len(content)), WriteOffset: int64(at), Data: content[at:end], FinishWrite: end == len(content)}
		if stream.Send(m) != nil {
			break // the server has answered early, and the answer says why
		}
	}
	_, err = stream.CloseAndRecv()
	return err
}

// Seal seals a release.
func (v *Vendor) Seal(ctx context.Context, t testing.TB, r *Release) (*pb.SealReleaseResponse, error) {
	t.Helper()
	return v.Deposit.SealRelease(ctx, &pb.SealReleaseRequest{Name: r.Name.String(), Manifest: r.Raw(t), Signatures: r.Signatures, RequestId: r.RequestID})
}

// Release deposits a signed release and seals it.
func (v *Vendor) Release(t testing.TB, version string, files map[string]string) *Release {
	t.Helper()
	r := v.Prepare(t, version, files)
	r.Sign(t, v.Key)
	v.Open(t, r)
	_, err := v.Seal(t.Context(), t, r)
	check(t, err)
	return r
}

// Checked waits until every check of a release has ended.
func (v *Vendor) Checked(t testing.TB, r *Release) {
	t.Helper()
	Eventually(t, "the end of the checks of "+r.Name.String(), func() bool {
		resp, err := v.Deposit.GetRelease(t.Context(), &pb.GetReleaseRequest{Name: r.Name.String()})
		check(t, err)
		return resp.GetRelease().GetChecksComplete()
	})
}
