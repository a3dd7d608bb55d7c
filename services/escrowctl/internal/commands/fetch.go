package commands

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/intake"
	"github.com/countersign-escrow/countersign/escrow/manifest"
	"github.com/countersign-escrow/countersign/escrow/resource"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/client"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/fetch"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/output"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/progress"
)

// What --only and --source may say.
const (
	partSources     = "sources"
	partArtifacts   = "artifacts"
	partEnvironment = "environment"

	asFiles  = "files"
	asGit    = "git"
	asFolder = "folder"
)

var allParts = []string{partSources, partArtifacts, partEnvironment}

type fetchFlags struct {
	out, source string
	only        []string
	bare        bool
	parallel    int
}

func (a *app) fetchCommand() *cobra.Command {
	var f fetchFlags
	c := &cobra.Command{
		Use:   "fetch RELEASE --out DIR",
		Short: "Fetch a release's files, verified (its vendor, and labs with a grant)",
		Long: `Fetch a sealed release into a folder, which is made if need be:

    manifest.json            the manifest, checked against the release's digest
    signatures/              the signatures over it
    receipt.sigstore.json    the receipt
    sources/                 the sources as deposited, each checked against the manifest, as is every file
    artifacts/               the shipped files under their paths in the manifest
    environment/             the toolchain as an OCI image layout
    git/                     with --source git: a repository for each git bundle, made by the installed git with its checks of
                             objects on; the tag is checked out, or with --bare it is not
    source/                  with --source folder: the sources unpacked as the recipe finds them

A file stands under its name only when it is whole and right; until then it is NAME.partial. Stopped in the middle and run
again, the command goes on where it ended; a connection or service that breaks is waited for. Nothing that is there is ever
replaced, and nothing is written outside of the folder. The vendor's trail records what was read. When the grant ends, so
does the command.`,
		Example: `  escrowctl release fetch acme/widget/1.2.3 --out widget-1.2.3 --profile lab-fi
  escrowctl release fetch acme/widget/1.2.3 --out widget-1.2.3 --source git --only sources`,
		Args: cobra.ExactArgs(1),
		RunE: a.call(func(cmd *cobra.Command, c *client.Client, args []string) error {
			if err := f.check(); err != nil {
				return err
			}
			name, err := release(c, args[0])
			if err != nil {
				return err
			}
			a.goOn = "run the same command again (only the rest is fetched)"
			return a.fetch(cmd.Context(), c, name, f)
		}),
	}
	c.Flags().StringVar(&f.out, "out", "", "folder to fetch into")
	c.Flags().StringVar(&f.source, "source", asFiles, "what to make of the sources: files (as deposited), git or folder")
	c.Flags().StringSliceVar(&f.only, "only", allParts, "parts to fetch")
	c.Flags().BoolVar(&f.bare, "bare", false, "with --source git: without a working copy")
	c.Flags().IntVar(&f.parallel, "parallel", 4, "files to fetch at a time")
	require(c, "out")
	return c
}

func (f *fetchFlags) check() error {
	for _, part := range f.only {
		if !slices.Contains(allParts, part) {
			return usagef("--only %q: must be of %s", part, strings.Join(allParts, ", "))
		}
	}
	switch {
	case f.source != asFiles && f.source != asGit && f.source != asFolder:
		return usagef("--source %q: must be %s, %s or %s", f.source, asFiles, asGit, asFolder)
	case f.source != asFiles && !f.wants(partSources):
		return usagef("--source %s needs the sources: add them to --only", f.source)
	case f.bare && f.source != asGit:
		return usagef("--bare is for --source git")
	case f.parallel < 1:
		return usagef("--parallel %d: must be at least 1", f.parallel)
	}
	return nil
}

func (f *fetchFlags) wants(part string) bool { return slices.Contains(f.only, part) }

// fetching is one run of release fetch.
type fetching struct {
	*app
	fetchFlags
	client *client.Client
	name   resource.Release
	folder *os.Root
	meter  *progress.Meter
	fetch  *fetch.Fetcher
	git    *fetch.Git // nil where none is needed

	release     *pb.Release
	manifest    *manifest.Manifest
	documents   map[string][]byte // of the image layout, to be saved when its blobs are here
	files       []fetch.File
	sourcePaths []string // of each source's own file
	made        []string // what was made of the sources
}

func (a *app) fetch(ctx context.Context, c *client.Client, name resource.Release, f fetchFlags) error {
	out, err := filepath.Abs(f.out) // git runs elsewhere
	if err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	folder, err := os.OpenRoot(out)
	if err != nil {
		return err
	}
	defer folder.Close()
	meter := a.meter("FETCH")
	defer meter.Finish()
	run := &fetching{app: a, fetchFlags: f, client: c, name: name, folder: folder, meter: meter, fetch: &fetch.Fetcher{
		Service: c.Evaluation, Release: name, Folder: folder, Parallel: f.parallel, Progress: meter}}
	return run.run(ctx)
}

func (r *fetching) run(ctx context.Context) (err error) {
	if r.source == asGit {
		if r.git, err = fetch.NewGit(r.folder); err != nil {
			return err
		}
		r.git.Bare = r.bare
	}
	if err := r.papers(ctx); err != nil {
		return err
	}
	if err := r.plan(ctx); err != nil {
		return err
	}
	sum, err := r.fetch.Fetch(ctx, r.files)
	if err != nil {
		return err
	}
	for _, p := range slices.Sorted(maps.Keys(r.documents)) {
		if err := fetch.Save(r.folder, p, r.documents[p]); err != nil {
			return err
		}
	}
	if err := r.unpack(ctx); err != nil {
		return err
	}
	r.meter.Finish()
	return r.report(sum)
}

