package commands

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/output"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/releasefile"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/signer"
	"github.com/countersign-escrow/countersign/verifier/signature/sshsig"
)

func (a *app) signCommand() *cobra.Command {
	var key, out string
	c := &cobra.Command{
		Use:   "sign RELEASE.YAML --key KEY",
		Short: "Sign a release's manifest",
		Long: `Make the manifest of a release and sign it. KEY is

    a PEM file          ECDSA P-256 or P-384, Ed25519 or RSA; encrypted ones of cosign, too: the password is taken from
                        COSIGN_PASSWORD, or asked for                                      → a Sigstore bundle
    the URI of a key    in a key management system: awskms://, azurekms://, gcpkms://, hashivault://, or NAME:// where
                        there is a program sigstore-kms-NAME on the path                   → a Sigstore bundle
    an OpenSSH key      the passphrase is asked for; or its .pub file: an SSH agent signs  → an SSH signature (.sshsig)

The signature is written to the first path under signatures: in the release file that fits its form, or to --out. Stock
tools make the same:

    escrowctl release manifest release.yaml > manifest.json
    cosign sign-blob --key cosign.key --use-signing-config=false --tlog-upload=false --bundle release.sigstore.json manifest.json
    ssh-keygen -Y sign -n file -f ~/.ssh/id_ed25519 manifest.json`,
		Example: `  escrowctl sign release.yaml --key release.key
  escrowctl sign release.yaml --key hashivault://release
  escrowctl sign release.yaml --key ~/.ssh/id_ed25519.pub --out release.sshsig`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.sign(cmd.Context(), args[0], key, out) },
	}
	c.Flags().StringVar(&key, "key", "", "file with the key, or the URI of a key in a key management system")
	c.Flags().StringVar(&out, "out", "", "file for the signature (default the first fitting one under signatures:)")
	require(c, "key")
	return c
}

func (a *app) sign(ctx context.Context, path, key, out string) error {
	file, err := releasefile.Read(path)
	if err != nil {
		return err
	}
	s, err := signer.Open(key, a.ask)
	if err != nil {
		return err
	}
	d, err := file.Prepare(ctx)
	if err != nil {
		return err
	}
	defer d.Close()
	sig, err := s.Sign(ctx, d.Bytes)
	if err != nil {
		return err
	}
	if out == "" {
		if out, err = signaturePath(file, sig.MediaType); err != nil {
			return err
		}
	}
	if err := os.WriteFile(out, sig.Content, 0o644); err != nil {
		return err
	}
	view := map[string]string{"release": d.Release.String(), "manifestDigest": d.Digest.String(), "signature": out, "mediaType": sig.MediaType}
	return a.printer().Value(view, func(w io.Writer) {
		output.Fields(w, "release", d.Release.String(), "manifest", d.Digest.String(), "signature", out)
	})
}

// What names of signature files end with, by their form. A name that ends with none of them fits every form.
var (
	bundleEndings = []string{".sigstore.json", ".sigstore", ".bundle", ".json"}
	sshEndings    = []string{".sshsig", ".sig"}
	otherEndings  = []string{".asc", ".gpg", ".pgp", ".sign", ".minisig", ".signify", ".p7s", ".p7"}
)

// signaturePath returns the first path under signatures: whose name fits the form.
func signaturePath(file *releasefile.File, mediaType string) (string, error) {
	fitting := bundleEndings
	if mediaType == sshsig.MediaType {
		fitting = sshEndings
	}
	paths := file.SignaturePaths()
	for _, p := range paths {
		ends := func(suffix string) bool { return strings.HasSuffix(p, suffix) }
		if slices.ContainsFunc(fitting, ends) || !slices.ContainsFunc(slices.Concat(bundleEndings, sshEndings, otherEndings), ends) {
			return p, nil
		}
	}
	why := fmt.Sprintf("%s names no signature file", file.Path())
	if len(paths) > 0 {
		why += " that fits what was made"
	}
	return "", fault.Invalidf("signatures", "%s", why).WithAdvice("add one that ends with %s to signatures:, or give --out FILE", fitting[0])
}

// ask asks for a passphrase on the terminal.
func (a *app) ask(prompt string) ([]byte, error) {
	in, ok := a.In.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return nil, errors.New("needs a passphrase, and there is no terminal to ask on")
	}
	fmt.Fprintf(a.Err, "%s: ", prompt)
	secret, err := term.ReadPassword(int(in.Fd()))
	fmt.Fprintln(a.Err)
	return secret, err
}
