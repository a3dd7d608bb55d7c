package commands

import (
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/countersign-escrow/countersign/services/escrowctl/internal/keyfile"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/output"
)

func (a *app) keyCommand() *cobra.Command {
	var out, kind string
	generate := &cobra.Command{
		Use:   "generate --out FILE",
		Short: "Make a signing key",
		Long: `Make a key: FILE holds the private key (PKCS#8 PEM, readable by its owner alone), FILE.pub the public one. Register the
public one with escrowctl trust-anchor add. An existing file is never written over.

A rebuilder's findings take ecdsa-p256 alone; releases take all types.`,
		Example: `  escrowctl key generate --out release.key
  escrowctl key generate --out release.key --type ed25519`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			public, err := keyfile.Generate(out, kind)
			if err != nil {
				return err
			}
			return a.printer().Value(map[string]string{"privateKey": out, "publicKey": public}, func(w io.Writer) {
				output.Fields(w, "private key", out, "public key", public)
			})
		},
	}
	generate.Flags().StringVar(&out, "out", "", "file for the private key")
	generate.Flags().StringVar(&kind, "type", keyfile.Default, strings.Join(keyfile.Types, ", "))
	require(generate, "out")
	return noun("key", "Signing keys", "Keys with which vendors sign releases and rebuilders sign findings.", generate)
}
