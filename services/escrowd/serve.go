package main

import (
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/countersign-escrow/countersign/services/internal/config"
	"github.com/countersign-escrow/countersign/services/internal/instance"
)

const serveHelp = `Serve runs the service.

With --data it runs the whole service in one process, with all that it keeps in one folder. The first start makes the
folder: the keys (for the CA, the statements, the log, the time stamps and the sealing of deposits), the catalog, the
object store, the log, the organization "operator" with its member "admin", and a profile for it. Later starts go on
from there. Back up the folder, above all its subfolder "keys": without it nothing can be carried on.

With --config it runs one process of many, which share a PostgreSQL database, an object store, a folder of keys and the
folder of the log. The role api answers members and everybody; the role worker checks, rebuilds and evaluates, and
writes the log while no other worker does. Any number of each may run; a worker that dies is replaced by the others.
Make the keys first, with "escrowd keys create".

When the process is ready, it prints to standard output, one line each:

  LISTENING grpc HOST:PORT     where clients connect; role api
  LISTENING https HOST:PORT    /healthz, /trusted_root.json, /statement.pub and the transparency log; role api
  PROFILE PATH                 the operator's profile, for escrowctl --profile; with --data
  ROLES api,worker             what the process does; with --config
  READY

Logs go to standard error. SIGINT or SIGTERM stops it; what runs may come to its end, and what is cut off is carried on
at the next start, or by the other workers.`

const serveExamples = `  # The first start, and every later one:
  escrowd serve --data /var/lib/countersign --operator-country CH

  # Reachable from elsewhere, under the name escrow.example:
  escrowd serve --data /var/lib/countersign --listen 0.0.0.0:8443 --http 0.0.0.0:8444 --name escrow.example

  # On free ports, for a trial:
  escrowd serve --data /tmp/trial --listen 127.0.0.1:0 --http 127.0.0.1:0

  # One process of many, of both roles or of one:
  escrowd serve --config /etc/countersign/escrowd.yaml
  escrowd serve --config /etc/countersign/escrowd.yaml --role worker`

// serving is what the flags say.
type serving struct {
	place
	cfg    instance.Config
	roles  []string
	format string
}

// inFile are the flags that the configuration file has a field for.
var inFile = map[string]string{
	"listen": "listen", "http": "http", "name": "names", "operator-country": "operator_country", "runtime": "runtime",
	"workers": "rebuild_workers", "reflection": "reflection", "log-format": "log_format",
}

func newServe() *cobra.Command {
	var s serving
	cmd := &cobra.Command{
		Use:     "serve (--data DIR | --config FILE)",
		Short:   "Run the service",
		Long:    serveHelp,
		Example: serveExamples,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := s.config(cmd)
			if err != nil {
				return err
			}
			service := instance.New(cfg)
			return service.Run(cmd.Context(), func() { announce(cmd.OutOrStdout(), service) })
		},
	}
	s.flags(cmd)
	f := cmd.Flags()
	f.StringSliceVar(&s.roles, "role", nil, "with --config: what the process does, api or worker or both; as the file says if not given")
	f.StringVar(&s.cfg.Listen, "listen", instance.DefaultListen, "address for gRPC; port 0 takes a free one")
	f.StringVar(&s.cfg.HTTP, "http", instance.DefaultHTTP, "address for HTTPS; port 0 takes a free one")
	f.StringSliceVar(&s.cfg.Names, "name", nil, "host name or address that clients use, for the server certificate; may be repeated")
	f.StringVar(&s.cfg.Country, "operator-country", "",
		"the operator's country, ISO 3166-1; kept from the first start on ("+instance.UnknownCountry+" if not given then)")
	f.StringVar(&s.cfg.Runtime, "runtime", "runc", "OCI runtime that rebuilds run in, a name or a path")
	f.IntVar(&s.cfg.Workers, "workers", 1, "rebuilds at the same time")
	f.BoolVar(&s.cfg.Reflection, "reflection", false, "answer gRPC reflection, to members")
	f.StringVar(&s.format, "log-format", "text", "text or json")
	return cmd
}

// config puts together what the flags and the file say.
func (s *serving) config(cmd *cobra.Command) (cfg instance.Config, err error) {
	cfg = s.cfg
	cfg.Data = s.data
	file, err := s.read()
	if err != nil {
		return cfg, err
	}
	switch {
	case file != nil:
		if err := s.apply(cmd, file); err != nil {
			return cfg, err
		}
		cfg, s.format = instance.FromFile(file), file.LogFormat
	case len(s.roles) > 0:
		return cfg, fmt.Errorf("--role goes with --config: with --data one process does everything")
	case cfg.Workers < 1:
		return cfg, fmt.Errorf("--workers %d: must be 1 at least", cfg.Workers)
	}
	cfg.Logger, err = newLogger(cmd.ErrOrStderr(), s.format)
	return cfg, err
}

// apply lets --role have the last word, and refuses flags that the file has a field for.
func (s *serving) apply(cmd *cobra.Command, file *config.Config) (err error) {
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if field, ok := inFile[f.Name]; ok && err == nil {
			err = fmt.Errorf("--%s goes with --data: with --config it is the field %s of the file", f.Name, field)
		}
	})
	if err != nil || len(s.roles) == 0 {
		return err
	}
	file.Roles = nil
	for _, r := range s.roles {
		role := config.Role(r)
		if role != config.API && role != config.Worker {
			return fmt.Errorf("--role %q: must be %s or %s", r, config.API, config.Worker)
		}
		if !slices.Contains(file.Roles, role) {
			file.Roles = append(file.Roles, role)
		}
	}
	return nil
}

func announce(out io.Writer, s *instance.Service) {
	if s.Address() != "" {
		fmt.Fprintf(out, "LISTENING grpc %s\nLISTENING https %s\n", s.Address(), s.Web())
	}
	if s.Profile() != "" {
		fmt.Fprintf(out, "PROFILE %s\n", s.Profile())
	} else {
		fmt.Fprintf(out, "ROLES %s\n", s.Roles())
	}
	fmt.Fprintln(out, "READY")
}
