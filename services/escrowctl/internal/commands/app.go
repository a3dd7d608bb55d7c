// Package commands is the command line of escrowctl: one file per noun. It reads flags, calls the packages that do the
// work, and prints what they answer; it knows nothing of how a release is verified.
package commands

import (
	"context"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/client"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/output"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/profile"
)

// Exit codes.
const (
	exitDone    = 0
	exitError   = 1
	exitUsage   = 2
	exitDiffers = 3 // with --fail-on-differs alone
)

// Streams are where a command reads and writes.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// app is what all commands share.
type app struct {
	Streams
	profileFlag string
	outputFlag  string
	running     bool   // the command line was understood
	goOn        string // how to go on after an interruption
}

// Run carries out one command line and returns the exit code.
func Run(ctx context.Context, args []string, s Streams) int {
	a := &app{Streams: s}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(s.In)
	root.SetOut(s.Out)
	root.SetErr(s.Err)
	return a.finish(ctx, root.ExecuteContext(ctx))
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "escrowctl",
		Short: "Deposit, grant, evaluate and verify software releases held in escrow",
		Long: `escrowctl speaks to a Countersign service: vendors deposit signed releases, government labs set their validation
models and receive reports, independent rebuilders rebuild, auditors fetch attestations and check them offline.

Whom it speaks as is told by a profile: see escrowctl profile --help and escrowctl enrol --help.

Exit codes: 0 done, 1 error, 2 the command line was not understood, 3 an artifact differs (release submit
--fail-on-differs).`,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if err := cmd.ValidateRequiredFlags(); err != nil { // cobra looks too late for the exit code
				return err
			}
			if a.outputFlag != "text" && a.outputFlag != "json" {
				return fault.Invalidf("--output", "is %q, must be text or json", a.outputFlag)
			}
			a.running = true
			return nil
		},
	}
	flags := root.PersistentFlags()
	flags.StringVar(&a.profileFlag, "profile", "", "profile to use: a name, a profile.yaml or its folder (default $"+profile.Variable+", or the one named default)")
	flags.StringVarP(&a.outputFlag, "output", "o", "text", "text or json")
	root.AddCommand(
		a.profileCommand(), a.enrolCommand(), a.organizationCommand(), a.memberCommand(),
		a.keyCommand(), a.signCommand(), a.trustAnchorCommand(),
		a.productCommand(), a.sourceCommand(), a.environmentCommand(), a.releaseCommand(), a.grantCommand(), a.accessCommand(),
		a.policyCommand(), a.reportCommand(), a.artifactCommand(),
		a.retentionCommand(), a.holdCommand(), a.scrubCommand(),
		a.rebuilderCommand(), a.attestationCommand(), a.versionCommand(),
	)
	return root
}

// noun makes a command that only holds others.
func noun(use, short, long string, children ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{
		Use: use, Short: short, Long: long,
		Example: "  escrowctl " + use + " --help",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return usagef("%s has no command %q; see %s --help", cmd.CommandPath(), args[0], cmd.CommandPath())
		},
	}
	c.AddCommand(children...)
	return c
}

func (a *app) printer() *output.Printer {
	return &output.Printer{Out: a.Out, JSON: a.outputFlag == "json"}
}

// connect opens the profile and prepares the connection.
func (a *app) connect() (*client.Client, error) {
	p, err := profile.Load(a.profileFlag)
	if err != nil {
		return nil, err
	}
	return client.Dial(p)
}

// terminal says whether w is one, so that lines on it may be drawn again.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"
}

// call runs fn with a connection that is closed afterwards.
func (a *app) call(fn func(cmd *cobra.Command, c *client.Client, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		c, err := a.connect()
		if err != nil {
			return err
		}
		defer c.Close()
		return fn(cmd, c, args)
	}
}
