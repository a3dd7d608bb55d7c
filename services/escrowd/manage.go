package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/countersign-escrow/countersign/escrow/resource"
	"github.com/countersign-escrow/countersign/services/internal/config"
	"github.com/countersign-escrow/countersign/services/internal/instance"
)

func newConfig() *cobra.Command {
	return group("config", "Look at a configuration file", &cobra.Command{
		Use:   "check FILE",
		Short: "Say what is wrong with a configuration file",
		Long: `Check reads a configuration file and the files with secrets that it names, and tells all mistakes at once, each with file,
line and field. It connects to nothing.`,
		Example: `  escrowd config check /etc/countersign/escrowd.yaml`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := config.Read(args[0])
			if err != nil {
				return err
			}
			if err := c.Secrets(); err != nil {
				return err
			}
			roles := make([]string, len(c.Roles))
			for i, r := range c.Roles {
				roles[i] = string(r)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: no mistakes; roles %s\n", args[0], strings.Join(roles, ","))
			return nil
		},
	})
}

func newKeys() *cobra.Command {
	return group("keys", "Make and rotate the service's keys", newKeysCreate(), newKeysRotate())
}

func newKeysCreate() *cobra.Command {
	var p place
	cmd := &cobra.Command{
		Use:   "create (--data DIR | --config FILE)",
		Short: "Make the keys of a new service",
		Long: `Create makes the keys of a service that has not run yet: for the CA, the statements, the log and the time stamps, and the
key-encryption key where that is a file. It never writes over a key. A service with --data makes its keys itself at its
first start; one with --config never does, since each of its processes must have the same.

Keep a copy of the keys apart, off the machine.`,
		Example: `  escrowd keys create --config /etc/countersign/escrowd.yaml`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := p.read()
			if err != nil {
				return err
			}
			made, err := instance.CreateKeys(p.data, c)
			for _, path := range made {
				fmt.Fprintf(cmd.OutOrStdout(), "CREATED %s\n", path)
			}
			return err
		},
	}
	p.flags(cmd)
	return cmd
}

func newKeysRotate() *cobra.Command {
	var p place
	var r instance.Rotation
	cmd := &cobra.Command{
		Use:   "rotate (--data DIR | --config FILE)",
		Short: "Change the key-encryption key",
		Long: `Rotate makes a new generation of the key-encryption key and wraps every vendor's key under it. What was deposited is not
touched. With Vault, rotate the key there first (vault write -f transit/keys/NAME/rotate): the vendors' keys are then
wrapped under its newest version. After a change of the field kek, with the former one in former_keks, it moves them from
the one to the other.

A service of many processes may go on meanwhile. One with --data must be stopped first.

Former generations stay in the key file, so that older copies of the catalog can still be read. --retire removes them:
do that when the former generation was seen by others, and back up catalog and key file anew.`,
		Example: `  # How many keys would be wrapped anew?
  escrowd keys rotate --config /etc/countersign/escrowd.yaml --dry-run

  escrowd keys rotate --config /etc/countersign/escrowd.yaml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := p.read()
			if err != nil {
				return err
			}
			r.Each = func(holder resource.Organization) {
				fmt.Fprintf(cmd.ErrOrStderr(), "rewrapped the key of %s\n", holder)
			}
			n, err := instance.RotateKeys(cmd.Context(), instance.Config{Data: p.data, Shared: c}, r)
			if err != nil {
				return err
			}
			word := "REWRAPPED"
			if r.DryRun {
				word = "WOULD-REWRAP"
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s %d\n", word, n)
			return nil
		},
	}
	p.flags(cmd)
	cmd.Flags().BoolVar(&r.DryRun, "dry-run", false, "only say how many keys there are")
	cmd.Flags().BoolVar(&r.Retire, "retire", false, "then remove the former generations from the key file")
	return cmd
}

func newOperator() *cobra.Command {
	return group("operator", "Give the operator access", newOperatorProfile())
}

func newOperatorProfile() *cobra.Command {
	var file, out, address, web string
	cmd := &cobra.Command{
		Use:   "profile --config FILE --out DIR",
		Short: "Make a profile for the operator's member \"admin\"",
		Long: `Profile makes a folder with a profile for escrowctl, a key and a client certificate of the operator's member "admin", who
can create organizations. It works at any time: whoever can read the service's keys can do so. A certificate lives 90
days. A service with --data has such a profile in its folder.`,
		Example: `  escrowd operator profile --config /etc/countersign/escrowd.yaml --out ./operator --address escrow.example:8443`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := config.Read(file)
			if err != nil {
				return err
			}
			if address == "" {
				address = c.Listen
			}
			if web == "" {
				web = "https://" + c.HTTP
			}
			path, err := instance.IssueProfile(cmd.Context(), c, out, address, web)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "PROFILE %s\n", path)
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&file, "config", "", "configuration file")
	f.StringVar(&out, "out", "", "folder to make")
	f.StringVar(&address, "address", "", "host:port under which clients reach an api process; the field listen if not given")
	f.StringVar(&web, "web", "", "https://host:port of the same; from the field http if not given")
	require(cmd, "config", "out")
	return cmd
}

// require makes flags necessary.
func require(cmd *cobra.Command, names ...string) {
	for _, name := range names {
		if err := cmd.MarkFlagRequired(name); err != nil {
			panic(err) // a flag that was not defined
		}
	}
}
