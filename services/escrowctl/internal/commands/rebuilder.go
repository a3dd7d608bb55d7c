package commands

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/intake"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/agent"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/client"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/keyfile"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/output"
	"github.com/countersign-escrow/countersign/verifier/attest"
	"github.com/countersign-escrow/countersign/verifier/finding"
	"github.com/countersign-escrow/countersign/verifier/rebuild"
	"github.com/countersign-escrow/countersign/verifier/rebuild/sandbox"
)

type rebuilderFlags struct {
	key, work, runtime string
	once               bool
	untilIdle          time.Duration
}

func (a *app) rebuilderCommand() *cobra.Command {
	var f rebuilderFlags
	run := &cobra.Command{
		Use:   "run --key FILE",
		Short: "Rebuild what waits for the lab, and sign the findings",
		Long: `Lease the rebuilds that wait for the profile's organization, make them here in a sandbox of an OCI runtime, and hand in
the findings signed with the lab's own key. The key's public half must be a trust anchor of the organization with the
purpose rebuild, and the lab's policy must say rebuild: own.

Files are fetched into a cache below --work and checked by digest. A lease that is lost ends the work on it. The agent
outlives a service that is away, and runs until it is stopped.`,
		Example: `  escrowctl rebuilder run --key rebuild.key --profile lab-jp
  escrowctl rebuilder run --key rebuild.key --until-idle 1m --work /var/lib/rebuilder`,
		Args: cobra.NoArgs,
		RunE: a.call(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			a.goOn = "run the same command again; a lease that was held goes back to the service when its time is over"
			return a.rebuilder(cmd.Context(), c, f)
		}),
	}
	run.Flags().StringVar(&f.key, "key", "", "file with the lab's private key")
	run.Flags().StringVar(&f.work, "work", "", "folder for the cache and the runs (default ~/.cache/countersign/rebuilder)")
	run.Flags().StringVar(&f.runtime, "runtime", "runc", "OCI runtime: a name or a path")
	run.Flags().BoolVar(&f.once, "once", false, "end after one rebuild")
	run.Flags().DurationVar(&f.untilIdle, "until-idle", 0, "end when nothing was to do for so long")
	require(run, "key")
	return noun("rebuilder", "A lab's own rebuilds", "An independent rebuilder makes rebuilds on a lab's own machines and signs its findings with the lab's own key.", run)
}

func (a *app) rebuilder(ctx context.Context, c *client.Client, f rebuilderFlags) error {
	key, err := keyfile.Read(f.key)
	if err != nil {
		return err
	}
	signer, err := attest.NewSigner(key)
	if err != nil {
		return err
	}
	if f.work == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return usagef("--work is needed: %v", err)
		}
		f.work = filepath.Join(cache, "countersign", "rebuilder")
	}
	if f.work, err = filepath.Abs(f.work); err != nil { // the runtime runs elsewhere
		return err
	}
	rebuilds, err := a.workshop(c, f)
	if err != nil {
		return err
	}
	org := c.Profile.Organization
	if err := checkAnchor(ctx, c, signer, f.key); err != nil {
		return err
	}
	resp, err := c.Directory.GetOrganization(ctx, &pb.GetOrganizationRequest{Name: org.String()})
	if err != nil {
		return err
	}
	platform := runtime.GOOS + "/" + runtime.GOARCH
	fmt.Fprintf(a.Err, "READY %s rebuilds for %s with key %s\n", org.ID, platform, signer.KeyID())
	return agent.New(agent.Config{Service: c.Rebuild, Organization: org, Country: resp.GetOrganization().GetCountry(), Platforms: []string{platform},
		Signer: signer, Rebuild: rebuilds, Once: f.once, UntilIdle: f.untilIdle, Report: a.reportWork}).Run(ctx)
}

// checkAnchor makes sure that findings signed with the key will count, before any work is done for nothing.
func checkAnchor(ctx context.Context, c *client.Client, signer *attest.Signer, keyFile string) error {
	anchors, err := trustAnchors(ctx, c, c.Profile.Organization)
	if err != nil {
		return err
	}
	now := time.Now()
	for _, t := range anchors {
		ended := t.GetRevokeTime() != nil || t.GetValidUntil() != nil && now.After(t.GetValidUntil().AsTime())
		if t.GetPurpose() == pb.TrustAnchorPurpose_TRUST_ANCHOR_PURPOSE_REBUILD && !ended && keyID(t.GetPublicKeyPem()) == signer.KeyID() {
			return nil
		}
	}
	return fault.Preconditionf("NO_TRUST_ANCHOR", c.Profile.Organization.String(), "the key %s is no trust anchor of %s for rebuilds, so its findings would not count",
		keyFile, c.Profile.Organization).WithAdvice("escrowctl trust-anchor add --purpose rebuild --key %s.pub", keyFile)
}

// workshop sets up the sandbox and the cache, and returns what makes a rebuild with them.
func (a *app) workshop(c *client.Client, f rebuilderFlags) (agent.Rebuild, error) {
	dirs := map[string]string{}
	for _, name := range []string{"state", "images", "runs", "scratch"} {
		dirs[name] = filepath.Join(f.work, name)
		if err := os.MkdirAll(dirs[name], 0o700); err != nil {
			return nil, err
		}
	}
	cache, err := agent.NewCache(filepath.Join(f.work, "files"), c.Evaluation)
	if err != nil {
		return nil, err
	}
	box, err := sandbox.New(sandbox.Config{Runtime: f.runtime, StateDir: dirs["state"], CacheDir: dirs["images"]})
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, w agent.Work) ([]finding.Finding, error) {
		r, err := rebuild.New(rebuild.Config{Sandbox: box, WorkDir: dirs["runs"],
			Materials: &agent.Materials{Cache: cache, Release: w.Release, Sources: w.Manifest.Sources, Scratch: dirs["scratch"], Limits: intake.DefaultLimits()},
			Progress:  func(line string) { fmt.Fprintf(a.Err, "  %s\n", output.Clean(line)) }})
		if err != nil {
			return nil, err
		}
		return r.Rebuild(ctx, w.Manifest)
	}, nil
}

// reportWork prints what the agent does.
func (a *app) reportWork(e agent.Event) {
	line := fmt.Sprintf("%s %s", e.Kind, output.Release(e.Release))
	if e.Message != "" {
		line += ": " + output.Clean(e.Message)
	}
	view := map[string]string{"event": e.Kind, "rebuild": e.Rebuild, "release": e.Release, "message": e.Message}
	if err := a.printer().Event(view, line); err != nil {
		return
	}
	for _, f := range e.Results {
		if err := a.printer().Event(f, findingLine(e.Release, f)); err != nil {
			return
		}
	}
}
