package directory

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/ca"
	"github.com/countersign-escrow/countersign/services/internal/rpc/rpctest"
)

var wantCode = rpctest.WantCode

// house is a house with the service and three organizations.
type house struct {
	*rpctest.House
	clock               time.Time
	judge               judge
	operator, acme, lab pb.DirectoryServiceClient
	stranger            pb.DirectoryServiceClient
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{House: rpctest.New(t), clock: time.Now()}
	pb.RegisterDirectoryServiceServer(h.Server.Registrar(), New(Config{
		Catalog: h.Catalog, CA: h.CA, Judge: &h.judge, Now: func() time.Time { return h.clock },
	}))
	h.Serve(t)
	client := func(id string, kind catalog.Kind) pb.DirectoryServiceClient {
		return pb.NewDirectoryServiceClient(h.Member(t, h.Register(t, id, kind)))
	}
	h.operator, h.acme, h.lab = client("operator", catalog.Operator), client("acme", catalog.Vendor), client("lab", catalog.Evaluator)
	h.stranger = pb.NewDirectoryServiceClient(h.Dial(t))
	return h
}

func newOrganization(id string) *pb.CreateOrganizationRequest {
	return &pb.CreateOrganizationRequest{OrganizationId: id, Organization: &pb.Organization{
		Kind: pb.OrganizationKind_ORGANIZATION_KIND_AUDITOR, Country: "FR", DisplayName: "Ännchen & Co.",
	}}
}

