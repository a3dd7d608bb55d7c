package commands

import (
	"io"

	"github.com/spf13/cobra"

	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/client"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/output"
)

func (a *app) productCommand() *cobra.Command {
	return noun("product", "What a vendor releases", "A product is something that a vendor releases; grants are given for products.",
		a.createProduct(), a.listProducts())
}

func (a *app) createProduct() *cobra.Command {
	var display string
	c := &cobra.Command{
		Use:   "create ID",
		Short: "Register a product (vendors)",
		Long:  "Register a product of the profile's organization. ID has 1 to 63 of a-z, 0-9 and '-', and starts with a letter.",
		Example: `  escrowctl product create widget --display-name "Widget"
  escrowctl product create organizations/acme/products/widget`,
		Args: cobra.ExactArgs(1),
		RunE: a.call(func(cmd *cobra.Command, c *client.Client, args []string) error {
			p, err := product(c, args[0])
			if err != nil {
				return err
			}
			resp, err := c.Deposit.CreateProduct(cmd.Context(), &pb.CreateProductRequest{Parent: p.Vendor.String(), ProductId: p.ID,
				Product: &pb.Product{DisplayName: display}, RequestId: requestID()})
			if err != nil {
				return err
			}
			return a.printer().Message(resp.GetProduct(), func(w io.Writer) {
				output.Fields(w, "product", resp.GetProduct().GetName(), "name", resp.GetProduct().GetDisplayName())
			})
		}),
	}
	c.Flags().StringVar(&display, "display-name", "", "its name for people")
	return c
}

func (a *app) listProducts() *cobra.Command {
	var vendor string
	c := &cobra.Command{
		Use:     "list",
		Short:   "List products",
		Long:    "List a vendor's products, by id.",
		Example: "  escrowctl product list",
		Args:    cobra.NoArgs,
		RunE: a.call(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			o, err := ownOrganization(c, vendor)
			if err != nil {
				return err
			}
			all, err := pages(func(token string) ([]*pb.Product, string, error) {
				resp, err := c.Deposit.ListProducts(cmd.Context(), &pb.ListProductsRequest{Parent: o.String(), PageToken: token})
				return resp.GetProducts(), resp.GetNextPageToken(), err
			})
			if err != nil {
				return err
			}
			return output.List(a.printer(), "products", all, []string{"PRODUCT", "NAME", "REGISTERED"}, func(p *pb.Product) []string {
				return []string{output.ID(p.GetName()), p.GetDisplayName(), output.Time(p.GetCreateTime())}
			})
		}),
	}
	c.Flags().StringVar(&vendor, "organization", "", "the vendor (default the profile's)")
	return c
}
