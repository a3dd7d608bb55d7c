package rebuilds

import (
	"context"
	"fmt"
	"regexp"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/rpc"
)

const maxPlatforms = 32

var platformForm = regexp.MustCompile(`^[a-z0-9]{1,32}/[a-z0-9]{1,32}(/[a-z0-9]{1,32})?$`)

// LeaseRebuild hands out the oldest rebuild that waits for the caller, of those that it may see.
func (s *Server) LeaseRebuild(ctx context.Context, r *pb.LeaseRebuildRequest) (*pb.LeaseRebuildResponse, error) {
	rebuilder, err := rpc.Name("parent", r.GetParent(), resource.ParseOrganization)
	if err != nil {
		return nil, err
	}
	if err := rpc.RequireSelf(ctx, rebuilder); err != nil {
		return nil, err
	}
	if err := checkPlatforms(r.GetPlatforms()); err != nil {
		return nil, err
	}
	var resp *pb.LeaseRebuildResponse
	err = s.Catalog.Update(ctx, func(tx *catalog.Tx) error {
		resp = &pb.LeaseRebuildResponse{}
		lease, err := tx.LeaseGrantedRebuild(rebuilder, r.GetPlatforms(), s.now(), s.LeaseTTL)
		if err != nil || lease == nil {
			return err
		}
		release, err := tx.Release(lease.Release)
		if err != nil {
			return err
		}
		resp = &pb.LeaseRebuildResponse{
			Rebuild: message(lease), LeaseToken: lease.LeaseToken, ExpireTime: rpc.Timestamp(lease.LeaseUntil), Manifest: release.Manifest,
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return resp, nil
}

func checkPlatforms(list []string) error {
	if n := len(list); n < 1 || n > maxPlatforms {
		return fault.Invalidf("platforms", "has %d entries, must have 1 to %d", n, maxPlatforms)
	}
	for i, p := range list {
		if !platformForm.MatchString(p) {
			return fault.Invalidf(fmt.Sprintf("platforms[%d]", i), "%.80q must be like linux/amd64", p)
		}
	}
	return nil
}

// own reads the name of a rebuild of the caller's.
func own(ctx context.Context, name string) (resource.Child, error) {
	c, err := rpc.Name("name", name, func(n string) (resource.Child, error) { return resource.ParseChild(n, resource.Rebuilds) })
	if err != nil {
		return c, err
	}
	return c, rpc.RequireSelf(ctx, c.Organization)
}

// HeartbeatRebuild extends a lease, while a grant on the release's product lives.
func (s *Server) HeartbeatRebuild(ctx context.Context, r *pb.HeartbeatRebuildRequest) (*pb.HeartbeatRebuildResponse, error) {
	name, err := own(ctx, r.GetName())
	if err != nil {
		return nil, err
	}
	until := s.now().Add(s.LeaseTTL)
	err = s.Catalog.Update(ctx, func(tx *catalog.Tx) error {
		row, err := tx.Rebuild(name.Organization, name.ID)
		if err != nil {
			return err
		}
		live, err := tx.LiveGrants(name.Organization, row.Release.Product, s.now())
		if err != nil {
			return err
		}
		if len(live) == 0 {
			return fault.Deniedf("NO_GRANT", "%s has no live grant on %s", name.Organization, row.Release.Product).WithAdvice("ask the vendor for a grant")
		}
		return tx.ExtendLease(name.ID, r.GetLeaseToken(), s.now(), until)
	})
	if err != nil {
		return nil, err
	}
	return &pb.HeartbeatRebuildResponse{ExpireTime: rpc.Timestamp(until)}, nil
}

// ListRebuilds lists the rebuilds that were asked of the caller, oldest first.
func (s *Server) ListRebuilds(ctx context.Context, r *pb.ListRebuildsRequest) (*pb.ListRebuildsResponse, error) {
	rebuilder, err := rpc.Name("parent", r.GetParent(), resource.ParseOrganization)
	if err != nil {
		return nil, err
	}
	if err := rpc.RequireSelf(ctx, rebuilder); err != nil {
		return nil, err
	}
	list, next, err := rpc.List(ctx, s.Catalog, r, rpc.Listing[catalog.Rebuild, *pb.Rebuild]{
		Read: func(tx *catalog.Tx, after string, limit int) ([]catalog.Rebuild, error) {
			return tx.Rebuilds(rebuilder, after, limit)
		},
		Key:     func(r *catalog.Rebuild) string { return r.ID },
		Message: message,
	})
	if err != nil {
		return nil, err
	}
	return &pb.ListRebuildsResponse{Rebuilds: list, NextPageToken: next}, nil
}

var states = map[catalog.RebuildState]pb.RebuildState{
	catalog.RebuildWaiting: pb.RebuildState_REBUILD_STATE_WAITING,
	catalog.RebuildLeased:  pb.RebuildState_REBUILD_STATE_LEASED,
	catalog.RebuildDone:    pb.RebuildState_REBUILD_STATE_DONE,
}

func message(r *catalog.Rebuild) *pb.Rebuild {
	return &pb.Rebuild{Name: r.Name(), Release: r.Release.String(), State: states[r.State], Attempts: int32(r.Attempts), CreateTime: rpc.Timestamp(r.Created)}
}