// call makes a call that is not a stream, waiting for a service that is away.
func (r *fetching) call(ctx context.Context, what string, call func() error) error {
	return r.fetch.Patiently(ctx, what, func() int64 { return 0 }, call)
}

// papers fetches and saves the manifest, the signatures and the receipt. The manifest comes first: a folder that holds
// another release is found out by it.
func (r *fetching) papers(ctx context.Context) error {
	var sealed *pb.GetSealedReleaseResponse
	err := r.call(ctx, "the release", func() (err error) {
		sealed, err = r.client.Evaluation.GetSealedRelease(ctx, &pb.GetSealedReleaseRequest{Name: r.name.String()})
		return err
	})
	if err != nil {
		return err
	}
	r.release = sealed.GetRelease()
	if err := r.readManifest(ctx); err != nil {
		return err
	}
	for i, s := range sealed.GetSignatures() {
		if err := fetch.Save(r.folder, fmt.Sprintf("signatures/%d.sigstore.json", i+1), s.GetContent()); err != nil {
			return err
		}
	}
	var receipt *pb.GetAttestationResponse
	err = r.call(ctx, "the receipt", func() (err error) {
		receipt, err = r.client.Attestation.GetAttestation(ctx, &pb.GetAttestationRequest{Name: r.release.GetReceipt()})
		return err
	})
	if err != nil {
		return fmt.Errorf("receipt: %w", err)
	}
	return fetch.Save(r.folder, "receipt.sigstore.json", receipt.GetAttestation().GetBundle())
}

func (r *fetching) readManifest(ctx context.Context) error {
	d, err := digest.Parse(r.release.GetManifestDigest())
	if err != nil {
		return fault.Corruptf(r.name.String(), "the service names no manifest: %v", err)
	}
	raw, err := r.fetch.Small(ctx, "manifest.json", d, manifest.MaxBytes)
	if err != nil {
		return err
	}
	if r.manifest, err = manifest.Parse(raw); err != nil {
		return err
	}
	if speaks, err := r.manifest.Release(); err != nil || speaks != r.name {
		return fault.Corruptf(r.name.String(), "the manifest that the service gives speaks of %s", speaks)
	}
	return fetch.Save(r.folder, "manifest.json", raw)
}

// plan says which files go where.
func (r *fetching) plan(ctx context.Context) error {
	if r.wants(partSources) {
		files, paths := fetch.Sources(r.manifest)
		r.files, r.sourcePaths = append(r.files, files...), paths
	}
	if r.wants(partArtifacts) {
		files, err := fetch.Artifacts(r.manifest)
		if err != nil {
			return err
		}
		r.files = append(r.files, files...)
	}
	if !r.wants(partEnvironment) {
		return nil
	}
	image := r.manifest.Environment.Image
	raw, err := r.fetch.Small(ctx, "the image manifest", image, fetch.MaxImageManifest)
	if err != nil {
		return err
	}
	files, documents, err := fetch.Environment(image, raw)
	r.files, r.documents = append(r.files, files...), documents
	return err
}

// unpack makes of the sources what was asked for.
func (r *fetching) unpack(ctx context.Context) error {
	switch r.source {
	case asFolder:
		made, err := fetch.Tree(ctx, r.folder, r.manifest, r.files, intake.DefaultLimits())
		if err != nil {
			return err
		}
		r.note(fetch.TreeFolder, made)
	case asGit:
		return r.repositories(ctx)
	}
	return nil
}

func (r *fetching) repositories(ctx context.Context) error {
	for i, s := range r.manifest.Sources {
		if s.Kind != manifest.GitBundle {
			r.meter.Note(fmt.Sprintf("ARCHIVE %s is no git bundle: it stays a file", r.sourcePaths[i]))
			continue
		}
		where, made, err := r.git.Repository(ctx, s, r.sourcePaths[i])
		if err != nil {
			return err
		}
		r.note(where, made)
	}
	return nil
}

// note remembers what was made of a source.
func (r *fetching) note(where string, made bool) {
	r.made = append(r.made, where)
	if !made {
		r.meter.Note("KEPT " + where + ": it was there already, and was not looked at")
	}
}

func (r *fetching) report(sum fetch.Summary) error {
	view := struct {
		Release        string        `json:"release"`
		ManifestDigest string        `json:"manifestDigest"`
		Out            string        `json:"out"`
		Files          []fetch.File  `json:"files"`
		Made           []string      `json:"made,omitempty"`
		Summary        fetch.Summary `json:"summary"`
	}{r.name.String(), r.release.GetManifestDigest(), r.folder.Name(), r.files, r.made, sum}
	return r.printer().Value(view, func(w io.Writer) {
		fmt.Fprintf(w, "FETCHED %s manifest %s: %d files, %s now, %s were here before\n", output.Release(r.name.String()), r.release.GetManifestDigest(),
			sum.Files, output.Bytes(sum.Fetched), output.Bytes(sum.HeldBytes+sum.Resumed))
		for _, where := range r.made {
			fmt.Fprintf(w, "SOURCE %s\n", output.Clean(filepath.Join(r.folder.Name(), filepath.FromSlash(where))))
		}
	})
}
