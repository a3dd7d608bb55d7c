package main

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/countersign-escrow/countersign/services/internal/embedded"
)

func newCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "escrowd",
		Short:         "The Countersign service: source-code escrow with rebuilds, verdicts and proofs",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
	}
	root.AddCommand(newServe())
	return root
}

const serveHelp = `Serve runs the whole service in one process, with all that it keeps in one folder.

The first start makes the folder: the keys (for the CA, the statements, the log and the time stamps), the catalog, the
object store, the log, the organization "operator" with its member "admin", and a profile for it. Later starts go on
from there. Back up the folder, above all its subfolder "keys": without it nothing can be carried on.

When the service is ready, it prints to standard output, one line each:

  LISTENING grpc HOST:PORT     where clients connect
  LISTENING https HOST:PORT    /healthz, /trusted_root.json, /statement.pub and the transparency log
  PROFILE PATH                 the operator's profile, for escrowctl --profile
  READY

Logs go to standard error. SIGINT or SIGTERM stops it; what runs may come to its end, and what is cut off is carried on
at the next start.`

const serveExamples = `  # The first start, and every later one:
  escrowd serve --data /var/lib/countersign --operator-country CH

  # Reachable from elsewhere, under the name escrow.example:
  escrowd serve --data /var/lib/countersign --listen 0.0.0.0:8443 --http 0.0.0.0:8444 --name escrow.example

  # On free ports, for a trial:
  escrowd serve --data /tmp/trial --listen 127.0.0.1:0 --http 127.0.0.1:0`

func newServe() *cobra.Command {
	var cfg embedded.Config
	var format string
	cmd := &cobra.Command{
		Use:     "serve --data DIR",
		Short:   "Run the service",
		Long:    serveHelp,
		Example: serveExamples,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if cfg.Workers < 1 {
				return fmt.Errorf("--workers %d: must be 1 at least", cfg.Workers)
			}
			if cfg.Logger, err = newLogger(cmd.ErrOrStderr(), format); err != nil {
				return err
			}
			service := embedded.New(cfg)
			return service.Run(cmd.Context(), func() { announce(cmd.OutOrStdout(), service) })
		},
	}
	f := cmd.Flags()
	f.StringVar(&cfg.Data, "data", "", "folder that the service keeps everything in; made at the first start")
	f.StringVar(&cfg.Listen, "listen", embedded.DefaultListen, "address for gRPC; port 0 takes a free one")
	f.StringVar(&cfg.HTTP, "http", embedded.DefaultHTTP, "address for HTTPS; port 0 takes a free one")
	f.StringSliceVar(&cfg.Names, "name", nil, "host name or address that clients use, for the server certificate; may be repeated")
	f.StringVar(&cfg.Country, "operator-country", "",
		"the operator's country, ISO 3166-1; kept from the first start on ("+embedded.UnknownCountry+" if not given then)")
	f.StringVar(&cfg.Runtime, "runtime", "runc", "OCI runtime that rebuilds run in, a name or a path")
	f.IntVar(&cfg.Workers, "workers", 1, "rebuilds at the same time")
	f.BoolVar(&cfg.Reflection, "reflection", false, "answer gRPC reflection, to members")
	f.StringVar(&format, "log-format", "text", "text or json")
	if err := cmd.MarkFlagRequired("data"); err != nil {
		panic(err) // the flag is defined above
	}
	return cmd
}

func announce(out io.Writer, s *embedded.Service) {
	fmt.Fprintf(out, "LISTENING grpc %s\nLISTENING https %s\nPROFILE %s\nREADY\n", s.Address(), s.Web(), s.Profile())
}

func newLogger(w io.Writer, format string) (*slog.Logger, error) {
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(w, nil)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, nil)), nil
	}
	return nil, fmt.Errorf("--log-format %q: must be text or json", format)
}
