package evaluation

import (
	"context"
	"strconv"

	"google.golang.org/protobuf/proto"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/pipeline"
	"github.com/countersign-escrow/countersign/services/internal/rpc"
	"github.com/countersign-escrow/countersign/verifier/policy"
)

// SetPolicy makes a new version of the lab's policy, and reports under it due.
func (s *Server) SetPolicy(ctx context.Context, r *pb.SetPolicyRequest) (*pb.SetPolicyResponse, error) {
	lab, err := self(ctx, "parent", r.GetParent())
	if err != nil {
		return nil, err
	}
	if _, err := policy.Compile([]byte(r.GetSource())); err != nil {
		return nil, err
	}
	request, err := rpc.Request(ctx, r)
	if err != nil {
		return nil, err
	}
	row := &catalog.Policy{Organization: lab, Source: r.GetSource(), Digest: digest.Of([]byte(r.GetSource())), Created: s.now()}
	err = s.Catalog.Update(ctx, func(tx *catalog.Tx) error {
		made, seen, err := tx.Request(request)
		if err != nil {
			return err
		}
		if seen {
			row, err = policyVersion(tx, lab, made)
			return err
		}
		if err := tx.InsertPolicy(row); err != nil {
			return err
		}
		if err := s.Pipeline.PolicyChanged(ctx, tx, lab); err != nil {
			return err
		}
		return tx.RememberRequest(request, strconv.FormatInt(row.Version, 10), s.now())
	})
	if err != nil {
		return nil, err
	}
	return &pb.SetPolicyResponse{Policy: policyMessage(row)}, nil
}

func policyVersion(tx *catalog.Tx, lab resource.Organization, version string) (*catalog.Policy, error) {
	n, err := strconv.ParseInt(version, 10, 64)
	if err != nil {
		return nil, err
	}
	return tx.Policy(lab, n)
}

// TestPolicy evaluates a policy over one release and keeps nothing. A rule's reason can quote any finding, so that the
// vendor sees in the trail who has tried.
func (s *Server) TestPolicy(ctx context.Context, r *pb.TestPolicyRequest) (*pb.TestPolicyResponse, error) {
	lab, err := self(ctx, "parent", r.GetParent())
	if err != nil {
		return nil, err
	}
	compiled, err := policy.Compile([]byte(r.GetSource()))
	if err != nil {
		return nil, err
	}
	release, grantID, err := s.seen(ctx, "release", r.GetRelease())
	if err != nil {
		return nil, err
	}
	in, err := s.Pipeline.Input(ctx, release, lab)
	if err != nil {
		return nil, err
	}
	result, err := compiled.Evaluate(ctx, in)
	if err != nil {
		return nil, err
	}
	report := &pb.Report{Release: release.String(), PolicyDigest: digest.Of([]byte(r.GetSource())).String(),
		Decision: decision(string(result.Decision)), Rules: ruleMessages(pipeline.Rules(result)), CreateTime: rpc.Timestamp(s.now())}
	resp := &pb.TestPolicyResponse{Report: report}
	if err := s.record(ctx, access{release: release, grantID: grantID, what: release.String() + "/findings"}, int64(proto.Size(resp))); err != nil {
		return nil, err
	}
	return resp, nil
}

// GetPolicy returns one version of the lab's policy.
func (s *Server) GetPolicy(ctx context.Context, r *pb.GetPolicyRequest) (*pb.GetPolicyResponse, error) {
	lab, version, err := numbered(ctx, r.GetName(), resource.Policies)
	if err != nil {
		return nil, err
	}
	var row *catalog.Policy
	err = s.Catalog.View(ctx, func(tx *catalog.Tx) error {
		row, err = tx.Policy(lab, version)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &pb.GetPolicyResponse{Policy: policyMessage(row)}, nil
}

// numbered reads the name of a policy or report of the caller's own.
func numbered(ctx context.Context, name string, in resource.Collection) (resource.Organization, int64, error) {
	c, err := rpc.Name("name", name, func(n string) (resource.Child, error) { return resource.ParseChild(n, in) })
	if err != nil {
		return c.Organization, 0, err
	}
	if err := rpc.RequireSelf(ctx, c.Organization); err != nil {
		return c.Organization, 0, err
	}
	n, err := c.Number()
	if err != nil {
		return c.Organization, 0, fault.Invalidf("name", "%v", err)
	}
	return c.Organization, n, nil
}

// ListPolicies lists the lab's policy versions, newest first.
func (s *Server) ListPolicies(ctx context.Context, r *pb.ListPoliciesRequest) (*pb.ListPoliciesResponse, error) {
	lab, err := self(ctx, "parent", r.GetParent())
	if err != nil {
		return nil, err
	}
	limit, before, err := numberedPage(r.GetPageSize(), r.GetPageToken())
	if err != nil {
		return nil, err
	}
	var list []catalog.Policy
	err = s.Catalog.View(ctx, func(tx *catalog.Tx) error {
		list, err = tx.Policies(lab, before, limit+1)
		return err
	})
	if err != nil {
		return nil, err
	}
	page, next := rpc.Cut(list, limit, func(p catalog.Policy) string { return strconv.FormatInt(p.Version, 10) })
	resp := &pb.ListPoliciesResponse{NextPageToken: next}
	for i := range page {
		resp.Policies = append(resp.Policies, policyMessage(&page[i]))
	}
	return resp, nil
}

// numberedPage reads a page whose key is a number; 0 at the start.
func numberedPage(size int32, token string) (limit int, key int64, err error) {
	limit, after, err := rpc.Page(size, token)
	if err != nil || after == "" {
		return limit, 0, err
	}
	if key, err = strconv.ParseInt(after, 10, 64); err != nil || key < 1 {
		return 0, 0, fault.Invalidf("page_token", "is not a token that this call gave")
	}
	return limit, key, nil
}

func policyMessage(p *catalog.Policy) *pb.Policy {
	return &pb.Policy{Name: pipeline.PolicyName(p), Version: p.Version, Source: p.Source, Digest: p.Digest.String(), CreateTime: rpc.Timestamp(p.Created)}
}