func TestOrganizations(t *testing.T) {
	h := newHouse(t)
	made, err := h.operator.CreateOrganization(t.Context(), newOrganization("eyes"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := h.lab.GetOrganization(t.Context(), &pb.GetOrganizationRequest{Name: "organizations/eyes"})
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprint(made.GetOrganization()); fmt.Sprint(got.GetOrganization()) != want {
		t.Errorf("made %s, got %s", want, got.GetOrganization())
	}
	if o := got.GetOrganization(); o.GetKind() != pb.OrganizationKind_ORGANIZATION_KIND_AUDITOR || o.GetCountry() != "FR" ||
		o.GetDisplayName() != "Ännchen & Co." || !o.GetCreateTime().IsValid() {
		t.Errorf("organization %v", o)
	}
	_, err = h.operator.CreateOrganization(t.Context(), newOrganization("eyes"))
	wantCode(t, "again", err, codes.AlreadyExists, "ALREADY_EXISTS")
	_, err = h.acme.CreateOrganization(t.Context(), newOrganization("mine"))
	wantCode(t, "by a vendor", err, codes.PermissionDenied, "KIND_NOT_ALLOWED")
	_, err = h.lab.GetOrganization(t.Context(), &pb.GetOrganizationRequest{Name: "organizations/none"})
	wantCode(t, "none", err, codes.NotFound, "NOT_FOUND")
}

func TestOrganizationsThatAreRefused(t *testing.T) {
	h := newHouse(t)
	for name, spoil := range map[string]func(*pb.CreateOrganizationRequest){
		"id":   func(r *pb.CreateOrganizationRequest) { r.OrganizationId = "Acme" },
		"none": func(r *pb.CreateOrganizationRequest) { r.Organization = nil },
		"kind": func(r *pb.CreateOrganizationRequest) { r.Organization.Kind = 77 },
		"operator": func(r *pb.CreateOrganizationRequest) {
			r.Organization.Kind = pb.OrganizationKind_ORGANIZATION_KIND_OPERATOR
		},
		"country": func(r *pb.CreateOrganizationRequest) { r.Organization.Country = "de" },
		"escape":  func(r *pb.CreateOrganizationRequest) { r.Organization.DisplayName = "\x1b[31m" },
		"request": func(r *pb.CreateOrganizationRequest) { r.RequestId = "again" },
	} {
		r := newOrganization("eyes")
		spoil(r)
		_, err := h.operator.CreateOrganization(t.Context(), r)
		wantCode(t, name, err, codes.InvalidArgument, "INVALID_ARGUMENT")
	}
	long := newOrganization("eyes")
	long.Organization.DisplayName = strings.Repeat("x", 201)
	_, err := h.operator.CreateOrganization(t.Context(), long)
	wantCode(t, "long name", err, codes.ResourceExhausted, "LIMIT_EXCEEDED")
}

func TestARepeatedRequestIsHarmless(t *testing.T) {
	h := newHouse(t)
	r := newOrganization("eyes")
	r.RequestId = "0198a3f2-7c50-7d2e-9d5b-2f2d8f5a1c11"
	first, err := h.operator.CreateOrganization(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	h.clock = h.clock.Add(time.Hour)
	second, err := h.operator.CreateOrganization(t.Context(), r)
	if err != nil || fmt.Sprint(second) != fmt.Sprint(first) {
		t.Errorf("first %v, then %v (%v)", first, second, err)
	}
	other := newOrganization("ears")
	other.RequestId = r.RequestId
	_, err = h.operator.CreateOrganization(t.Context(), other)
	wantCode(t, "another request under the id", err, codes.InvalidArgument, "INVALID_ARGUMENT")
}

func TestPages(t *testing.T) {
	h := newHouse(t)
	for i := range 4 {
		h.Register(t, fmt.Sprintf("x%d", i), catalog.Agency)
	}
	var names []string
	r := &pb.ListOrganizationsRequest{PageSize: 3}
	for range 10 {
		page, err := h.operator.ListOrganizations(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.GetOrganizations() {
			names = append(names, strings.TrimPrefix(o.GetName(), "organizations/"))
		}
		if r.PageToken = page.GetNextPageToken(); r.PageToken == "" {
			break
		}
	}
	if got := strings.Join(names, " "); got != "acme lab operator x0 x1 x2 x3" {
		t.Errorf("listed %s", got)
	}
	_, err := h.lab.ListOrganizations(t.Context(), &pb.ListOrganizationsRequest{})
	wantCode(t, "by a lab", err, codes.PermissionDenied, "KIND_NOT_ALLOWED")
}

func newRequest(t *testing.T) (key *ecdsa.PrivateKey, csr string) {
	t.Helper()
	key = rpctest.Must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	return key, string(rpctest.Must[[]byte](t)(ca.NewRequest(key)))
}

func (h *house) token(t *testing.T, by pb.DirectoryServiceClient, org string) string {
	t.Helper()
	resp, err := by.CreateEnrolmentToken(t.Context(), &pb.CreateEnrolmentTokenRequest{Organization: org, MemberId: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	return resp.GetToken()
}

func TestEnrolment(t *testing.T) {
	h := newHouse(t)
	token := h.token(t, h.operator, "organizations/acme")
	key, csr := newRequest(t)

	_, err := h.stranger.Enrol(t.Context(), &pb.EnrolRequest{Token: token, CsrPem: "nonsense"})
	wantCode(t, "a request that cannot be used", err, codes.InvalidArgument, "INVALID_ARGUMENT")
	resp, err := h.stranger.Enrol(t.Context(), &pb.EnrolRequest{Token: token, CsrPem: csr})
	if err != nil {
		t.Fatalf("the token was spent on a request that cannot be used: %v", err)
	}
	if resp.GetMemberId() != "ann" || resp.GetOrganization().GetName() != "organizations/acme" || resp.GetCaPem() != string(h.CA.CertificatePEM()) {
		t.Errorf("enrolled %v", resp)
	}
	keyPEM := rpctest.Must[[]byte](t)(ca.EncodeKey(key))
	pair := rpctest.Must[tls.Certificate](t)(tls.X509KeyPair([]byte(resp.GetCertificatePem()), keyPEM))
	ann := pb.NewDirectoryServiceClient(h.Dial(t, rpctest.Certificate{Pair: pair}))
	if _, err := ann.ListTrustAnchors(t.Context(), &pb.ListTrustAnchorsRequest{Parent: "organizations/acme"}); err != nil {
		t.Errorf("the certificate does not count: %v", err)
	}

	_, err = h.stranger.Enrol(t.Context(), &pb.EnrolRequest{Token: token, CsrPem: csr})
	wantCode(t, "a used token", err, codes.PermissionDenied, "TOKEN_REFUSED")
	_, err = h.stranger.Enrol(t.Context(), &pb.EnrolRequest{Token: tokenPrefix + "x", CsrPem: csr})
	wantCode(t, "an unknown token", err, codes.PermissionDenied, "TOKEN_REFUSED")
	_, err = h.stranger.Enrol(t.Context(), &pb.EnrolRequest{CsrPem: csr})
	wantCode(t, "no token", err, codes.InvalidArgument, "INVALID_ARGUMENT")
	late := h.token(t, h.operator, "organizations/acme")
	h.clock = h.clock.Add(tokenLife)
	_, err = h.stranger.Enrol(t.Context(), &pb.EnrolRequest{Token: late, CsrPem: csr})
	wantCode(t, "an expired token", err, codes.PermissionDenied, "TOKEN_REFUSED")
}

func TestATokenWorksOnceAlsoForTwoAtATime(t *testing.T) {
	h := newHouse(t)
	token := h.token(t, h.acme, "organizations/acme")
	const callers = 8
	results := make(chan error, callers)
	for range callers {
		_, csr := newRequest(t)
		go func() {
			_, err := h.stranger.Enrol(context.Background(), &pb.EnrolRequest{Token: token, CsrPem: csr})
			results <- err
		}()
	}
	won := 0
	for range callers {
		if err := <-results; err == nil {
			won++
		} else {
			wantCode(t, "loser", err, codes.PermissionDenied, "TOKEN_REFUSED")
		}
	}
	if won != 1 {
		t.Errorf("%d enrolled with one token", won)
	}
}

func TestWhoMayMakeTokens(t *testing.T) {
	h := newHouse(t)
	for _, org := range []string{"organizations/acme", "organizations/none"} {
		_, err := h.lab.CreateEnrolmentToken(t.Context(), &pb.CreateEnrolmentTokenRequest{Organization: org, MemberId: "eve"})
		wantCode(t, org, err, codes.PermissionDenied, "NOT_YOURS")
	}
	_, err := h.operator.CreateEnrolmentToken(t.Context(), &pb.CreateEnrolmentTokenRequest{Organization: "organizations/none", MemberId: "ann"})
	wantCode(t, "for nobody", err, codes.NotFound, "NOT_FOUND")
	_, err = h.operator.CreateEnrolmentToken(t.Context(), &pb.CreateEnrolmentTokenRequest{Organization: "organizations/acme", MemberId: "a/b"})
	wantCode(t, "malformed member", err, codes.InvalidArgument, "INVALID_ARGUMENT")
}
