package deposit

import (
	"context"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/materials"
	"github.com/countersign-escrow/countersign/services/internal/rpc"
)

// CreateEnvironment registers an image whose blobs are all held. One that is registered already is returned as it is.
func (s *Server) CreateEnvironment(ctx context.Context, r *pb.CreateEnvironmentRequest) (*pb.CreateEnvironmentResponse, error) {
	vendor, err := self(ctx, "parent", r.GetParent())
	if err != nil {
		return nil, err
	}
	image, err := rpc.Name("image", r.GetImage(), digest.Parse)
	if err != nil {
		return nil, err
	}
	if err := checkDisplayName("display_name", r.GetDisplayName()); err != nil {
		return nil, err
	}
	env, err := s.readEnvironment(ctx, vendor, image, "image")
	if err != nil {
		return nil, err
	}
	env.DisplayName = r.GetDisplayName()
	var registered *catalog.Environment
	err = s.Catalog.Update(ctx, func(tx *catalog.Tx) error {
		registered, err = register(tx, env)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &pb.CreateEnvironmentResponse{Environment: environmentMessage(registered)}, nil
}

// readEnvironment reads an image and makes sure that all of it is held. Faults name the field.
func (s *Server) readEnvironment(ctx context.Context, vendor resource.Organization, image digest.Digest, field string) (*catalog.Environment, error) {
	img, err := materials.OpenImage(ctx, s.Blobs, vendor, image)
	if fault.Is(err, fault.NotFound) {
		return nil, missingBlobs(field, err.Error())
	}
	if err != nil {
		return nil, err
	}
	missing, err := s.missing(ctx, vendor, img.Blobs)
	if err == nil && len(missing) == 0 {
		missing, err = img.Missing(ctx, s.Blobs, vendor)
	}
	if err != nil {
		return nil, err
	}
	if len(missing) > 0 {
		return nil, missingBlobs(field, "of the image, the blob "+missing[0].Digest.String()+" is not held")
	}
	return &catalog.Environment{Vendor: vendor, Image: image, Platform: img.Platform, Blobs: img.Blobs, Created: s.now()}, nil
}

func missingBlobs(field, message string) error {
	return &fault.Error{Kind: fault.Precondition, Reason: "BLOBS_MISSING", Field: field, Message: message,
		Advice: "ask FindMissingBlobs what is missing, upload it, and try again"}
}

// register records an environment unless it is there, and returns what is there.
func register(tx *catalog.Tx, env *catalog.Environment) (*catalog.Environment, error) {
	there, err := tx.Environment(env.Vendor, env.Image)
	if !fault.Is(err, fault.NotFound) {
		return there, err
	}
	return env, tx.InsertEnvironment(*env)
}

// GetEnvironment returns one environment.
func (s *Server) GetEnvironment(ctx context.Context, r *pb.GetEnvironmentRequest) (*pb.GetEnvironmentResponse, error) {
	name, err := rpc.Name("name", r.GetName(), func(n string) (resource.Child, error) { return resource.ParseChild(n, resource.Environments) })
	if err != nil {
		return nil, err
	}
	if err := rpc.RequireSelf(ctx, name.Organization); err != nil {
		return nil, err
	}
	image, err := rpc.Name("name", name.ID, digest.ParseHex)
	if err != nil {
		return nil, err
	}
	var env *catalog.Environment
	err = s.Catalog.View(ctx, func(tx *catalog.Tx) error {
		env, err = tx.Environment(name.Organization, image)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &pb.GetEnvironmentResponse{Environment: environmentMessage(env)}, nil
}

// ListEnvironments lists a vendor's environments, by digest.
func (s *Server) ListEnvironments(ctx context.Context, r *pb.ListEnvironmentsRequest) (*pb.ListEnvironmentsResponse, error) {
	vendor, err := self(ctx, "parent", r.GetParent())
	if err != nil {
		return nil, err
	}
	list, next, err := rpc.List(ctx, s.Catalog, r, rpc.Listing[catalog.Environment, *pb.Environment]{
		Read: func(tx *catalog.Tx, after string, limit int) ([]catalog.Environment, error) {
			return tx.Environments(vendor, after, limit)
		},
		Key:     func(e *catalog.Environment) string { return e.Image.String() },
		Message: environmentMessage,
	})
	if err != nil {
		return nil, err
	}
	return &pb.ListEnvironmentsResponse{Environments: list, NextPageToken: next}, nil
}

func environmentMessage(e *catalog.Environment) *pb.Environment {
	m := &pb.Environment{Name: e.Name(), Image: e.Image.String(), DisplayName: e.DisplayName, Platform: e.Platform, CreateTime: rpc.Timestamp(e.Created)}
	for _, b := range e.Blobs {
		m.Size += b.Size
	}
	return m
}
