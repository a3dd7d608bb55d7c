package deposit

import (
	"context"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/releasepb"
	"github.com/countersign-escrow/countersign/services/internal/rpc"
)

// CreateRelease opens a release.
func (s *Server) CreateRelease(ctx context.Context, r *pb.CreateReleaseRequest) (*pb.CreateReleaseResponse, error) {
	product, err := ownProduct(ctx, "parent", r.GetParent())
	if err != nil {
		return nil, err
	}
	name, err := resource.NewRelease(product, r.GetReleaseId())
	if err != nil {
		return nil, fault.Invalidf("release_id", "%v", err)
	}
	request, err := rpc.Request(ctx, r)
	if err != nil {
		return nil, err
	}
	var release *catalog.Release
	err = s.Catalog.Update(ctx, func(tx *catalog.Tx) error {
		_, seen, err := tx.Request(request)
		if err != nil {
			return err
		}
		if !seen {
			if err := s.open(tx, name); err != nil {
				return err
			}
			if err := tx.RememberRequest(request, name.String(), s.now()); err != nil {
				return err
			}
		}
		release, err = tx.ReleaseHead(name)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &pb.CreateReleaseResponse{Release: releasepb.Message(release)}, nil
}

// open makes a release. A version is taken by the release that has it, sealed or not.
func (s *Server) open(tx *catalog.Tx, name resource.Release) error {
	if _, err := tx.Product(name.Product); err != nil {
		return err
	}
	there, err := tx.ReleaseHead(name)
	if fault.Is(err, fault.NotFound) {
		return tx.InsertRelease(catalog.Release{Name: name, Created: s.now()})
	}
	if err != nil {
		return err
	}
	if there.State == catalog.ReleaseSealed {
		return fault.AlreadyExists(name.String()).WithAdvice("it is sealed and never changes: choose a new version")
	}
	return fault.AlreadyExists(name.String()).WithAdvice("it is still open: upload what is missing and seal it")
}

func ownRelease(ctx context.Context, field, name string) (resource.Release, error) {
	r, err := rpc.Name(field, name, resource.ParseRelease)
	if err != nil {
		return r, err
	}
	return r, rpc.RequireSelf(ctx, r.Product.Vendor)
}

// GetRelease returns one release.
func (s *Server) GetRelease(ctx context.Context, r *pb.GetReleaseRequest) (*pb.GetReleaseResponse, error) {
	name, err := ownRelease(ctx, "name", r.GetName())
	if err != nil {
		return nil, err
	}
	var release *pb.Release
	err = s.Catalog.View(ctx, func(tx *catalog.Tx) error {
		head, err := tx.ReleaseHead(name)
		if err != nil {
			return err
		}
		release, err = forVendor(tx, head)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &pb.GetReleaseResponse{Release: release}, nil
}

// mostDamaged is how many damaged files a release's message names.
const mostDamaged = 100

// forVendor writes a release with what its vendor alone may know of it.
func forVendor(tx *catalog.Tx, head *catalog.Release) (*pb.Release, error) {
	damaged, err := tx.DamagedFiles(head.Name, mostDamaged)
	if err != nil {
		return nil, err
	}
	m := releasepb.Message(head)
	for _, f := range damaged {
		m.DamagedFiles = append(m.DamagedFiles, releasepb.Damaged(f))
	}
	return m, nil
}

func (s *Server) head(ctx context.Context, name resource.Release) (release *catalog.Release, err error) {
	err = s.Catalog.View(ctx, func(tx *catalog.Tx) error {
		release, err = tx.ReleaseHead(name)
		return err
	})
	return release, err
}

// ListReleases lists a product's releases, by id.
func (s *Server) ListReleases(ctx context.Context, r *pb.ListReleasesRequest) (*pb.ListReleasesResponse, error) {
	product, err := ownProduct(ctx, "parent", r.GetParent())
	if err != nil {
		return nil, err
	}
	list, next, err := rpc.List(ctx, s.Catalog, r, rpc.Listing[catalog.Release, *pb.Release]{
		Read: func(tx *catalog.Tx, after string, limit int) ([]catalog.Release, error) {
			return tx.Releases(product, after, limit)
		},
		Key:     func(r *catalog.Release) string { return r.Name.Version },
		Message: releasepb.Message,
	})
	if err != nil {
		return nil, err
	}
	return &pb.ListReleasesResponse{Releases: list, NextPageToken: next}, nil
}
