package commands

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/countersign-escrow/countersign/escrow/resource"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/anchorfile"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/client"
	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
)

// heldFlags say what an anchor holds.
type heldFlags struct {
	key, openpgp, ssh, x509, root, minisign string // files
	subject, issuer, identity               anchor.Name
	trustedRoot                             string
}

func (f *heldFlags) bind(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&f.key, "key", "", "file with a public key of any kind")
	flags.StringVar(&f.openpgp, "openpgp", "", "file with OpenPGP certificates")
	flags.StringVar(&f.ssh, "ssh-allowed-signers", "", "allowed-signers file")
	flags.StringVar(&f.x509, "x509", "", "file with X.509 certificates")
	flags.StringVar(&f.subject.Exact, "subject", "", "with --x509: the subject, common name or alternative name of the signer's certificate")
	flags.StringVar(&f.subject.Pattern, "subject-pattern", "", "with --x509: a pattern for it")
	flags.StringVar(&f.issuer.Exact, "sigstore-issuer", "", "the OpenID Connect issuer of a Sigstore identity")
	flags.StringVar(&f.issuer.Pattern, "sigstore-issuer-pattern", "", "a pattern for it")
	flags.StringVar(&f.identity.Exact, "sigstore-subject", "", "the subject of a Sigstore identity: an address, or the URI of a workflow")
	flags.StringVar(&f.identity.Pattern, "sigstore-subject-pattern", "", "a pattern for it")
	flags.StringVar(&f.trustedRoot, "trusted-root", "", "the trust anchor with the one Sigstore trusted root that the identity is judged by (default all)")
	flags.StringVar(&f.root, "sigstore-root", "", "file with a Sigstore trusted root")
	flags.StringVar(&f.minisign, "minisign", "", "file with a public key of minisign or signify")
}

// material reads the one thing that is given.
func (f *heldFlags) material(c *client.Client) (anchorfile.Material, error) {
	var given []string
	var read func() (anchorfile.Material, error)
	take := func(flag string, is bool, how func() (anchorfile.Material, error)) {
		if is {
			given, read = append(given, flag), how
		}
	}
	take("--key", f.key != "", func() (anchorfile.Material, error) { return anchorfile.Key(f.key) })
	take("--openpgp", f.openpgp != "", func() (anchorfile.Material, error) { return anchorfile.OpenPGP(f.openpgp) })
	take("--ssh-allowed-signers", f.ssh != "", func() (anchorfile.Material, error) { return anchorfile.AllowedSigners(f.ssh) })
	take("--x509", f.x509 != "", func() (anchorfile.Material, error) { return anchorfile.Certificates(f.x509, f.subject) })
	take("--sigstore-issuer and --sigstore-subject", !f.issuer.IsZero() || !f.identity.IsZero(), func() (anchorfile.Material, error) { return f.sigstoreIdentity(c) })
	take("--sigstore-root", f.root != "", func() (anchorfile.Material, error) { return anchorfile.TrustedRoot(f.root) })
	take("--minisign", f.minisign != "", func() (anchorfile.Material, error) { return anchorfile.Minisign(f.minisign) })
	switch {
	case len(given) == 0:
		return anchorfile.Material{}, usagef("nothing is given to register: give --key FILE.pub, or another flag of escrowctl trust-anchor add --help")
	case len(given) > 1:
		return anchorfile.Material{}, usagef("%s are given: register one trust anchor for each", strings.Join(given, " and "))
	case !f.subject.IsZero() && f.x509 == "":
		return anchorfile.Material{}, usagef("--subject and --subject-pattern go with --x509")
	case f.trustedRoot != "" && f.issuer.IsZero() && f.identity.IsZero():
		return anchorfile.Material{}, usagef("--trusted-root goes with --sigstore-issuer and --sigstore-subject")
	}
	if !f.subject.IsZero() {
		if err := f.subject.Check(); err != nil {
			return anchorfile.Material{}, usagef("--subject: %v", err)
		}
	}
	return read()
}

func (f *heldFlags) sigstoreIdentity(c *client.Client) (anchorfile.Material, error) {
	for flag, name := range map[string]anchor.Name{"--sigstore-issuer": f.issuer, "--sigstore-subject": f.identity} {
		if err := name.Check(); err != nil {
			return anchorfile.Material{}, usagef("%s, or %s-pattern: %v", flag, flag, err)
		}
	}
	i := anchor.Identity{Issuer: f.issuer, Subject: f.identity}
	if f.trustedRoot != "" {
		root, err := child(c, resource.TrustAnchors, f.trustedRoot)
		if err != nil {
			return anchorfile.Material{}, err
		}
		i.TrustedRoot = root.String()
	}
	text, err := anchor.Material(i)
	return anchorfile.Material{Kind: anchor.SigstoreIdentity, Text: text}, err
}
