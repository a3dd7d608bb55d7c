package grants

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/resource"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/rpc"
	"github.com/countersign-escrow/countersign/services/internal/rpc/rpctest"
)

var wantCode = rpctest.WantCode

// recorder stands for the pipeline: it notes what changed, or fails.
type recorder struct {
	changes []catalog.Grant
	err     error
}

func (r *recorder) GrantChanged(_ context.Context, _ *catalog.Tx, g catalog.Grant) error {
	r.changes = append(r.changes, g)
	return r.err
}

type house struct {
	*rpctest.House
	clock            time.Time
	changed          recorder
	acme, other, lab pb.GrantServiceClient
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{House: rpctest.New(t), clock: time.Now().UTC().Truncate(time.Microsecond)}
	pb.RegisterGrantServiceServer(h.Server.Registrar(), New(Config{
		Catalog: h.Catalog, Reevaluator: &h.changed, Now: func() time.Time { return h.clock },
	}))
	h.Serve(t)
	client := func(id string, kind catalog.Kind) pb.GrantServiceClient {
		return pb.NewGrantServiceClient(h.Member(t, h.Register(t, id, kind)))
	}
	h.acme, h.other, h.lab = client("acme", catalog.Vendor), client("other", catalog.Vendor), client("lab", catalog.Evaluator)
	h.Register(t, "eyes", catalog.Auditor)
	err := h.Catalog.Update(t.Context(), func(tx *catalog.Tx) error {
		return tx.InsertProduct(catalog.Product{
			Name: resource.Product{Vendor: resource.Organization{ID: "acme"}, ID: "widget"}, Created: h.clock,
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *house) request() *pb.CreateGrantRequest {
	return &pb.CreateGrantRequest{Parent: "organizations/acme", Grant: &pb.Grant{
		Grantee:    "organizations/lab",
		Product:    "organizations/acme/products/widget",
		ValidUntil: rpc.Timestamp(h.clock.Add(90 * 24 * time.Hour)),
	}}
}

func (h *house) give(t *testing.T) *pb.Grant {
	t.Helper()
	resp, err := h.acme.CreateGrant(t.Context(), h.request())
	if err != nil {
		t.Fatal(err)
	}
	return resp.GetGrant()
}

func TestTheLifeOfAGrant(t *testing.T) {
	h := newHouse(t)
	made := h.give(t)
	if !made.GetValidFrom().AsTime().Equal(h.clock) || made.GetGrantee() != "organizations/lab" {
		t.Errorf("made %v", made)
	}
	if len(h.changed.changes) != 1 || h.changed.changes[0].Name() != made.GetName() {
		t.Errorf("told of %v", h.changed.changes)
	}
	for name, client := range map[string]pb.GrantServiceClient{"vendor": h.acme, "grantee": h.lab} {
		got, err := client.GetGrant(t.Context(), &pb.GetGrantRequest{Name: made.GetName()})
		if err != nil || fmt.Sprint(got.GetGrant()) != fmt.Sprint(made) {
			t.Errorf("%s: got %v (%v)", name, got, err)
		}
	}
	h.clock = h.clock.Add(time.Hour)
	gone, err := h.acme.RevokeGrant(t.Context(), &pb.RevokeGrantRequest{Name: made.GetName()})
	if err != nil || !gone.GetGrant().GetRevokeTime().AsTime().Equal(h.clock) {
		t.Errorf("revoked %v (%v)", gone, err)
	}
	if len(h.changed.changes) != 2 || h.changed.changes[1].Revoked.IsZero() {
		t.Errorf("told of %v", h.changed.changes)
	}
}

func TestGrantsThatAreRefused(t *testing.T) {
	h := newHouse(t)
	for name, c := range map[string]struct {
		code  codes.Code
		spoil func(*pb.CreateGrantRequest)
	}{
		"another vendor":      {codes.PermissionDenied, func(r *pb.CreateGrantRequest) { r.Parent = "organizations/other" }},
		"malformed parent":    {codes.InvalidArgument, func(r *pb.CreateGrantRequest) { r.Parent = "acme" }},
		"nothing":             {codes.InvalidArgument, func(r *pb.CreateGrantRequest) { r.Grant = nil }},
		"another's product":   {codes.InvalidArgument, func(r *pb.CreateGrantRequest) { r.Grant.Product = "organizations/other/products/p" }},
		"unknown product":     {codes.NotFound, func(r *pb.CreateGrantRequest) { r.Grant.Product = "organizations/acme/products/none" }},
		"unknown grantee":     {codes.NotFound, func(r *pb.CreateGrantRequest) { r.Grant.Grantee = "organizations/none" }},
		"grantee is a vendor": {codes.InvalidArgument, func(r *pb.CreateGrantRequest) { r.Grant.Grantee = "organizations/other" }},
		"no end":              {codes.InvalidArgument, func(r *pb.CreateGrantRequest) { r.Grant.ValidUntil = nil }},
		"past": {codes.InvalidArgument, func(r *pb.CreateGrantRequest) {
			r.Grant.ValidFrom = rpc.Timestamp(h.clock.Add(-2 * time.Hour))
			r.Grant.ValidUntil = rpc.Timestamp(h.clock.Add(-time.Hour))
		}},
		"ends before it begins": {codes.InvalidArgument, func(r *pb.CreateGrantRequest) {
			r.Grant.ValidFrom = rpc.Timestamp(h.clock.Add(2 * time.Hour))
			r.Grant.ValidUntil = rpc.Timestamp(h.clock.Add(time.Hour))
		}},
	} {
		r := h.request()
		c.spoil(r)
		_, err := h.acme.CreateGrant(t.Context(), r)
		wantCode(t, name, err, c.code, "")
	}
	if len(h.changed.changes) != 0 {
		t.Errorf("told of %v", h.changed.changes)
	}
	auditor := h.request()
	auditor.Grant.Grantee = "organizations/eyes"
	if _, err := h.acme.CreateGrant(t.Context(), auditor); err != nil {
		t.Errorf("to an auditor: %v", err)
	}
}

func TestAGrantThatCannotBeActedOnIsNotMade(t *testing.T) {
	h := newHouse(t)
	h.changed.err = errors.New("no jobs today")
	_, err := h.acme.CreateGrant(t.Context(), h.request())
	wantCode(t, "create", err, codes.Internal, "")
	list, err := h.acme.ListGrants(t.Context(), &pb.ListGrantsRequest{Parent: "organizations/acme"})
	if err != nil || len(list.GetGrants()) != 0 {
		t.Errorf("there are %v (%v)", list, err)
	}
}

func TestForOthersAGrantDoesNotExist(t *testing.T) {
	h := newHouse(t)
	made := h.give(t)
	unknown := strings.TrimSuffix(made.GetName(), made.GetName()[len(made.GetName())-4:]) + "0000"
	_, theirs := h.other.GetGrant(t.Context(), &pb.GetGrantRequest{Name: made.GetName()})
	_, none := h.other.GetGrant(t.Context(), &pb.GetGrantRequest{Name: unknown})
	wantCode(t, "another's", theirs, codes.NotFound, "NOT_FOUND")
	wantCode(t, "none", none, codes.NotFound, "NOT_FOUND")
	if a, b := strings.ReplaceAll(theirs.Error(), made.GetName(), ""), strings.ReplaceAll(none.Error(), unknown, ""); a != b {
		t.Errorf("the answers differ: %q and %q", a, b)
	}
	_, err := h.other.RevokeGrant(t.Context(), &pb.RevokeGrantRequest{Name: made.GetName()})
	wantCode(t, "revoke another's", err, codes.PermissionDenied, "NOT_YOURS")
	_, err = h.lab.RevokeGrant(t.Context(), &pb.RevokeGrantRequest{Name: made.GetName()})
	wantCode(t, "revoke by the grantee", err, codes.PermissionDenied, "KIND_NOT_ALLOWED")
	_, err = h.other.ListGrants(t.Context(), &pb.ListGrantsRequest{Parent: "organizations/acme"})
	wantCode(t, "list another's", err, codes.PermissionDenied, "NOT_YOURS")
}

func TestPages(t *testing.T) {
	h := newHouse(t)
	var made, listed []string
	for range 5 {
		made = append(made, h.give(t).GetName())
	}
	r := &pb.ListGrantsRequest{Parent: "organizations/lab", PageSize: 2}
	for range 10 {
		page, err := h.lab.ListGrants(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range page.GetGrants() {
			listed = append(listed, g.GetName())
		}
		if r.PageToken = page.GetNextPageToken(); r.PageToken == "" {
			break
		}
	}
	if fmt.Sprint(listed) != fmt.Sprint(made) {
		t.Errorf("made %v, listed %v", made, listed)
	}
}

func TestARepeatedRequestGivesOneGrant(t *testing.T) {
	h := newHouse(t)
	r := h.request()
	r.RequestId = "0198a3f2-7c50-7d2e-9d5b-2f2d8f5a1c13"
	first, err := h.acme.CreateGrant(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	second, err := h.acme.CreateGrant(t.Context(), r)
	if err != nil || fmt.Sprint(second) != fmt.Sprint(first) || len(h.changed.changes) != 1 {
		t.Errorf("first %v, then %v (%v), told %d times", first, second, err, len(h.changed.changes))
	}
}
