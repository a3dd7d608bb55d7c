package deposit

import (
	"context"
	"unicode"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/rpc"
)

const maxDisplayName = 200 // bytes

// self reads the vendor in a field, which must be the caller's own.
func self(ctx context.Context, field, name string) (resource.Organization, error) {
	vendor, err := rpc.Name(field, name, resource.ParseOrganization)
	if err != nil {
		return vendor, err
	}
	return vendor, rpc.RequireSelf(ctx, vendor)
}

func ownProduct(ctx context.Context, field, name string) (resource.Product, error) {
	p, err := rpc.Name(field, name, resource.ParseProduct)
	if err != nil {
		return p, err
	}
	return p, rpc.RequireSelf(ctx, p.Vendor)
}

func checkDisplayName(field, name string) error {
	if len(name) > maxDisplayName {
		return fault.Invalidf(field, "has %d bytes, %d at most", len(name), maxDisplayName)
	}
	for _, r := range name {
		if !unicode.IsPrint(r) { // it will be shown on terminals
			return fault.Invalidf(field, "holds %U, which cannot be printed", r)
		}
	}
	return nil
}

// CreateProduct registers a product.
func (s *Server) CreateProduct(ctx context.Context, r *pb.CreateProductRequest) (*pb.CreateProductResponse, error) {
	vendor, err := self(ctx, "parent", r.GetParent())
	if err != nil {
		return nil, err
	}
	name, err := resource.NewProduct(vendor, r.GetProductId())
	if err != nil {
		return nil, fault.Invalidf("product_id", "%v", err)
	}
	if err := checkDisplayName("product.display_name", r.GetProduct().GetDisplayName()); err != nil {
		return nil, err
	}
	request, err := rpc.Request(ctx, r)
	if err != nil {
		return nil, err
	}
	product := &catalog.Product{Name: name, DisplayName: r.GetProduct().GetDisplayName(), Created: s.now()}
	err = s.Catalog.Update(ctx, func(tx *catalog.Tx) error {
		_, seen, err := tx.Request(request)
		if err != nil {
			return err
		}
		if seen {
			product, err = tx.Product(name)
			return err
		}
		if err := tx.InsertProduct(*product); err != nil {
			return err
		}
		return tx.RememberRequest(request, name.String(), s.now())
	})
	if err != nil {
		return nil, err
	}
	return &pb.CreateProductResponse{Product: productMessage(product)}, nil
}

// ListProducts lists a vendor's products, by id.
func (s *Server) ListProducts(ctx context.Context, r *pb.ListProductsRequest) (*pb.ListProductsResponse, error) {
	vendor, err := self(ctx, "parent", r.GetParent())
	if err != nil {
		return nil, err
	}
	list, next, err := rpc.List(ctx, s.Catalog, r, rpc.Listing[catalog.Product, *pb.Product]{
		Read: func(tx *catalog.Tx, after string, limit int) ([]catalog.Product, error) {
			return tx.Products(vendor, after, limit)
		},
		Key:     func(p *catalog.Product) string { return p.Name.String() },
		Message: productMessage,
	})
	if err != nil {
		return nil, err
	}
	return &pb.ListProductsResponse{Products: list, NextPageToken: next}, nil
}

func productMessage(p *catalog.Product) *pb.Product {
	return &pb.Product{Name: p.Name.String(), DisplayName: p.DisplayName, CreateTime: rpc.Timestamp(p.Created)}
}
