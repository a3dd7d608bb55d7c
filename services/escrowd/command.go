package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/countersign-escrow/countersign/services/internal/config"
)

func newCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "escrowd",
		Short:         "The Countersign service: source-code escrow with rebuilds, verdicts and proofs",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
	}
	root.AddCommand(newServe(), newConfig(), newKeys(), newBucket(), newOperator(), newBackup(), newRestore())
	return root
}

// group is a command that only has others below it.
func group(use, short string, below ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(below...)
	return cmd
}

// place is what --data or --config names.
type place struct{ data, config string }

func (p *place) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&p.data, "data", "", "folder that the service keeps everything in")
	cmd.Flags().StringVar(&p.config, "config", "", "configuration file of a service of many processes")
}

// read reads the configuration file; nil where a folder is named.
func (p *place) read() (*config.Config, error) {
	if (p.data == "") == (p.config == "") {
		return nil, errors.New("either --data DIR or --config FILE is needed")
	}
	if p.config == "" {
		return nil, nil
	}
	return config.Read(p.config)
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
