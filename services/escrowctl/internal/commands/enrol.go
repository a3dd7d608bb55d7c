package commands

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/client"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/keyfile"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/output"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/profile"
)

func (a *app) enrolCommand() *cobra.Command {
	var e enrolment
	c := &cobra.Command{
		Use:   "enrol --address HOST:PORT --ca FILE --token TOKEN --profile NAME|DIR",
		Short: "Become a member: turn a one-time token into a profile",
		Long: `Make a key, ask the service for a client certificate with a one-time token, and write a profile.

The key is made here and never leaves: only a certificate request goes out. The CA file is the service's, handed over
by its operator; it is what tells the right service from a wrong one. --profile takes a name, which stands for a folder
in ~/.config/countersign/profiles, or a folder.`,
		Example: `  escrowctl enrol --address escrow.example.org:7443 --ca ca.pem --token cst_… --profile lab-fi
  escrowctl enrol --address 127.0.0.1:7443 --ca ca.pem --token cst_… --profile ./profiles/acme`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			e.profile = a.profileFlag
			return a.enrol(cmd.Context(), e)
		},
	}
	c.Flags().StringVar(&e.address, "address", "", "the service's gRPC address, host:port")
	c.Flags().StringVar(&e.web, "web", "", "the service's URL over HTTP, to be kept in the profile")
	c.Flags().StringVar(&e.ca, "ca", "", "file with the service's CA certificate")
	c.Flags().StringVar(&e.token, "token", "", "the one-time token")
	require(c, "address", "ca", "token")
	c.AddCommand(a.enrolToken())
	return c
}

type enrolment struct{ address, web, ca, token, profile string }

func (a *app) enrol(ctx context.Context, e enrolment) error {
	if e.profile == "" {
		e.profile = "default"
	}
	dir, err := profile.Dir(e.profile)
	if err != nil {
		return err
	}
	key, keyPEM, err := keyfile.New()
	if err != nil {
		return err
	}
	draft, err := profile.Begin(dir, keyPEM)
	if err != nil {
		return err
	}
	certified, member, err := certify(ctx, e, key)
	if err != nil {
		draft.Drop()
		return err
	}
	path, err := draft.Finish(certified)
	if err != nil {
		return err
	}
	view := map[string]string{"profile": path, "organization": certified.Organization.String(), "member": member}
	return a.printer().Value(view, func(w io.Writer) {
		output.Fields(w, "enrolled", certified.Organization.String(), "member", member, "profile", path)
	})
}

// certify has the key certified and checks that the answer is about it.
func certify(ctx context.Context, e enrolment, key *ecdsa.PrivateKey) (profile.Certified, string, error) {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return profile.Certified{}, "", err
	}
	c, err := client.DialStranger(e.address, e.ca)
	if err != nil {
		return profile.Certified{}, "", err
	}
	defer c.Close()
	csr := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
	resp, err := c.Directory.Enrol(ctx, &pb.EnrolRequest{Token: e.token, CsrPem: string(csr)})
	if err != nil {
		return profile.Certified{}, "", err
	}
	if err := certifies(resp.GetCertificatePem(), key); err != nil {
		return profile.Certified{}, "", err
	}
	org, err := resource.ParseOrganization(resp.GetOrganization().GetName())
	if err != nil {
		return profile.Certified{}, "", err
	}
	return profile.Certified{Address: e.address, Web: e.web, Organization: org,
		CertificatePEM: resp.GetCertificatePem(), CertificateOfCAs: resp.GetCaPem()}, resp.GetMemberId(), nil
}

func certifies(certificatePEM string, key *ecdsa.PrivateKey) error {
	block, _ := pem.Decode([]byte(certificatePEM))
	if block == nil {
		return fault.Corruptf("certificate", "the service sent no PEM certificate")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return fault.Corruptf("certificate", "the service sent a certificate that cannot be read: %v", err)
	}
	if !key.PublicKey.Equal(cert.PublicKey) {
		return fault.Corruptf("certificate", "the service sent a certificate for another key")
	}
	return nil
}

func (a *app) enrolToken() *cobra.Command {
	var org, member string
	c := &cobra.Command{
		Use:   "token --organization ID --member NAME",
		Short: "Make a one-time token for a new member (operators, organization administrators)",
		Long: `Make a one-time token with which a new member of an organization enrols, and print the command that uses it.

Give the new member the token and the service's CA certificate. The token is shown once and works once.`,
		Example: "  escrowctl enrol token --organization lab-fi --member anna",
		Args:    cobra.NoArgs,
		RunE: a.call(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			o, err := ownOrganization(c, org)
			if err != nil {
				return err
			}
			resp, err := c.Directory.CreateEnrolmentToken(cmd.Context(), &pb.CreateEnrolmentTokenRequest{Organization: o.String(), MemberId: member})
			if err != nil {
				return err
			}
			return a.showToken(c.Profile, o, resp)
		}),
	}
	c.Flags().StringVar(&org, "organization", "", "the organization (default the profile's)")
	c.Flags().StringVar(&member, "member", "", "the new member's id")
	require(c, "member")
	return c
}

func (a *app) showToken(p *profile.Profile, o resource.Organization, t *pb.CreateEnrolmentTokenResponse) error {
	words := []string{"escrowctl", "enrol", "--address", p.Address}
	if p.Web != "" {
		words = append(words, "--web", p.Web)
	}
	words = append(words, "--ca", p.CA, "--token", t.GetToken(), "--profile", o.ID)
	for i, word := range words {
		words[i] = quote(word)
	}
	command := strings.Join(words, " ")
	view := map[string]any{"token": t.GetToken(), "expireTime": t.GetExpireTime().AsTime().Format(time.RFC3339), "command": command}
	return a.printer().Value(view, func(w io.Writer) {
		output.Fields(w, "token", t.GetToken(), "works once, until", output.Time(t.GetExpireTime()))
		fmt.Fprintf(w, "\nThe new member runs, with a copy of the CA certificate:\n\n  %s\n", command)
	})
}

// quote writes a word so that a shell reads it as one.
func quote(s string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=,@%+"
	if s != "" && strings.Trim(s, plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
