package commands

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/client"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/output"
	"github.com/countersign-escrow/countersign/verifier/attest"
)

func (a *app) attestationCommand() *cobra.Command {
	return noun("attestation", "Signed statements, and what it takes to check them offline",
		`An attestation is an in-toto statement in a Sigstore bundle, signed, time-stamped and in the transparency log: receipts,
findings, comparisons, provenance and reports. Whoever holds one can check it offline, also with tools that are not ours.`,
		a.listAttestations(), a.getAttestation(), a.verifyAttestation(), a.trustedRoot())
}

// predicateTypes are the short words for the types of statements.
var predicateTypes = map[string]string{
	"receipt": attest.TypeReceipt, "finding": attest.TypeFinding, "comparison": attest.TypeComparison,
	"provenance": attest.TypeProvenance, "report": attest.TypeSummary,
}

const typeHelp = "receipt, finding, comparison, provenance, report, or a predicate type's URI"

func predicateType(s string) (string, error) {
	if uri, ok := predicateTypes[s]; ok || s == "" {
		return uri, nil
	}
	if !strings.Contains(s, ":") {
		return "", usagef("--type %q: must be %s", s, typeHelp)
	}
	return s, nil
}

// typeWord is the short word for a type, or the type.
func typeWord(uri string) string {
	for word, u := range predicateTypes {
		if u == uri {
			return word
		}
	}
	return uri
}

func (a *app) listAttestations() *cobra.Command {
	var of, subject, kind, signer string
	c := &cobra.Command{
		Use:   "list",
		Short: "List attestations",
		Long:  "List the attestations that the profile's organization may see, oldest first.",
		Example: `  escrowctl attestation list --release acme/widget/1.2.3
  escrowctl attestation list --subject ./widget --type comparison --signer operator`,
		Args: cobra.NoArgs,
		RunE: a.call(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			req := new(pb.ListAttestationsRequest)
			if of != "" {
				name, err := release(c, of)
				if err != nil {
					return err
				}
				req.Release = name.String()
			}
			if subject != "" {
				d, err := digestOf(subject)
				if err != nil {
					return err
				}
				req.Subject = d.String()
			}
			var err error
			if req.PredicateType, err = predicateType(kind); err != nil {
				return err
			}
			all, err := pages(func(token string) ([]*pb.Attestation, string, error) {
				req.PageToken = token
				resp, err := c.Attestation.ListAttestations(cmd.Context(), req)
				return resp.GetAttestations(), resp.GetNextPageToken(), err
			})
			if err != nil {
				return err
			}
			if signer != "" {
				all = slices.DeleteFunc(all, func(t *pb.Attestation) bool { return output.ID(t.GetSigner()) != output.ID(signer) })
			}
			return output.List(a.printer(), "attestations", all, []string{"ATTESTATION", "TYPE", "RELEASE", "SIGNER", "LOG INDEX", "MADE"}, func(t *pb.Attestation) []string {
				return []string{output.ID(t.GetName()), typeWord(t.GetPredicateType()), output.Release(t.GetRelease()), output.ID(t.GetSigner()),
					fmt.Sprint(t.GetLogIndex()), output.Time(t.GetCreateTime())}
			})
		}),
	}
	c.Flags().StringVar(&of, "release", "", "only those about this release")
	c.Flags().StringVar(&subject, "subject", "", "only those about this file: a path or sha256:…")
	c.Flags().StringVar(&kind, "type", "", "only those of this type: "+typeHelp)
	c.Flags().StringVar(&signer, "signer", "", "only those signed by this organization")
	return c
}

func (a *app) getAttestation() *cobra.Command {
	var out, keyOut string
	c := &cobra.Command{
		Use:   "get ATTESTATION",
		Short: "Fetch an attestation's bundle",
		Long: `Fetch an attestation's Sigstore bundle and print it, or write it to --out.

The statements of the service are signed with the key that attestation trusted-root writes; those of a lab's own
rebuilder with the lab's key. --key-out writes the signer's key as the service knows it: whoever wants to trust it
compares it with what the signer says.`,
		Example: "  escrowctl attestation get 0196… --out report.sigstore.json",
		Args:    cobra.ExactArgs(1),
		RunE: a.call(func(cmd *cobra.Command, c *client.Client, args []string) error {
			name, err := attestation(args[0])
			if err != nil {
				return err
			}
			resp, err := c.Attestation.GetAttestation(cmd.Context(), &pb.GetAttestationRequest{Name: name.String()})
			if err != nil {
				return err
			}
			return a.writeAttestation(resp.GetAttestation(), out, keyOut)
		}),
	}
	c.Flags().StringVar(&out, "out", "", "file for the bundle")
	c.Flags().StringVar(&keyOut, "key-out", "", "file for the signer's public key")
	return c
}

func (a *app) writeAttestation(t *pb.Attestation, out, keyOut string) error {
	if keyOut != "" {
		if err := os.WriteFile(keyOut, []byte(t.GetPublicKeyPem()), 0o644); err != nil {
			return err
		}
	}
	if out == "" {
		return a.printer().Message(t, func(w io.Writer) { fmt.Fprintln(w, strings.TrimSpace(string(t.GetBundle()))) })
	}
	if err := os.WriteFile(out, t.GetBundle(), 0o644); err != nil {
		return err
	}
	return a.printer().Message(t, func(w io.Writer) {
		output.Fields(w, "attestation", t.GetName(), "type", t.GetPredicateType(), "release", t.GetRelease(), "signer", t.GetSigner(),
			"log index", fmt.Sprint(t.GetLogIndex()), "bundle", out, "key", keyOut)
	})
}

func (a *app) trustedRoot() *cobra.Command {
	var out string
	c := &cobra.Command{
		Use:   "trusted-root --out DIR",
		Short: "Fetch what it takes to check attestations offline",
		Long: `Write trusted_root.json (the keys of the log and of the time-stamp authority, as Sigstore tools read them) and
statement.pub (the key that signs the service's statements) into a folder. Fetch them once, and compare them with what
others have.`,
		Example: "  escrowctl attestation trusted-root --out trust",
		Args:    cobra.NoArgs,
		RunE: a.call(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			resp, err := c.Attestation.GetTrustedRoot(cmd.Context(), &pb.GetTrustedRootRequest{})
			if err != nil {
				return err
			}
			if err := os.MkdirAll(out, 0o755); err != nil {
				return err
			}
			root, key := filepath.Join(out, "trusted_root.json"), filepath.Join(out, "statement.pub")
			if err := os.WriteFile(root, resp.GetTrustedRoot(), 0o644); err != nil {
				return err
			}
			if err := os.WriteFile(key, []byte(resp.GetStatementKeyPem()), 0o644); err != nil {
				return err
			}
			return a.printer().Value(map[string]string{"trustedRoot": root, "statementKey": key, "keyId": keyID(resp.GetStatementKeyPem())}, func(w io.Writer) {
				output.Fields(w, "trusted root", root, "statement key", key, "key id", keyID(resp.GetStatementKeyPem()))
			})
		}),
	}
	c.Flags().StringVar(&out, "out", "", "folder to write to")
	require(c, "out")
	return c
}
