package commands

import (
	"context"
	"fmt"
	"io"
	"path"

	"github.com/spf13/cobra"

	"github.com/countersign-escrow/countersign/services/escrowctl/internal/output"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/releasefile"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/sourcebundle"
)

func (a *app) sourceCommand() *cobra.Command {
	return noun("source", "Sources, before they are deposited",
		"A source is a git bundle with a tag, or an archive. These commands work on files here and speak to no service.",
		a.bundleSource())
}

func (a *app) bundleSource() *cobra.Command {
	var r sourcebundle.Request
	c := &cobra.Command{
		Use:   "bundle --repository DIR --tag TAG --out FILE",
		Short: "Make a git bundle of a tag, without what earlier bundles hold",
		Long: `Make a git bundle of a tag with the git that is installed, and print what to put into release.yaml.

Each --base names a bundle that was deposited before: what it holds is left out, and the release that the bundle goes into
names the bases. Give every base, each after those that it was made on itself. The bundle is then read as the service
will read it; what it needs beside itself (Git LFS objects, submodules) is told.

The same repository, bases and version of git give the same bytes.`,
		Example: `  escrowctl source bundle --repository . --tag v1.0 --out widget-1.0.bundle
  escrowctl source bundle --repository . --tag v1.1 --base widget-1.0.bundle --out widget-1.1.bundle`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, err := sourcebundle.Make(cmd.Context(), r)
			if err != nil {
				return err
			}
			return a.printBundle(cmd.Context(), r.Repository, b)
		},
	}
	c.Flags().StringVar(&r.Repository, "repository", ".", "folder of the repository")
	c.Flags().StringVar(&r.Tag, "tag", "", "tag to bundle")
	c.Flags().StringArrayVar(&r.Bases, "base", nil, "bundle that was deposited before; may be repeated")
	c.Flags().StringVar(&r.Out, "out", "", "file for the bundle")
	require(c, "tag", "out")
	return c
}

func (a *app) printBundle(ctx context.Context, repository string, b *sourcebundle.Bundle) error {
	entry := releasefile.BundleEntry{GitBundle: b.File, Tag: b.Tag, Bases: b.Bases, CaseSensitive: b.CaseSensitive}
	if len(b.LFS) > 0 {
		var err error
		if entry.LFS, err = sourcebundle.LFSObjects(ctx, repository); err != nil {
			return err
		}
	}
	text, err := releasefile.SourceYAML(entry)
	if err != nil {
		return err
	}
	view := map[string]any{"file": b.File, "tag": b.Tag, "commit": b.Commit, "digest": b.Digest.String(), "size": b.Size, "bases": b.Bases,
		"lfsObjects": len(b.LFS), "submodules": b.Submodules, "source": text}
	return a.printer().Value(view, func(w io.Writer) {
		output.Fields(w, "bundle", b.File, "tag", b.Tag, "commit", b.Commit, "digest", b.Digest.String(), "size", output.Bytes(b.Size))
		fmt.Fprintf(w, "\nFor release.yaml:\n\n%s", text)
		for _, s := range b.Submodules {
			fmt.Fprintf(w, "  # The submodule %s needs a source of its own: a git bundle with a tag at %s and, below where this one goes, into: %s\n",
				output.Clean(s.Path), s.Commit, output.Clean(path.Clean(s.Path)))
		}
	})
}
