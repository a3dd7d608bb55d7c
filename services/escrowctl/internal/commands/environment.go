package commands

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/client"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/imagefile"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/output"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/upload"
)

func (a *app) environmentCommand() *cobra.Command {
	return noun("environment", "Toolchains, as OCI images held in escrow",
		"An environment is the toolchain of a recipe: an OCI image, named by the digest of its manifest and held in escrow itself.",
		a.buildEnvironment(), a.addEnvironment(), a.listEnvironments(), a.showEnvironment())
}

func (a *app) buildEnvironment() *cobra.Command {
	var folders []string
	var out string
	var recipe imagefile.Recipe
	c := &cobra.Command{
		Use:   "build --folder SRC=DEST… --out FILE",
		Short: "Make a reproducible image archive from folders",
		Long: `Make an OCI image archive from folders here, without a container engine. The same content always gives the same bytes:
names are sorted, times and owners fixed, nothing is compressed. Each --folder becomes a layer; SRC may be a single file.

A file is executable in the image if it is executable here, or if a pattern given with --executable matches its
absolute path in the image; * is any part of a name, ** any number of folders.`,
		Example: `  escrowctl environment build --folder toolchain=/usr/local/go --out env.oci.tar
  escrowctl environment build --folder go=/usr/local/go --executable '/usr/local/go/bin/*' --executable '/usr/local/go/pkg/tool/**' --out env.oci.tar`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, f := range folders {
				source, dest, ok := strings.Cut(f, "=")
				if !ok || source == "" || !strings.HasPrefix(dest, "/") {
					return usagef("--folder %q: must have the form SRC=/DEST", f)
				}
				recipe.Folders = append(recipe.Folders, imagefile.Folder{Source: source, Dest: dest})
			}
			d, err := imagefile.Build(cmd.Context(), out, recipe)
			if err != nil {
				return err
			}
			return a.printer().Value(map[string]string{"image": d.String(), "file": out}, func(w io.Writer) {
				output.Fields(w, "image", d.String(), "file", out)
			})
		},
	}
	c.Flags().StringArrayVar(&folders, "folder", nil, "SRC=DEST: a folder here and its absolute place in the image; may be repeated")
	c.Flags().StringArrayVar(&recipe.Executable, "executable", nil, "pattern of files that are executable in the image; may be repeated")
	c.Flags().StringVar(&recipe.Platform, "platform", "linux/amd64", "platform that the image is for")
	c.Flags().StringVar(&out, "out", "", "file for the archive")
	require(c, "folder", "out")
	return c
}

func (a *app) addEnvironment() *cobra.Command {
	var display, platform string
	var parallel int
	c := &cobra.Command{
		Use:   "add IMAGE",
		Short: "Upload an image and register it (vendors)",
		Long: `Upload what the service lacks of an image and register it. IMAGE is an OCI layout folder, an OCI archive, or what
"docker save" wrote. A release may name the image's file itself; this command serves to upload it beforehand.`,
		Example: "  escrowctl environment add env.oci.tar --display-name 'Go 1.26.5'",
		Args:    cobra.ExactArgs(1),
		RunE: a.call(func(cmd *cobra.Command, c *client.Client, args []string) error {
			a.goOn = "run the same command again; only the rest is sent"
			image, err := imagefile.Open(args[0], platform)
			if err != nil {
				return fault.Invalidf(args[0], "%v", err)
			}
			defer image.Close()
			if _, err := a.upload(cmd.Context(), c, c.Profile.Organization, parallel, imageBlobs(image)); err != nil {
				return err
			}
			env, err := register(cmd.Context(), c, c.Profile.Organization, image.Digest, display)
			if err != nil {
				return err
			}
			return a.printEnvironment(env)
		}),
	}
	c.Flags().StringVar(&display, "display-name", "", "its name for people")
	c.Flags().StringVar(&platform, "platform", "linux/amd64", "which one to take of an image for several platforms")
	c.Flags().IntVar(&parallel, "parallel", 4, "blobs to send at a time")
	return c
}

func register(ctx context.Context, c *client.Client, vendor resource.Organization, image digest.Digest, display string) (*pb.Environment, error) {
	resp, err := c.Deposit.CreateEnvironment(ctx, &pb.CreateEnvironmentRequest{Parent: vendor.String(), Image: image.String(), DisplayName: display})
	return resp.GetEnvironment(), err
}

func imageBlobs(image *imagefile.Image) []upload.Blob {
	blobs := make([]upload.Blob, len(image.Blobs))
	for i, b := range image.Blobs {
		blobs[i] = upload.Blob{Name: fmt.Sprintf("environment %s %s", b.Kind, short(b.Digest.Hex())), Digest: b.Digest, Size: b.Size,
			Open: func() (upload.Content, error) { return b.Open() }}
	}
	return blobs
}

func (a *app) printEnvironment(e *pb.Environment) error {
	return a.printer().Message(e, func(w io.Writer) {
		output.Fields(w, "environment", e.GetName(), "image", e.GetImage(), "name", e.GetDisplayName(), "platform", e.GetPlatform(),
			"size", output.Bytes(e.GetSize()), "registered", output.Time(e.GetCreateTime()))
	})
}

func (a *app) listEnvironments() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List environments (vendors)",
		Long:    "List the environments that are held for the profile's organization, by digest.",
		Example: "  escrowctl environment list",
		Args:    cobra.NoArgs,
		RunE: a.call(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			all, err := pages(func(token string) ([]*pb.Environment, string, error) {
				resp, err := c.Deposit.ListEnvironments(cmd.Context(), &pb.ListEnvironmentsRequest{Parent: c.Profile.Organization.String(), PageToken: token})
				return resp.GetEnvironments(), resp.GetNextPageToken(), err
			})
			if err != nil {
				return err
			}
			return output.List(a.printer(), "environments", all, []string{"IMAGE", "PLATFORM", "SIZE", "NAME"}, func(e *pb.Environment) []string {
				return []string{e.GetImage(), e.GetPlatform(), output.Bytes(e.GetSize()), e.GetDisplayName()}
			})
		}),
	}
}

func (a *app) showEnvironment() *cobra.Command {
	return &cobra.Command{
		Use:     "show DIGEST",
		Short:   "Show one environment (vendors)",
		Long:    "Show one environment by the digest of its image manifest: sha256:… or the hexadecimal digits alone.",
		Example: "  escrowctl environment show sha256:198a3d0a…",
		Args:    cobra.ExactArgs(1),
		RunE: a.call(func(cmd *cobra.Command, c *client.Client, args []string) error {
			name, err := child(c, resource.Environments, strings.TrimPrefix(args[0], digest.Prefix))
			if err != nil {
				return err
			}
			resp, err := c.Deposit.GetEnvironment(cmd.Context(), &pb.GetEnvironmentRequest{Name: name.String()})
			if err != nil {
				return err
			}
			return a.printEnvironment(resp.GetEnvironment())
		}),
	}
}
