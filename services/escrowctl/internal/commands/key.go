package commands

import (
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/keyfile"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/output"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/releasefile"
	"github.com/countersign-escrow/countersign/verifier/signature/sigstorebundle"
)

func (a *app) keyCommand() *cobra.Command {
	var out string
	generate := &cobra.Command{
		Use:   "generate --out FILE",
		Short: "Make a signing key",
		Long: `Make an ECDSA P-256 key: FILE holds the private key (PKCS#8 PEM, readable by its owner alone), FILE.pub the public
one. Register the public one with escrowctl trust-anchor add. An existing file is never written over.`,
		Example: "  escrowctl key generate --out release.key",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			public, err := keyfile.Generate(out)
			if err != nil {
				return err
			}
			return a.printer().Value(map[string]string{"privateKey": out, "publicKey": public}, func(w io.Writer) {
				output.Fields(w, "private key", out, "public key", public)
			})
		},
	}
	generate.Flags().StringVar(&out, "out", "", "file for the private key")
	require(generate, "out")
	return noun("key", "Signing keys", "Keys with which vendors sign releases and rebuilders sign findings.", generate)
}

func (a *app) signCommand() *cobra.Command {
	var keyPath, out string
	c := &cobra.Command{
		Use:   "sign RELEASE.YAML --key FILE",
		Short: "Sign a release's manifest",
		Long: `Make the manifest of a release and sign it: a Sigstore bundle by a managed key is written to the first path under
signatures: in the release file, or to --out. The same bundle is made by stock tools:

    escrowctl release manifest release.yaml > manifest.json
    cosign sign-blob --key cosign.key --use-signing-config=false --tlog-upload=false --bundle release.sigstore.json manifest.json`,
		Example: "  escrowctl sign release.yaml --key release.key",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			file, err := releasefile.Read(args[0])
			if err != nil {
				return err
			}
			if paths := file.SignaturePaths(); out == "" && len(paths) > 0 {
				out = paths[0]
			}
			if out == "" {
				return fault.Invalidf("signatures", "%s names no signature file", args[0]).WithAdvice("add signatures: to it, or give --out FILE")
			}
			deposit, err := file.Prepare(cmd.Context())
			if err != nil {
				return err
			}
			defer deposit.Close()
			return a.sign(deposit, keyPath, out)
		},
	}
	c.Flags().StringVar(&keyPath, "key", "", "file with the private key")
	c.Flags().StringVar(&out, "out", "", "file for the signature (default the first under signatures:)")
	require(c, "key")
	return c
}

func (a *app) sign(d *releasefile.Deposit, keyPath, out string) error {
	key, err := keyfile.Read(keyPath)
	if err != nil {
		return err
	}
	bundle, err := sigstorebundle.Sign(key, d.Bytes)
	if err != nil {
		return err
	}
	if err := os.WriteFile(out, bundle, 0o644); err != nil {
		return err
	}
	view := map[string]string{"release": d.Release.String(), "manifestDigest": d.Digest.String(), "signature": out}
	return a.printer().Value(view, func(w io.Writer) {
		output.Fields(w, "release", d.Release.String(), "manifest", d.Digest.String(), "signature", out)
	})
}
