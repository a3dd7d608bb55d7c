package directory

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/resource"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/rpc"
	"github.com/countersign-escrow/countersign/services/internal/rpc/rpctest"
	"github.com/countersign-escrow/countersign/verifier/publickey"
)

func publicKey(t *testing.T, key crypto.Signer) string {
	t.Helper()
	return rpctest.Must[string](t)(publickey.PEM(key.Public()))
}

func ecKey(t *testing.T, curve elliptic.Curve) crypto.Signer {
	t.Helper()
	return rpctest.Must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(curve, rand.Reader))
}

func edKey(t *testing.T) crypto.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

const (
	forRelease = pb.TrustAnchorPurpose_TRUST_ANCHOR_PURPOSE_RELEASE
	forRebuild = pb.TrustAnchorPurpose_TRUST_ANCHOR_PURPOSE_REBUILD
)

func TestTrustAnchors(t *testing.T) {
	h := newHouse(t)
	p256, p384, ed := publicKey(t, ecKey(t, elliptic.P256())), publicKey(t, ecKey(t, elliptic.P384())), publicKey(t, edKey(t))
	rsaKey := publicKey(t, rpctest.Must[*rsa.PrivateKey](t)(rsa.GenerateKey(rand.Reader, 2048)))
	addProduct(t, h.House, resource.Organization{ID: "acme"}, "widget")
	for _, c := range []struct {
		name    string
		by      pb.DirectoryServiceClient
		parent  string
		purpose pb.TrustAnchorPurpose
		key     string
		product string
		code    codes.Code
	}{
		{"P-256", h.acme, "acme", forRelease, p256, "", codes.OK},
		{"P-384", h.acme, "acme", forRelease, p384, "", codes.OK},
		{"Ed25519", h.acme, "acme", forRelease, ed, "organizations/acme/products/widget", codes.OK},
		{"rebuild P-256", h.lab, "lab", forRebuild, p256, "", codes.OK},
		{"rebuild P-384", h.lab, "lab", forRebuild, p384, "", codes.InvalidArgument},
		{"rebuild Ed25519", h.lab, "lab", forRebuild, ed, "", codes.InvalidArgument},
		{"rebuild by a vendor", h.acme, "acme", forRebuild, p256, "", codes.InvalidArgument},
		{"release by a lab", h.lab, "lab", forRelease, p256, "", codes.InvalidArgument},
		{"for another", h.lab, "acme", forRebuild, p256, "", codes.PermissionDenied},
		{"by the operator", h.operator, "acme", forRelease, p256, "", codes.PermissionDenied},
		{"no purpose", h.acme, "acme", 0, p256, "", codes.InvalidArgument},
		{"RSA", h.acme, "acme", forRelease, rsaKey, "", codes.OK},
		{"rebuild RSA", h.lab, "lab", forRebuild, rsaKey, "", codes.InvalidArgument},
		{"no key", h.acme, "acme", forRelease, "", "", codes.InvalidArgument},
		{"two keys", h.acme, "acme", forRelease, p256 + ed, "", codes.InvalidArgument},
		{"another's product", h.acme, "acme", forRelease, p256, "organizations/lab/products/widget", codes.InvalidArgument},
		{"unknown product", h.acme, "acme", forRelease, p256, "organizations/acme/products/none", codes.NotFound},
	} {
		_, err := c.by.AddTrustAnchor(t.Context(), &pb.AddTrustAnchorRequest{
			Parent:      "organizations/" + c.parent,
			TrustAnchor: &pb.TrustAnchor{Purpose: c.purpose, PublicKeyPem: c.key, Product: c.product},
		})
		wantCode(t, c.name, err, c.code, "")
	}
	list, err := h.operator.ListTrustAnchors(t.Context(), &pb.ListTrustAnchorsRequest{Parent: "organizations/acme"})
	if err != nil || len(list.GetTrustAnchors()) != 4 {
		t.Errorf("the operator sees %d anchors (%v)", len(list.GetTrustAnchors()), err)
	}
	_, err = h.lab.ListTrustAnchors(t.Context(), &pb.ListTrustAnchorsRequest{Parent: "organizations/acme"})
	wantCode(t, "listed by a lab", err, codes.PermissionDenied, "NOT_YOURS")
}

func addProduct(t *testing.T, h *rpctest.House, vendor resource.Organization, id string) {
	t.Helper()
	err := h.Catalog.Update(t.Context(), func(tx *catalog.Tx) error {
		return tx.InsertProduct(catalog.Product{Name: resource.Product{Vendor: vendor, ID: id}, Created: time.Now()})
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestTheTermOfAnAnchor(t *testing.T) {
	h := newHouse(t)
	add := func(from, until time.Time) (*pb.TrustAnchor, error) {
		resp, err := h.acme.AddTrustAnchor(t.Context(), &pb.AddTrustAnchorRequest{
			Parent: "organizations/acme",
			TrustAnchor: &pb.TrustAnchor{
				Purpose: forRelease, PublicKeyPem: publicKey(t, edKey(t)), ValidFrom: rpc.Timestamp(from), ValidUntil: rpc.Timestamp(until),
			},
		})
		return resp.GetTrustAnchor(), err
	}
	made, err := add(time.Time{}, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if now := h.clock.Truncate(time.Microsecond); !made.GetValidFrom().AsTime().Equal(now) || made.GetValidUntil() != nil {
		t.Errorf("anchor %v, made at %s", made, now)
	}
	_, err = add(h.clock, h.clock)
	wantCode(t, "empty term", err, codes.InvalidArgument, "")

	h.clock = h.clock.Add(time.Minute)
	_, err = h.lab.RevokeTrustAnchor(t.Context(), &pb.RevokeTrustAnchorRequest{Name: made.GetName()})
	wantCode(t, "revoked by another", err, codes.PermissionDenied, "NOT_YOURS")
	gone, err := h.acme.RevokeTrustAnchor(t.Context(), &pb.RevokeTrustAnchorRequest{Name: made.GetName()})
	if err != nil || !gone.GetTrustAnchor().GetRevokeTime().AsTime().Equal(h.clock.Truncate(time.Microsecond)) {
		t.Errorf("revoked %v (%v)", gone, err)
	}
	h.clock = h.clock.Add(time.Minute)
	again, err := h.acme.RevokeTrustAnchor(t.Context(), &pb.RevokeTrustAnchorRequest{Name: made.GetName()})
	if err != nil || fmt.Sprint(again) != fmt.Sprint(gone) {
		t.Errorf("revoked again: %v (%v)", again, err)
	}
}

func TestARepeatedAnchorIsAddedOnce(t *testing.T) {
	h := newHouse(t)
	r := &pb.AddTrustAnchorRequest{
		Parent:      "organizations/acme",
		TrustAnchor: &pb.TrustAnchor{Purpose: forRelease, PublicKeyPem: publicKey(t, edKey(t))},
		RequestId:   "0198a3f2-7c50-7d2e-9d5b-2f2d8f5a1c12",
	}
	first, err := h.acme.AddTrustAnchor(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	second, err := h.acme.AddTrustAnchor(t.Context(), r)
	if err != nil || second.GetTrustAnchor().GetName() != first.GetTrustAnchor().GetName() {
		t.Errorf("first %v, then %v (%v)", first, second, err)
	}
}
