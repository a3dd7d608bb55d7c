package commands

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/anchorfile"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/client"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/output"
	"github.com/countersign-escrow/countersign/services/internal/anchormsg"
)

// anchorFlags say what to register, for what and for how long.
type anchorFlags struct {
	held                               heldFlags
	org, purpose, product, from, until string
	unsafe                             pb.UnsafeAlgorithms
}

const anchorPurposes = "release (manifests and all files), source, artifact, time (time stamps) or rebuild (a rebuilder's findings)"

func (a *app) addTrustAnchor() *cobra.Command {
	f := new(anchorFlags)
	c := &cobra.Command{
		Use:   "add --key FILE.pub | --openpgp FILE | --ssh-allowed-signers FILE | --x509 FILE | --sigstore-… | --minisign FILE",
		Short: "Register a key, certificate or identity whose signatures count",
		Long: `Register whose signatures count from now on, or from --from until --until. Give one of

    --key FILE                   a public key; what it is, is told by the file: PEM, a public key of minisign or signify,
                                 OpenSSH's .pub file, OpenPGP certificates
    --openpgp FILE               OpenPGP certificates, armoured or binary
    --ssh-allowed-signers FILE   SSH keys and certificate authorities, as ssh-keygen(1) has them
    --x509 FILE                  certificates: the signer's own, or authorities and, with --subject or --subject-pattern,
                                 whom a certificate below them must name
    --sigstore-issuer ISSUER --sigstore-subject SUBJECT
                                 whom a certificate of a Sigstore authority must name; either may be a pattern
    --sigstore-root FILE         trusted_root.json: the Sigstore authorities, logs and time stamps to judge by
    --minisign FILE              a public key of minisign or signify

Private keys are refused before anything is sent. Patterns are RE2 and must match the whole name.`,
		Example: `  escrowctl trust-anchor add --key release.key.pub
  escrowctl trust-anchor add --openpgp signing-key.asc --purpose source
  escrowctl trust-anchor add --ssh-allowed-signers allowed_signers
  escrowctl trust-anchor add --x509 ca.pem --subject 'CN=Acme Release,O=Acme' --purpose artifact
  escrowctl trust-anchor add --x509 tsa.pem --purpose time
  escrowctl trust-anchor add --sigstore-root trusted_root.json
  escrowctl trust-anchor add --sigstore-issuer https://token.actions.githubusercontent.com \
      --sigstore-subject-pattern 'https://github.com/acme/widget/\.github/workflows/release\.yml@refs/tags/.*'
  escrowctl trust-anchor add --minisign minisign.pub
  escrowctl trust-anchor add --key rebuild.key.pub --purpose rebuild --until 365d`,
		Args: cobra.NoArgs,
		RunE: a.call(func(cmd *cobra.Command, c *client.Client, _ []string) error { return a.registerAnchor(cmd, c, f) }),
	}
	f.held.bind(c)
	c.Flags().StringVar(&f.org, "organization", "", "whose anchor it is (default the profile's)")
	c.Flags().StringVar(&f.purpose, "purpose", "release", "what its signatures count for: "+anchorPurposes)
	c.Flags().StringVar(&f.product, "product", "", "the only product that it counts for (default all)")
	c.Flags().StringVar(&f.from, "from", "", "signatures count from then on: a date or RFC 3339 (default now)")
	c.Flags().StringVar(&f.until, "until", "", "signatures count until then: a span such as 365d, a date or RFC 3339 (default no end)")
	c.Flags().BoolVar(&f.unsafe.Md5Unsafe, "md5-unsafe", false, "let signatures with MD5 count, which can be forged")
	c.Flags().BoolVar(&f.unsafe.Sha1Unsafe, "sha1-unsafe", false, "let signatures with SHA-1 count outside git, which can be forged with much effort")
	c.Flags().BoolVar(&f.unsafe.ShortRsaUnsafe, "short-rsa-unsafe", false, "let RSA keys under 2048 bits count")
	return c
}

func (a *app) registerAnchor(cmd *cobra.Command, c *client.Client, f *anchorFlags) error {
	org, err := ownOrganization(c, f.org)
	if err != nil {
		return err
	}
	m, err := f.held.material(c)
	if err != nil {
		return err
	}
	anchor, err := f.anchor(c, m)
	if err != nil {
		return err
	}
	resp, err := c.Directory.AddTrustAnchor(cmd.Context(), &pb.AddTrustAnchorRequest{Parent: org.String(), TrustAnchor: anchor, RequestId: requestID()})
	if err != nil {
		return err
	}
	if a.outputFlag != "json" && m.What != "" {
		fmt.Fprintf(a.Err, "READ %s\n", output.Clean(m.What))
	}
	return a.printAnchor(resp.GetTrustAnchor())
}

func (f *anchorFlags) anchor(c *client.Client, m anchorfile.Material) (*pb.TrustAnchor, error) {
	purpose, ok := pb.TrustAnchorPurpose_value["TRUST_ANCHOR_PURPOSE_"+strings.ToUpper(f.purpose)]
	if !ok || purpose == 0 {
		return nil, usagef("--purpose %q: must be %s", f.purpose, anchorPurposes)
	}
	anchor := &pb.TrustAnchor{Purpose: pb.TrustAnchorPurpose(purpose)}
	anchormsg.PutMaterial(anchor, m.Kind, m.Text)
	if f.unsafe.Md5Unsafe || f.unsafe.Sha1Unsafe || f.unsafe.ShortRsaUnsafe {
		anchor.Unsafe = &f.unsafe
	}
	if f.product != "" {
		p, err := product(c, f.product)
		if err != nil {
			return nil, err
		}
		anchor.Product = p.String()
	}
	var err error
	if anchor.ValidFrom, err = timestamp(f.from); err != nil {
		return nil, err
	}
	anchor.ValidUntil, err = timestamp(f.until)
	return anchor, err
}

// timestamp reads a time, none for "".
func timestamp(s string) (*timestamppb.Timestamp, error) {
	if s == "" {
		return nil, nil
	}
	t, err := when(s, time.Now())
	return timestamppb.New(t), err
}
